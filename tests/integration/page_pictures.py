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

WIDTHS = {1280: 860, 390: 844}

VIEWS = {
    "functions": "#/",
    "queues": "#/queues",
    "calls": "#/calls",
    "dead-letters": "#/dead",
    "invoke": "#/invoke",
}

#: So long the page may take to settle down.
_STILL_SECONDS = 1.5


async def take(reactor: Any, url: str, directory: Path) -> None:
    """Every view at each width; light, and the first one dark as well."""
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as profile:
        browser = Browser(reactor, Path(profile) / "profile")
        browser.start()
        for width, height in WIDTHS.items():
            tab = await browser.tab(width, height)

            async def show(name: str, dark: bool = False, *, tab=tab, width=width) -> None:
                await tab.dark(dark)
                await deferLater(reactor, _STILL_SECONDS)
                await tab.picture(directory / f"{name}-{width}{'-dark' if dark else ''}.png")

            await tab.go(f"{url}/ui/")
            await tab.until("document.querySelector('tbody tr')")
            for name, place in VIEWS.items():
                await tab.evaluate(f"location.hash = {place!r}")
                await show(name)
                if name == "functions":
                    await show(name, dark=True)
            await tab.evaluate("location.hash = '#/calls?state=succeeded'")
            await tab.click("td a.id")
            await show("call")
        await browser.close()


def main(reactor: Any, url: str, directory: str) -> Deferred[None]:
    return Deferred.fromCoroutine(take(reactor, url.rstrip("/"), Path(directory)))


if __name__ == "__main__":
    react(main, sys.argv[1:])
