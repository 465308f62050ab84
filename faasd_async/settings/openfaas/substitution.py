"""``${VAR}`` in a stack.yml, as OpenFaaS' command line substitutes it before the YAML is read.

::

    ${VAR}            the variable; empty if it is not set
    ${VAR:-default}   the default if it is not set or empty
    ${VAR:=default}   likewise
    $${VAR}           ${VAR} itself

A default may hold further ones. A ``$`` before anything else stands for itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from faasd_async.settings.mistakes import Refusal, shown

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ALLOWED = "${VAR}, ${VAR:-default} or ${VAR:=default}, and $${ for what is to stay"

#: One in the default of another, and so on.
_DEEPEST = 10


def substitute(text: str, variables: Mapping[str, str]) -> str:
    """
    :raises Refusal: something is none of the above; it says in which line.
    """
    return _Substitution(text, variables).run()


class _Substitution:
    def __init__(self, text: str, variables: Mapping[str, str]) -> None:
        self._text = text
        self._variables = variables
        self._at = 0

    def run(self, depth: int = 0) -> str:
        """What follows; in a default: up to its brace, which is taken, too."""
        found: list[str] = []
        while self._at < len(self._text):
            if self._text.startswith("$${", self._at):
                found.append("${")
                self._at += 3
            elif self._text.startswith("${", self._at):
                found.append(self._variable(depth))
            elif depth and self._text[self._at] == "}":
                self._at += 1
                return "".join(found)
            else:
                found.append(self._text[self._at])
                self._at += 1
        if depth:
            raise self._refusal(self._text.rfind("${"))
        return "".join(found)

    def _variable(self, depth: int) -> str:
        start = self._at
        name = _NAME.match(self._text, start + 2)
        if name is None or depth == _DEEPEST:
            raise self._refusal(start)
        self._at = name.end()
        value = self._variables.get(name[0], "")
        if self._text.startswith("}", self._at):
            self._at += 1
            return value
        if not self._text.startswith((":-", ":="), self._at):
            raise self._refusal(start)
        self._at += 2
        default = self.run(depth + 1)
        return value or default

    def _refusal(self, start: int) -> Refusal:
        line = self._text.count("\n", 0, start) + 1
        what = self._text[start:].splitlines()[0]
        return Refusal(f"{shown(what)} in line {line}", _ALLOWED)
