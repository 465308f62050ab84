"""``verify``: by what signature a function knows that a request is from whom it should be."""

from __future__ import annotations

import re
from typing import get_args

from faasd_async.settings.mistakes import Refusal, shown
from faasd_async.settings.model import VerifyScheme, VerifySettings
from faasd_async.settings.quantities import parse_duration_or_zero
from faasd_async.settings.secrets import plain, take_secrets, webhook_secret
from faasd_async.settings.table import Table
from faasd_async.settings.values import choice

SCHEMES: tuple[VerifyScheme, ...] = get_args(VerifyScheme)

#: How old a signature that says when it was made may be; how long one that does not, and was used,
#: is not taken again. Whoever signs by hand says the same thing twice.
TOLERANCES: dict[VerifyScheme, float] = {
    "stripe": 300.0,
    "slack": 300.0,
    "standard-webhooks": 300.0,
    "github": 24 * 3600.0,
    "hmac": 0.0,
}
TIMED = frozenset(("stripe", "slack", "standard-webhooks"))

_LONGEST_SECONDS = 7 * 24 * 3600.0

_FIELD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")


def read_verify(table: Table, key: str, base: str) -> VerifySettings | None:
    """The inline table *key*; ``None`` if it is not there."""
    own = table.inline(key)
    scheme: VerifyScheme | None = own.take("scheme", choice(SCHEMES), None)
    read = webhook_secret if scheme == "standard-webhooks" else plain
    secrets = take_secrets(own, base, "secret", "secret_file", read)
    header: str | None = own.take("header", _field, None)
    tolerance = own.take("tolerance", parse_duration_or_zero, TOLERANCES.get(scheme or "hmac", 0.0))
    if scheme is not None and scheme != "hmac":
        own.forbid("header", 'only with scheme = "hmac"')
    own.finish()
    if key not in table:
        return None
    _check(table, own, key, scheme, header, tolerance)
    if "secret" in own and secrets == ():
        own.mistake("secret", "found no secret; allowed: one, or a list of some")
    if "secret" not in own and "secret_file" not in own:
        table.mistake(key, "found without a secret; allowed: with secret or secret_file")
    return VerifySettings(
        scheme=scheme or "hmac", secrets=secrets or (), header=header, tolerance_seconds=tolerance
    )


def _check(
    table: Table,
    own: Table,
    key: str,
    scheme: VerifyScheme | None,
    header: str | None,
    tolerance: float,
) -> None:
    if "scheme" not in own:
        names = ", ".join(map(shown, SCHEMES))
        table.mistake(key, f"found without a scheme; allowed: with one of {names}")
    if scheme == "hmac" and "header" not in own:
        table.mistake(
            key, "found without a header; allowed: the name of the one that holds the signature"
        )
    if tolerance > _LONGEST_SECONDS or (scheme in TIMED and not tolerance):
        own.mistake("tolerance", 'found one that protects from nothing; allowed: up to "168h"')


def _field(value: object) -> str:
    if isinstance(value, str) and _FIELD.fullmatch(value):
        return value
    raise Refusal(shown(value), 'the name of a header field, such as "X-Signature"')
