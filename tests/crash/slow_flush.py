"""``twistd``, on a disk whose flushes take longer: ``slow_flush.py SECONDS twistd's arguments``."""

import sys
import time
from functools import partial

from twisted.scripts.twistd import run

from faasd_async.assembly import queue
from faasd_async.queue.jetstream.durability import Barrier, syncfs

delay_seconds = float(sys.argv[1])


def flush(descriptor: int) -> None:
    """In the barrier's thread."""
    time.sleep(delay_seconds)
    syncfs(descriptor)


queue.Barrier = partial(Barrier, flush=flush)  # type: ignore[assignment, attr-defined]
sys.argv = ["twistd", *sys.argv[2:]]
run()
