"""What was found, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: ``well``; ``mind``: it works, and will not always; ``ill``: it does not work.
Verdict = Literal["well", "mind", "ill"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    :ivar subject: what it was, in a word.
    :ivar said: what is the case.
    :ivar remedy: what to do; empty if nothing is.
    """

    subject: str
    verdict: Verdict
    said: str
    remedy: str = ""


def well(subject: str, said: str) -> Finding:
    return Finding(subject, "well", said)
