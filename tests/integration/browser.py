"""A browser without a window, driven through a pipe by the DevTools protocol.

Clicks and keys are the browser's own input: what a person could not reach, a test cannot.
"""

from __future__ import annotations

import json
import os
import shutil
from base64 import b64decode
from itertools import count
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

CHROMIUM = shutil.which("chromium")

_OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-pipe"),
)

#: What the browser reads commands from and writes answers to.
_COMMANDS, _ANSWERS = 3, 4

_PATIENCE_SECONDS = 40


class BrowserError(AssertionError):
    """The browser says no, or the page failed."""


class Browser(ProcessProtocol):
    """One browser.

    :param profile: a directory that is not there yet.
    """

    def __init__(self, reactor: Any, profile: Path) -> None:
        self._reactor = reactor
        self._profile = profile
        self._numbers = count(1)
        self._open: dict[int, Deferred[dict[str, Any]]] = {}
        self._tabs: dict[str, Tab] = {}
        self._received = b""
        self._ended: Deferred[None] = Deferred()

    def start(self) -> None:
        assert CHROMIUM is not None
        arguments = [CHROMIUM, *_OPTIONS, f"--user-data-dir={self._profile}", "about:blank"]
        self._reactor.spawnProcess(
            self,
            CHROMIUM,
            arguments,
            env={**os.environ, "TZ": "UTC"},
            childFDs={0: "w", 1: "r", 2: "r", _COMMANDS: "w", _ANSWERS: "r"},
        )

    async def tab(self, width: int, height: int, **headers: str) -> Tab:
        """Open a page of a size, in place of the one that was open.

        :param headers: sent with each of its requests.
        """
        # Each keeps a connection, and a browser has but six for one host.
        for tab in self._tabs.values():
            await tab.send("Page.close")
        self._tabs.clear()
        target = await self.send("Target.createTarget", {"url": "about:blank"})
        attached = await self.send("Target.attachToTarget", {**target, "flatten": True})
        tab = self._tabs[attached["sessionId"]] = Tab(self, attached["sessionId"])
        await tab.prepare(width, height, headers)
        return tab

    def send(
        self, method: str, params: dict[str, Any], session: str | None = None
    ) -> Deferred[dict[str, Any]]:
        """Have a command done; fires with what it returns."""
        number = next(self._numbers)
        command = {"id": number, "method": method, "params": params}
        if session is not None:
            command["sessionId"] = session
        answer = self._open[number] = Deferred()
        self.transport.writeToChild(_COMMANDS, json.dumps(command).encode() + b"\0")  # type: ignore[union-attr]
        return answer.addTimeout(_PATIENCE_SECONDS, self._reactor)

    async def close(self) -> None:
        """End it, with all its processes."""
        if not self._ended.called:
            self.send("Browser.close", {}).addErrback(lambda _: None)
            await self._ended
        shutil.rmtree(self._profile, ignore_errors=True)

    def childDataReceived(self, child: int, data: bytes) -> None:
        if child != _ANSWERS:
            return
        *messages, self._received = (self._received + data).split(b"\0")
        for message in map(json.loads, messages):
            if "id" in message:
                self._answered(message)
            elif message.get("sessionId") in self._tabs:
                self._tabs[message["sessionId"]].happened(message["method"], message["params"])

    def _answered(self, message: dict[str, Any]) -> None:
        answer = self._open.pop(message["id"])
        if answer.called:
            return
        if "error" in message:
            answer.errback(BrowserError(message["error"]["message"]))
        else:
            answer.callback(message["result"])

    def processEnded(self, reason: Failure) -> None:
        for answer in self._open.values():
            if not answer.called:
                answer.errback(BrowserError("the browser ended"))
        self._ended.callback(None)


