"""Who may call a function that asks for a password: both doors ask here.

What follows from a call within the daemon is not asked. So whoever has an answer delivered to such
a function of this very daemon has to know its password when the call is accepted: or it would be
open to everybody who may call any other.
"""

from __future__ import annotations

from collections.abc import Callable

from faasd_async.call.headers import Headers, first
from faasd_async.call.route import FunctionRoute
from faasd_async.gateway.operator import Operators, invalid_credentials
from faasd_async.gateway.refusal import Refusal
from faasd_async.runtime.deployments import Deployment
from faasd_async.settings import AuthSettings


class Authentication:
    """Asks for passwords.

    :param find: finds the deployment that a route names; raises a refusal if there is none.
    """

    def __init__(
        self,
        operators: Operators,
        find: Callable[[FunctionRoute], Deployment],
    ) -> None:
        self._operators = operators
        self._find = find

    def admit(self, auth: AuthSettings, headers: Headers) -> None:
        """Let a caller in.

        :raises Refusal: 401.
        """
        if not auth.credentials:
            known = self._operators.say(headers)
        else:
            said = first(headers, b"authorization") or b""
            # Each is compared, so that the time tells nothing of which it was.
            known = sum(each.match(said) for each in auth.credentials) > 0
        if not known:
            raise invalid_credentials()

    def admit_callback(self, route: FunctionRoute, headers: Headers) -> None:
        """Let an answer go to a function of this daemon.

        :param headers: of the request that asks for it.
        :raises Refusal: 401.
        """
        try:
            auth = self._find(route).settings.auth
        except Refusal:
            return  # Nobody is there yet.
        if auth is not None:
            self.admit(auth, headers)


def without_password(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """What goes on to a function whose callers say a password: that was for the daemon."""
    return [field for field in headers if field[0].lower() != b"authorization"]
