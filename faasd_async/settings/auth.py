"""``auth``: who may call a function, by name and password."""

from __future__ import annotations

from msgspec import Struct

from faasd_async.settings.credentials import Credentials
from faasd_async.settings.mistakes import Refusal, shown
from faasd_async.settings.secrets import Secret, take_secrets
from faasd_async.settings.table import Table

_ALLOWED = '"basic", "none", or a table with secret or secret_file'


class AuthSettings(Struct, frozen=True, kw_only=True):
    """Whose calls a function takes.

    :ivar credentials: one of them it has to be; empty: the operator's.
    """

    credentials: tuple[Credentials, ...] = ()


def read_auth(table: Table, base: str, below: AuthSettings | None) -> AuthSettings | None:
    """The key ``auth``; ``None``: everybody's."""
    if not table.holds_table("auth"):
        return table.take("auth", _in_a_word, below)
    own = table.inline("auth")
    secrets = take_secrets(own, base, "secret", "secret_file", _name_and_password)
    own.finish()
    if not secrets and "secret_file" not in own:
        table.mistake("auth", "found without a secret; allowed: with secret or secret_file")
    return AuthSettings(
        credentials=tuple(Credentials(*each.value.split(b":", 1)) for each in secrets or ())
    )


def _in_a_word(value: object) -> AuthSettings | None:
    if value == "none":
        return None
    if value == "basic":
        return AuthSettings()
    raise Refusal(shown(value), _ALLOWED)


def _name_and_password(text: str) -> Secret:
    name, colon, password = text.partition(":")
    if not (name and colon and password):
        raise Refusal("something else", '"name:password"')
    return Secret(text.encode())
