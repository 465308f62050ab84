"""How a command ends."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes."""

    OK = 0
    #: It was done, and what came of it is no success: a call that failed, a daemon not ready.
    FAILED = 1
    #: It was typed wrongly; the code is click's.
    USAGE = 2
    UNREACHABLE = 3
    #: The daemon said no: there is no such call, no such function, or it may not be now.
    REFUSED = 4
    #: Somebody pressed Ctrl-C, as shells have it.
    INTERRUPTED = 130
