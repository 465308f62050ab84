"""Starts a child, which writes its pid into a FIFO and keeps it open for as long as it lives.

``begets.py FIFO stay|leave|escape [stubborn]``: then the parent stays, or leaves with 0;
``escape``: it leaves, and the child is in a session of its own with our standard output.
``stubborn``: neither of them minds SIGTERM.
"""

import signal
import subprocess
import sys

CHILD = """
import os, signal, sys
fifo = os.open(sys.argv[1], os.O_WRONLY)
os.write(fifo, b"%d\\n" % os.getpid())
os.write(2, b"open\\n")
os.close(2)
signal.pause()
"""

fifo, then, *stubborn = sys.argv[1:]
if stubborn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # which the child inherits
print("begun", flush=True)
child = subprocess.Popen(
    [sys.executable, "-c", CHILD, fifo],
    stderr=subprocess.PIPE,
    start_new_session=then == "escape",
)
child.stderr.readline()
if then == "stay":
    signal.pause()
