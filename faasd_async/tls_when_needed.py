"""TLS for those who need it: what Twisted takes for it is loaded when it is used the first time.

pyOpenSSL and cryptography are a sixth of what an idle daemon holds, and most daemons never
speak TLS. Twisted's transports and endpoints ask for it by name when they are imported, and use it
when a connection does. So they are imported here, before anybody else does it, and are given
stand-ins for these names. The first stand-in that is used has all of them replaced by what they
stand for. Who asks for TLS later gets it as ever.

Where Twisted has its transports already nothing is done, and nothing is different.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

#: What is put off.
_PUT_OFF = (
    "OpenSSL",
    "OpenSSL.SSL",
    "twisted.internet.ssl",
    "twisted.protocols._sni",
    "twisted.protocols.tls",
)

#: Who asks for it by name.
_ASKING = (
    "twisted.internet._newtls",
    "twisted.internet.endpoints",
    "twisted.internet.posixbase",
)


def put_off() -> None:
    """Have Twisted's transports know TLS without loading it, if they are not there yet."""
    if any(name in sys.modules for name in (*_PUT_OFF, *_ASKING)):
        return
    sys.modules.update({name: _Module(name) for name in _PUT_OFF})
    try:
        for name in _ASKING:
            import_module(name)
    finally:
        for name in _PUT_OFF:
            del sys.modules[name]


class _Module(ModuleType):
    """Stands in for a module: whatever is asked of it is there."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name == "Error":
            return _NeverRaised
        return _StandIn(self.__name__, name)


class _StandIn:
    """Stands in for a class or a function.

    :param module: the one that has it.
    """

    def __init__(self, module: str, name: str) -> None:
        self._module = module
        self._name = name

    def __call__(self, *args: Any, **named: Any) -> Any:
        return self._real()(*args, **named)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real(), name)

    def _real(self) -> Any:
        _replace_all()
        return getattr(import_module(self._module), self._name)


class _NeverRaised(Exception):
    """Stands in for the errors of OpenSSL, which are none before it is loaded."""


def _replace_all() -> None:
    for asking in map(import_module, _ASKING):
        for name, value in list(vars(asking).items()):
            if isinstance(value, _Module):
                setattr(asking, name, import_module(value.__name__))
            elif isinstance(value, _StandIn):
                real = getattr(import_module(value._module), value._name)
                setattr(asking, name, real)
            elif value is _NeverRaised:
                setattr(asking, name, import_module("OpenSSL.SSL").Error)