class Tab:
    """A page that is open.

    :ivar complaints: what it has written to its console as errors, and what was thrown.
    """

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self._session = session
        self.complaints: list[str] = []

    async def prepare(self, width: int, height: int, headers: dict[str, str]) -> None:
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self.send(f"{domain}.enable")
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        await self.send("Network.setExtraHTTPHeaders", headers=fields)
        await self.resize(width, height)

    def send(self, method: str, **params: Any) -> Deferred[dict[str, Any]]:
        return self._browser.send(method, params, self._session)

    def happened(self, method: str, params: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.complaints.append(details.get("exception", details).get("description", "?"))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
            self.complaints.append(str(params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.complaints.append(f"{params['entry']['text']} {params['entry'].get('url')}")

    async def resize(self, width: int, height: int) -> None:
        await self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )

    async def dark(self, is_dark: bool) -> None:
        scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        await self.send("Emulation.setEmulatedMedia", features=[scheme])

    async def go(self, url: str) -> None:
        await self.send("Page.navigate", url=url)

    async def evaluate(self, expression: str) -> Any:
        """The value of an expression, or of what it promises."""
        told = await self.send(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in told:
            raise BrowserError(told["exceptionDetails"]["exception"]["description"])
        return told["result"].get("value")

    async def until(self, condition: str) -> Any:
        """Wait until an expression is true; return its value."""
        try:
            return await self.evaluate(_UNTIL % {"condition": condition})
        except BrowserError as reason:
            shown = await self.evaluate("document.body?.innerText ?? ''")
            raise BrowserError(f"{condition}: {reason}\n{self.complaints}\n{shown}") from None

    async def see(self, text: str, within: str = "body") -> None:
        """Wait until a text is shown."""
        where = f"document.querySelector({json.dumps(within)})"
        await self.until(f"{where}?.innerText.includes({json.dumps(text)})")

    async def click(self, selector: str, text: str = "") -> None:
        """Click on the first element that matches and is shown, and has a text, if one is given."""
        wanted = f"[...document.querySelectorAll({json.dumps(selector)})]"
        found = (
            f"{wanted}.find(e => e.checkVisibility() && e.textContent.includes({json.dumps(text)}))"
        )
        x, y = await self.until(_CENTRE % {"found": found})
        for kind in ("mousePressed", "mouseReleased"):
            await self.send(
                "Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1
            )

    async def write(self, selector: str, text: str) -> None:
        """Put a text into a field, in place of what is there."""
        await self.click(selector)
        await self.evaluate(f"document.querySelector({json.dumps(selector)}).select()")
        await self.send("Input.insertText", text=text)

    async def choose(self, selector: str, value: str) -> None:
        """Choose one of a list, as its keys would."""
        where = f"document.querySelector({json.dumps(selector)})"
        await self.until(f"[...{where}.options].some(o => o.value === {json.dumps(value)})")
        await self.evaluate(
            f"{where}.value = {json.dumps(value)};"
            f"{where}.dispatchEvent(new Event('change', {{bubbles: true}}))"
        )

    async def press(self, key: str, code: int) -> None:
        """Press a key that writes nothing."""
        for kind in ("rawKeyDown", "keyUp"):
            await self.send(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code
            )

    async def picture(self, path: Path) -> None:
        """Write what is shown into a PNG file."""
        told = await self.send("Page.captureScreenshot", format="png")
        path.write_bytes(b64decode(told["data"]))


_UNTIL = """new Promise((resolve, reject) => {
  const begun = performance.now();
  const look = () => {
    let value;
    try { value = %(condition)s; } catch (error) { return reject(error); }
    if (value) resolve(value);
    else if (performance.now() - begun > 15000) reject(new Error("not in time"));
    else setTimeout(look, 20);
  };
  look();
})"""

#: Where to click; only once nothing lies above it.
_CENTRE = """(() => {
  const element = %(found)s;
  if (!element || element.disabled) return null;
  element.scrollIntoView({block: "center", behavior: "instant"});
  const box = element.getBoundingClientRect();
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
  const hit = document.elementFromPoint(x, y);
  return element.contains(hit) || hit?.contains(element) ? [x, y] : null;
})()"""
