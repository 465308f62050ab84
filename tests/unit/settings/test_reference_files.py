"""The configuration files that are shipped."""

import re
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

from faasd_async.settings import load
from faasd_async.settings.table import Table

ETC = Path(__file__).parents[3] / "etc"
REFERENCE = ETC / "faasd-async.toml"

WITHOUT_A_DEFAULT = {
    ("state_dir",),
    ("nats", "binary"),
    ("nats", "urls"),
    ("nats", "user"),
    ("nats", "password"),
    ("nats", "token"),
    *(("nats", f"{key}_file") for key in ("nkey", "credentials", "ca", "certificate", "key")),
    ("nats", "client_id"),
    ("containers", "socket"),
    ("containers", "logins_file"),
    ("gateway", "trusted_proxies"),
    ("provider", "url"),
    ("provider", "logs_url"),
    ("provider", "secret_mount_path"),
    ("callback", "signing_secrets"),
    ("callback", "signing_secret_file"),
    ("callback", "ca_file"),
    ("defaults", "signing_secrets"),
    ("defaults", "signing_secret_file"),
    ("defaults", "max_inflight"),
    ("defaults", "directory"),
    ("defaults", "ready_path"),
    ("defaults", "fprocess"),
    *(("defaults", key) for key in ("user", "memory", "cpu_time", "open_files", "processes")),
    ("defaults", "cpus"),
    ("functions", "stack"),
}
"""What the reference can only show by an example."""


def uncommented(text: str) -> str:
    """The text with every commented key switched on."""
    return re.sub(r"^#(?=[a-z_]+ = )", "", text, flags=re.MULTILINE)


def keys(tree: Mapping[str, object], *above: str) -> set[tuple[str, ...]]:
    """The path of every value that is not a table."""
    found = set()
    for key, value in tree.items():
        path = (*above, key)
        found |= keys(value, *path) if isinstance(value, dict) and value else {path}
    return found


def test_reference_changes_nothing_as_it_is() -> None:
    """The reference configuration sets nothing: everything in it is commented out."""
    assert load(str(REFERENCE), {}) == load(None, {})


def test_reference_shows_the_defaults(tmp_path: Path) -> None:
    """With its keys switched on, but for mere examples, the reference says what holds anyway."""
    path = tmp_path / "defaults.toml"
    section = ""
    lines = []
    for line in uncommented(REFERENCE.read_text()).splitlines():
        if header := re.match(r"\[([a-z]+)\]", line):
            section = header[1]
        key = line.partition(" = ")[0]
        if ((section, key) if section else (key,)) not in WITHOUT_A_DEFAULT:
            lines.append(line)
    function = '\n[functions.a]\ncommand = "cat"\n'
    path.write_text("\n".join(lines) + function)
    bare = tmp_path / "bare.toml"
    bare.write_text(function)
    assert load(str(path), {}) == load(str(bare), {})


def test_reference_has_every_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every key that the daemon reads stands in the reference, and no other."""
    read: set[tuple[str, ...]] = set()
    take = Table.take

    def take_and_note(table: Table, key: str, *rest: object) -> object:
        header = table.path.removeprefix("no file:").strip(" []")
        prefix = table._prefix.rstrip(".")
        read.add(tuple(part for part in (*header.split("."), prefix, key) if part))
        return take(table, key, *rest)  # type: ignore[arg-type]  # handed on as they came

    monkeypatch.setattr(Table, "take", take_and_note)
    load(None, {})
    monkeypatch.undo()
    expected = {path for path in read if not path[0].startswith("environment")}
    # Forbidden in the defaults: the examples of functions show them.
    one_function_only = ("port", "upstream_url", "schedule", "payload", "secrets", "verify")
    expected -= {("defaults", key) for key in one_function_only}
    assert keys(tomllib.loads(uncommented(REFERENCE.read_text()))) == expected


def test_examples_of_functions_in_the_reference_are_right(tmp_path: Path) -> None:
    """The functions in the comments of the reference can be used as they stand."""
    text = REFERENCE.read_text()
    path = tmp_path / "functions.toml"
    path.write_text(
        "\n".join(re.findall(r"^#   (\[functions.*|[a-z_]+ = .*)$", text, re.MULTILINE))
    )
    functions = load(str(path), {}).functions
    assert set(functions) == {
        *("thumbnails", "figlet", "api", "resize", "mailer", "report", "payroll", "pushed")
    }
    assert functions["resize"].container.zero_after_seconds == 600
    assert functions["report"].schedule.cron == "30 2 * * MON-FRI"
    assert functions["api"].command is not None
    assert functions["api"].command.port == 9001


def test_demo_runs_beside_our_python() -> None:
    """The demo's functions are modules run by the daemon's interpreter, on every interface."""
    settings = load(str(ETC / "demo.toml"), {})
    assert settings.gateway.listen == ("tcp:8080",)
    assert settings.gateway.metrics_listen == ("tcp:8082:interface=127.0.0.1",)
    assert set(settings.functions) == {"figlet", "echo", "sleep", "fail"}
    for name, function in settings.functions.items():
        assert function.command is not None
        assert function.command.words == (sys.executable, "-m", f"faasd_async.demo.{name}")
    assert settings.functions["sleep"].max_inflight == 5
    assert settings.notices == ()
