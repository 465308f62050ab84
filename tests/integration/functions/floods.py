"""Writes one byte and waits for a byte from one FIFO; writes then until the pipe is full, tells how
much that was in another FIFO, and writes the rest: ``floods.py GO TOLD TOTAL``."""

import os
import sys

go, told, total = sys.argv[1], sys.argv[2], int(sys.argv[3])
piece = b"\0" * 65536
os.write(1, b"x")
with open(go, "rb") as gate:
    gate.read(1)
sent = 0
os.set_blocking(1, False)
try:
    while sent < total:
        sent += os.write(1, piece[: total - sent])
except BlockingIOError:
    pass
with open(told, "wb") as report:
    report.write(b"%d\n" % sent)
os.set_blocking(1, True)
while sent < total:
    sent += os.write(1, piece[: total - sent])
