"""What ``etc/faasd-async.toml`` says of each setting: the comments above it.

Blank lines part the file into blocks. In a block a comment belongs to the keys below it, up to the
next comment, or to the table whose header is below it.
"""

from __future__ import annotations

import re
from pathlib import Path

from settings_told import A_FUNCTION, Setting

REFERENCE = Path(__file__).parents[2] / "etc" / "faasd-async.toml"

_HEADER = re.compile(r"\[([a-z.]+)\]$")
_KEY = re.compile(r"#?([a-z_]+) = ")


class Words:
    """The comments of a file.

    :ivar of_sections: by table.
    :ivar of_keys: by table and key, as ``gateway.max_body``.
    :ivar before, after: the comments that belong to nothing, before the first key and after it.
    """

    def __init__(self, text: str) -> None:
        self.of_sections: dict[str, str] = {}
        self.of_keys: dict[str, str] = {}
        self.before: list[str] = []
        self.after: list[str] = []
        self._section = ""
        for block in re.split(r"\n{2,}", text.strip()):
            self._read(block.splitlines())

    def _read(self, lines: list[str]) -> None:
        comment: list[str] = []
        told = False
        for line in lines:
            if header := _HEADER.match(line):
                self._section = header[1]
                self.of_sections[self._section] = "\n".join(comment)
                comment = []
            elif key := _KEY.match(line):
                name = f"{self._section}.{key[1]}" if self._section else key[1]
                self.of_keys[name] = "\n".join(comment)
                told = True
            else:
                comment = [*([] if told else comment), line.removeprefix("#").removeprefix(" ")]
                told = False
        if comment and not told:
            (self.after if self.of_keys else self.before).append("\n".join(comment))


def shipped() -> Words:
    """Those of the reference configuration."""
    return Words(REFERENCE.read_text("utf-8"))


def described(setting: Setting, words: Words) -> str:
    """What is said of a setting; empty if nothing is.

    A key of a table in the line is described with the table; one that a function alone can have,
    among the examples of functions.
    """
    table, _, key = setting.name.rpartition(".")
    if setting.section == A_FUNCTION:
        return next((text for text in words.after if re.search(rf"\b{key}\b", text)), "")
    return words.of_keys.get(setting.name) or words.of_keys.get(table, "")
