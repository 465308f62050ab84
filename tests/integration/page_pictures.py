"""Pictures of the page, for the documentation: of a daemon that runs.

``python tests/integration/page_pictures.py http://127.0.0.1:8080 docs/images`` takes those that
``docs/page.rst`` shows.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from browser import Browser
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater, react

HEIGHTS = {1280: 760, 390: 760}

#: What they are called, which view it is, how wide, and whether in the dark.
PICTURES = (
    ("functions", "#/", 1280, False),
    ("functions-dark", "#/", 1280, True),
    ("queues", "#/queues", 1280, False),
    ("call", "#/calls?state=succeeded", 1280, False),
    ("dead-letters", "#/dead", 1280, False),
    ("functions-phone", "#/", 390, False),
    ("calls-phone", "#/calls", 390, True),
    ("invoke-phone", "#/invoke", 390, False),
)

#: So long the page may take to settle down.
_STILL_SECONDS = 1.5


async def take(reactor: Any, url: str, directory: Path) -> None:
    """Every picture."""
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as profile:
        browser = Browser(reactor, Path(profile) / "profile")
        browser.start()
        for name, place, width, dark in PICTURES:
            tab = await browser.tab(width, HEIGHTS[width])
            await tab.dark(dark)
            await tab.go(f"{url}/ui/{place}")
            await tab.see("live", "#pulse")
            if name == "call":
                await tab.click("td a.id")
            await deferLater(reactor, _STILL_SECONDS)
            await tab.picture(directory / f"{name}.png")
        await browser.close()


def main(reactor: Any, url: str, directory: str) -> Deferred[None]:
    return Deferred.fromCoroutine(take(reactor, url.rstrip("/"), Path(directory)))


if __name__ == "__main__":
    react(main, sys.argv[1:])
