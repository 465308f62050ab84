"""What is wrong with the settings, gathered so that it can be told in one go."""

import json

from faasd_async.errors import ConfigurationError

_LONGEST_SHOWN = 60


class Refusal(ConfigurationError):
    """One value that is not allowed.

    :ivar found: what was found, in words for the operator.
    :ivar allowed: what would have been allowed.
    """

    def __init__(self, found: str, allowed: str) -> None:
        super().__init__(f"found {found}; allowed: {allowed}")
        self.found = found
        self.allowed = allowed


class Mistakes:
    """Collects one line a mistake and raises them all together."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def add(self, where: str, what: str) -> None:
        """Note a mistake, once; ``where`` names the file and the key."""
        line = f"{where}: {what}"
        if line not in self._lines:
            self._lines.append(line)

    def raise_if_any(self) -> None:
        """:raises ConfigurationError: if there was a mistake; its text has a line for each."""
        if self._lines:
            raise ConfigurationError("\n".join(self._lines))


def quoted(text: str) -> str:
    """A path or an endpoint in a message: whole, however long, and on one line."""
    return json.dumps(text, ensure_ascii=not text.isprintable())


def shown(value: object) -> str:
    """``value``, which came from TOML or the environment, as it may stand in a message."""
    if isinstance(value, str):
        if len(value) > _LONGEST_SHOWN:
            value = value[:_LONGEST_SHOWN] + "…"
        return quoted(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    return str(value)
