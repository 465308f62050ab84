"""The packages; everything else stands in ``pyproject.toml``.

``twisted.plugins`` is not ours to find, only to add to. ``package_dir`` must stay: without it an
editable install hides the plugin from twistd.
"""

from pathlib import Path

from setuptools import setup

OURS = sorted(".".join(init.parent.parts) for init in Path("faasd_async").rglob("__init__.py"))

setup(
    package_dir={"": "."},
    packages=[*OURS, "twisted.plugins"],
    package_data={"faasd_async.gateway.ui": ["static/*"]},
)
