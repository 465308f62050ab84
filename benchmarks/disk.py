"""Whether a disk was told to flush, as the kernel counts it: what a barrier comes to in the end."""

from __future__ import annotations

import os
from pathlib import Path


def flushes(directory: str) -> int | None:
    """How many flushes the device below a directory has done since the machine started, whoever
    asked for them; ``None`` if nobody can tell: there is no such device, or it has no cache that
    would need one."""
    device = os.stat(directory).st_dev
    path = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
    try:
        # A partition's queue is that of its disk.
        queue = path / "queue" if (path / "queue").exists() else path.resolve().parent / "queue"
        if (queue / "write_cache").read_text(encoding="ascii").strip() != "write back":
            return None
        return int((path / "stat").read_text(encoding="ascii").split()[15])
    except (OSError, IndexError):
        return None
