"""The embedded nats-server: a child process of the daemon, with a store under its state directory.

``binary`` finds the program, ``configuration`` writes its files, ``orphan`` makes sure that it is
the only one on its store, ``child`` is one process from its start to its end, ``log`` reads what
it says, and ``supervisor`` keeps one running.
"""

from faasd_async.nats.server.configuration import ServerFiles, ServerSettings
from faasd_async.nats.server.supervisor import EmbeddedServer

__all__ = ["EmbeddedServer", "ServerFiles", "ServerSettings"]
