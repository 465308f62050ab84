"""The packages, and what ``etc`` brings along; everything else stands in ``pyproject.toml``.

``twisted.plugins`` is not ours to find, only to add to. ``package_dir`` must stay: without it an
editable install hides the plugin from twistd; so would a mapping for ``etc``, which is copied.
"""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

OURS = sorted(".".join(init.parent.parts) for init in Path("faasd_async").rglob("__init__.py"))

#: What ``faasd-async install`` puts in place.
ETC = ("faasd-async.toml", "demo.toml", "systemd/faasd-async.service", "systemd/faasd-async.socket")


class BuildWithEtc(build_py):
    """Takes the files along; an editable install finds them where they are."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            for name in ETC:
                copied = Path(self.build_lib, "faasd_async", "etc", name)
                self.mkpath(str(copied.parent))
                self.copy_file(f"etc/{name}", str(copied))


setup(
    package_dir={"": "."},
    packages=[*OURS, "twisted.plugins"],
    cmdclass={"build_py": BuildWithEtc},
    package_data={"faasd_async.gateway.ui": ["static/*"]},
)
