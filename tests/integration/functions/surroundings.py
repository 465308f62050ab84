"""Tells what it finds around itself: variables, descriptors, session, directory, SIGPIPE."""

import json
import os
import signal
import sys

found = {
    "environment": dict(os.environ),
    "descriptors": sorted(int(each) for each in os.listdir("/proc/self/fd"))[:-1],
    "leads_session": os.getsid(0) == os.getpid(),
    "directory": os.getcwd(),
    "sigpipe": signal.getsignal(signal.SIGPIPE) == signal.SIG_DFL,
    "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
    "arguments": sys.argv[1:],
}
with open("/proc/self/status") as status:
    found["ignored"] = next(line.split()[1] for line in status if line.startswith("SigIgn"))
json.dump(found, sys.stdout, default=int)
