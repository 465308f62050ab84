"""Writes one byte and waits for a byte from one FIFO; writes then until the pipe is full, tells how
much that was in another FIFO, and writes the rest: ``floods.py GO TOLD TOTAL``."""

import os
import select
import sys

go, told, total = sys.argv[1], sys.argv[2], int(sys.argv[3])
piece = b"\0" * 65536
os.write(1, b"x")
with open(go, "rb") as gate:
    gate.read(1)
sent = 0
os.set_blocking(1, False)
stdout = select.poll()
stdout.register(1, select.POLLOUT)
while sent < total and stdout.poll(200):  # if anybody reads, there is room before long
    sent += os.write(1, piece[: min(4096, total - sent)])
with open(told, "wb") as report:
    report.write(b"%d\n" % sent)
os.set_blocking(1, True)
while sent < total:
    sent += os.write(1, piece[: total - sent])
