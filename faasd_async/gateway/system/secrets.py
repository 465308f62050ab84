"""Secrets over REST, as OpenFaaS has it: made, changed, removed, and shown by name alone."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as NotBase64

import msgspec
from twisted.logger import Logger

from faasd_async.functions.roster import Roster
from faasd_async.functions.secrets import SecretStore
from faasd_async.gateway.query import Query
from faasd_async.gateway.refusal import Refusal
from faasd_async.gateway.system.orders import Namespace, carried_out, decoded, refusing
from faasd_async.settings.mistakes import shown
from faasd_async.settings.values import FILE_NAME_ALLOWED, is_file_name


class Secret(msgspec.Struct, rename="camel"):
    """:ivar raw_value: base64, for what is no text."""

    name: str
    namespace: str = ""
    value: str = ""
    raw_value: str = ""


class Secrets:
    """Fulfils the orders."""

    _log = Logger()

    def __init__(self, store: SecretStore, roster: Roster, namespace: Namespace) -> None:
        self._store = store
        self._roster = roster
        self._namespace = namespace

    def holds(self, name: str) -> bool:
        return name in self._store.names

    async def page(self, query: Query) -> list[dict[str, str]]:
        """The names of all.

        :raises Refusal: 404, of a namespace that there is not.
        """
        self._namespace.expect(query.text("namespace"))
        return [{"name": name, "namespace": self._namespace.name} for name in self._store.names]

    def check(self, body: bytes) -> None:
        """
        :raises Refusal: 400, it is none that could be kept.
        """
        secret, _ = self._read(body)
        if not is_file_name(secret.name):
            raise Refusal(400, f"name: found {shown(secret.name)}; allowed: {FILE_NAME_ALLOWED}")

    async def create(self, body: bytes) -> None:
        """
        :raises Refusal: 400, 409 (there is one) or 507: it is not kept.
        """
        secret, value = self._read(body)
        await self._put(secret.name, value, new=True)

    async def update(self, body: bytes) -> None:
        """
        :raises Refusal: 400, 404 or 507: it is what it was.
        """
        secret, value = self._read(body)
        await self._put(secret.name, value, new=False)

    async def remove(self, body: bytes) -> None:
        """
        :raises Refusal: 400, 404, 409 (a function is given it) or 507: it is still there.
        """
        secret = decoded(body, Secret)
        self._namespace.expect(secret.namespace)
        users = self._roster.using(secret.name)
        if users:
            raise Refusal(409, f"{secret.name} is given to {', '.join(users)}: remove that first")
        with refusing():
            await carried_out(self._store.remove(secret.name))
        self._log.info("an operator has removed the secret {name}", name=secret.name)

    def _read(self, body: bytes) -> tuple[Secret, bytes]:
        secret = decoded(body, Secret)
        self._namespace.expect(secret.namespace)
        try:
            value = b64decode(secret.raw_value, validate=True) or secret.value.encode()
        except (NotBase64, UnicodeError):
            raise Refusal(400, "rawValue: found no base64; allowed: base64") from None
        if not value:
            raise Refusal(400, "value: found none; allowed: a value, or rawValue in base64")
        return secret, value

    async def _put(self, name: str, value: bytes, *, new: bool) -> None:
        with refusing():
            await carried_out(self._store.put(name, value, new=new))
        self._log.info("an operator has written the secret {name}", name=name)
