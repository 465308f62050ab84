"""What the runtimes ask of a reactor."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorFDSet, IReactorTCP, IReactorTime


class IRuntimeReactor(IReactorTime, IReactorTCP, IReactorFDSet):
    """Time for limits and pauses, TCP for upstreams, descriptors for the pipes of processes.

    Every reactor of Twisted for POSIX is one; this is but a name for the three together.
    """
