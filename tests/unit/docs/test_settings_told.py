"""What the documentation tells of the settings, held against the settings."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[3] / "docs"
sys.path.insert(0, str(DOCS / "extensions"))

from settings_told import all_settings, ignored, variables  # noqa: E402
from settings_words import Words, described, shipped  # noqa: E402

BY_NAME = {setting.name: setting for setting in all_settings()}
WORDS = shipped()
ENTRY = re.compile(r"^(\S.*) → (.*)\n    (.*)", re.MULTILINE)
LITERAL = re.compile(r"``([^`]+)``")
LITERALS = re.compile(r"``[^`]+``(, ``[^`]+``)*")


@pytest.mark.parametrize("name", BY_NAME)
def test_each_setting_is_described(name: str) -> None:
    """By a comment in the reference configuration, and by what it may be."""
    assert described(BY_NAME[name], WORDS)
    assert BY_NAME[name].allowed


def test_a_setting_without_a_comment_is_seen() -> None:
    """A comment of the block before, or of another key, describes nothing."""
    words = Words('[gateway]\n# Of listen.\n#listen = []\n\n#max_body = "1MiB"\n')
    assert described(BY_NAME["gateway.listen"], words) == "Of listen."
    assert described(BY_NAME["gateway.max_body"], words) == ""
    assert described(BY_NAME["gateway.namespace"], words) == ""


def test_what_is_told_of_a_setting() -> None:
    """Its default, its bounds and its variable are those of the code that reads it."""
    replicas, limit = BY_NAME["nats.replicas"], BY_NAME["defaults.timeout"]
    assert (replicas.default, replicas.allowed) == ("1", "an integer from 1 to 5")
    assert (limit.default, limit.variables) == ('"1m"', ("upstream_timeout",))
    assert BY_NAME["nats.user"].default == ""
    assert BY_NAME["queue.max_bytes"].default == '"2GiB"'
    assert BY_NAME["functions.<name>.verify.scheme"].allowed.startswith('"github" or "stripe"')


def tuning() -> tuple[str, dict[str, tuple[str, ...]]]:
    """The page, and by variable the keys that stand in its entry."""
    page = (DOCS / "tuning.rst").read_text("utf-8")
    return page, {
        variable: tuple(LITERAL.findall(keys))
        for names, keys, _ in ENTRY.findall(page)
        if LITERALS.fullmatch(names)
        for variable in LITERAL.findall(names)
    }


@pytest.mark.parametrize("variable", variables())
def test_tuning_tells_what_a_variable_does(variable: str) -> None:
    """Its entry names the keys over which it counts, and no others."""
    assert set(tuning()[1][variable]) == set(variables()[variable])


@pytest.mark.parametrize("variable", ignored())
def test_tuning_tells_of_what_is_ignored(variable: str) -> None:
    """Each of these variables stands on the page; if it has an entry, that says so."""
    page, _ = tuning()
    assert f"``{variable}``" in page
    for names, _, effect in ENTRY.findall(page):
        if variable in LITERAL.findall(names):
            assert effect.startswith(("Ignored", "Likewise"))


def test_tuning_names_no_key_that_is_not_there() -> None:
    """Whatever it writes as a key can be set."""
    page, _ = tuning()
    named = {key for _, keys, _ in ENTRY.findall(page) for key in LITERAL.findall(keys)}
    named.update(re.findall(r"^- ``(.+?)``", page, re.MULTILINE))
    named.update(re.findall(r", ``([a-z]+\.[a-z_.]+)``:", page))
    assert len(named) > 30
    assert named - BY_NAME.keys() == set()
