"""How often a caller wants a call to be tried.

``X-Max-Attempts`` lowers what the function's ``retry`` allows, and never raises it. It is an order
to this daemon and does not go on to the function, which might pass its header fields on to another
call.
"""

from __future__ import annotations

from collections.abc import Mapping

from faasd_async.gateway.refusal import Refusal

#: The name, lower-case.
MAX_ATTEMPTS_FIELD = b"x-max-attempts"

#: More digits than any function's attempts have.
_MOST_DIGITS = 9


def read_max_attempts(said: Mapping[bytes, bytes]) -> int:
    """
    :param said: values by lower-case name.
    :return: 0 if its function's ``retry`` alone counts.
    :raises Refusal: 400, it is no number.
    """
    value = said.get(MAX_ATTEMPTS_FIELD)
    if value is None:
        return 0
    written = value.strip()
    if written.isdigit() and len(written) <= _MOST_DIGITS and int(written):
        return int(written)
    found = written[:40].decode("latin-1")
    raise Refusal(400, f"X-Max-Attempts: found {found!r}; allowed: a number of attempts, from 1")
