"""Privileges that nobody may gain: neither the daemon, nor the functions and the broker it starts.

It is said once, to the kernel (``PR_SET_NO_NEW_PRIVS``), and holds for every child: a function's
``sudo`` is a program like any other. Under our unit systemd has said it already. ``setpriv`` would
say it for each process anew, and cost each call of a function half a millisecond.
"""

from __future__ import annotations

import ctypes

_PR_SET_NO_NEW_PRIVS = 38

#: For the operator, if it could not be said.
NOTICE = (
    "this system knows no PR_SET_NO_NEW_PRIVS: functions may gain privileges, by sudo and its like"
)


def gain_no_more() -> bool:
    """:return: whether it holds from now on."""
    try:
        prctl = ctypes.CDLL(None).prctl
    except (AttributeError, OSError):
        return False
    return bool(prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
