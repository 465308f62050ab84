"""The operator's page, in a browser: every action, at the width of a desk and of a phone."""

from __future__ import annotations

import json
import os
import signal
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_twisted
from browser import CHROMIUM, Browser, BrowserError, Tab
from daemon import Daemon

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")

WIDTHS = {1280: 900, 390: 844}
PASSWORD = "Basic " + b64encode(b"admin:s3cret").decode()

#: Where every view is; ``call`` is completed with an id.
VIEWS = ("#/", "#/queues", "#/calls", "#/dead", "#/invoke")

CONFIG = """
basic_auth = true
secret_mount_path = "{secrets}"
[functions.echo]
command = ["cat"]
[functions.fail]
command = ["false"]
[functions.held]
command = ["cat"]
queue = "slow"
"""

CANARY = '<img src=x onerror="pwned=1">'


@dataclass(frozen=True)
class House:
    """What the tests of this file share."""

    daemon: Daemon
    browser: Browser

    async def tab(self, width: int, place: str = "") -> Tab:
        """The page, at a width, with what it shows first."""
        tab = await self.browser.tab(width, WIDTHS[width], Authorization=PASSWORD)
        await tab.go(self.daemon.url(f"/ui/{place}"))
        await tab.see("live", "#pulse")
        return tab

    async def accept(self, function: str, body: bytes = b"Hi", **headers: str) -> str:
        """Queue a call; return its id."""
        answer = await self.daemon.request(f"/async-function/{function}", body, **headers)
        assert answer.status == 202, answer.body
        call_id = answer.header("X-Call-Id")
        assert call_id is not None
        return call_id

    async def ended(self, call_id: str) -> None:
        """Wait for a call's end."""
        target = f"/call/{call_id}/result?wait=30s"
        await self.daemon.request(target, method="GET", Authorization=PASSWORD)


@pytest_twisted.async_yield_fixture(scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """A daemon with a password, and a browser."""
    from twisted.internet import reactor

    directory = tmp_path_factory.mktemp("page")
    secrets = directory / "secrets"
    secrets.mkdir()
    (secrets / "basic-auth-user").write_text("admin")
    (secrets / "basic-auth-password").write_text("s3cret")
    daemon = Daemon(reactor, directory, CONFIG.format(secrets=secrets))
    browser = Browser(reactor, directory / "profile")
    browser.start()
    await daemon.start()
    try:
        yield House(daemon, browser)
    finally:
        await browser.close()
        await daemon.end()


async def sound(tab: Tab, width: int) -> None:
    """Nothing stands out to the side, no control is cut off, and nothing was complained of."""
    await tab.evaluate("document.fonts.ready.then(() => null)")
    odd = await tab.evaluate(_ODD % {"width": width})
    assert odd == [], await tab.evaluate("location.hash")
    assert tab.complaints == []


#: Whatever is wider than the window, and controls whose text does not fit into them.
_ODD = """(() => {
  const odd = [];
  const wide = document.documentElement.scrollWidth;
  if (wide > %(width)d) odd.push(`the page is ${wide} wide`);
  const some = "a, button, input, select, textarea, .pill, td, h1";
  for (const each of document.querySelectorAll(some)) {
    if (!each.checkVisibility() || each.closest("thead") || each.className === "skip") continue;
    const box = each.getBoundingClientRect();
    const name = `${each.tagName} ${each.name ?? ""} ${each.textContent.slice(0, 40)}`;
    if (box.left < 0 || box.right > %(width)d + 0.5) odd.push(`outside: ${name}`);
    if (each.matches("input, textarea") || !each.clientWidth) continue;
    if (each.scrollWidth > each.clientWidth + 1) odd.push(`cut: ${name}`);
  }
  return odd;
})()"""

#: Everything that can be done something with, by what it is and says.
_CONTROLS = """(() => {
  const some = "a[href], button:not(:disabled), input, select, textarea, summary, [tabindex='0']";
  const all = [...document.querySelectorAll(some)].filter((each) => each.checkVisibility());
  const radios = (each) => each.type === "radio" && !each.checked;
  return all.filter((each) => !radios(each)).length;
})()"""


@pytest.mark.parametrize("width", WIDTHS)
@pytest_twisted.ensureDeferred
async def test_queues_are_paused_resumed_and_purged(house: House, width: int) -> None:
    """So are functions; what cannot be taken back is asked about first, and may be left."""
    tab = await house.tab(width, "#/queues")
    slow, held = "[aria-label='Queue slow']", "button[aria-label$='function held']"
    await tab.click("button[aria-label='Pause queue slow']")
    await tab.see("The queue slow is paused.", "#toast")
    await tab.see("paused", f"{slow} header")
    await tab.click("button[aria-label='Pause function held']")
    await tab.until(f"document.querySelector({json.dumps(held)}).textContent === 'Resume'")
    await sound(tab, width)
    for _ in range(3):
        await house.accept("held")
    await tab.see("3 calls wait", slow)
    await tab.click("button[aria-label='Purge function held']")
    await tab.see("without a callback", "dialog")
    await sound(tab, width)
    await tab.click("dialog button", "Cancel")
    await tab.until("!document.querySelector('dialog')")
    await tab.see("3 calls wait", slow)
    await tab.click("button[aria-label='Purge function held']")
    await tab.click("dialog button", "Purge")
    await tab.see("3 calls are gone.", "#toast")
    await tab.see("Nothing waits", slow)
    await house.accept("held")
    await tab.see("1 call waits", slow)
    await tab.click("button[aria-label='Purge queue slow']")
    await tab.click("dialog button", "Purge")
    await tab.see("1 call is gone.", "#toast")
    await tab.click("button[aria-label='Resume function held']")
    await tab.see("The function held goes on.", "#toast")
    await tab.click("button[aria-label='Resume queue slow']")
    await tab.see("The queue slow goes on.", "#toast")
    await sound(tab, width)


@pytest.mark.parametrize("width", WIDTHS)
@pytest_twisted.ensureDeferred
async def test_calls_are_searched_looked_at_and_cancelled(house: House, width: int) -> None:
    """By id, function and state; a call that waits tells its request, one that has ended its
    result, and the list goes on by itself."""
    tab = await house.tab(width, "#/calls")
    done = await house.accept("echo", b"what came of it", X_Trace="abc")
    await tab.see(done, "tbody")
    failed = await house.accept("fail")
    await tab.see(failed, "tbody")
    await sound(tab, width)
    await tab.choose("select[name=state]", "failed")
    await tab.until(f"!document.querySelector('tbody').innerText.includes('{done}')")
    await tab.see(failed, "tbody")
    await tab.choose("select[name=state]", "")
    await tab.write("input[name=function]", "nobody")
    await tab.click("button", "Search")
    await tab.see("No such call")
    await tab.write("input[name=function]", "echo")
    await tab.write("input[name=id]", done)
    await tab.click("button", "Search")
    await tab.until("document.querySelectorAll('tbody tr').length === 1")
    await tab.click("a.id", done)
    await tab.see("Attempt 1 answered 200", ".life")
    await tab.see("what came of it", "pre")
    await sound(tab, width)
    await tab.until("document.querySelector('a[download]')?.textContent === 'Save'")

    await house.daemon.request("/system/queues/slow/pause", Authorization=PASSWORD)
    waiting = await house.accept("held", b"what it was called with")
    await tab.evaluate(f"location.hash = '#/call/{waiting}'")
    await tab.see("what it was called with", "pre")
    await sound(tab, width)
    await tab.click("button", "Cancel this call")
    await tab.click("dialog button", "Cancel it")
    await tab.see("Cancelled", ".life")
    await sound(tab, width)
    await house.daemon.request("/system/queues/slow/resume", Authorization=PASSWORD)


@pytest.mark.parametrize("width", WIDTHS)
@pytest_twisted.ensureDeferred
async def test_older_calls_are_a_page_further(house: House, width: int) -> None:
    """As long as there are any."""
    for call_id in [await house.accept("echo") for _ in range(30)]:
        await house.ended(call_id)
    tab = await house.tab(width, "#/calls?function=echo")
    await tab.until("document.querySelectorAll('tbody tr').length === 25")
    await tab.click("button", "Older calls")
    await tab.until("document.querySelectorAll('tbody tr').length >= 30")
    await sound(tab, width)


@pytest.mark.parametrize("width", WIDTHS)
@pytest_twisted.ensureDeferred
async def test_dead_letters_are_read_replayed_and_purged(house: House, width: int) -> None:
    """One, or all that a filter means."""
    everything = "/system/dead-letters?all=true"
    await house.daemon.request(everything, method="DELETE", Authorization=PASSWORD)
    calls = [await house.accept("fail", b"body %d" % number) for number in range(4)]
    for call_id in calls:
        await house.ended(call_id)
    tab = await house.tab(width, "#/dead")
    count = "document.querySelectorAll('details').length"
    await tab.until(f"{count} >= 4")
    await tab.choose("select[name=kind]", "callback")
    await tab.see("No dead letters")
    await tab.choose("select[name=kind]", "call")
    await tab.choose("select[name=reason]", "failed")
    await tab.write("input[name=function]", "fail")
    await tab.click("button", "Search")
    before = await tab.until(f"{count} >= 4 && {count}")
    await tab.click("summary", "fail")
    await tab.see("body", "details pre")
    await sound(tab, width)
    await tab.click("details button", "Purge")
    await tab.click("dialog button", "Purge")
    await tab.see("The letter is gone.", "#toast")
    await tab.until(f"{count} === {before - 1}")
    await tab.click("summary", "fail")
    await tab.click("details button", "Replay")
    await tab.see("1 letter is on the way again.", "#toast")
    await tab.click("button", "Replay all of these")
    await tab.see("letters are on the way again.", "#toast")
    for call_id in calls:
        await house.ended(call_id)
    await tab.until(f"(document.querySelector('form button').click(), {count} === {before - 1})")
    await tab.click("button", "Purge all of these")
    await tab.click("dialog button", "Purge")
    await tab.see("gone.", "#toast")
    await tab.see("No dead letters")
    await sound(tab, width)


@pytest.mark.parametrize("width", WIDTHS)
@pytest_twisted.ensureDeferred
async def test_a_function_is_invoked(house: House, width: int) -> None:
    """Waited for, queued, and queued with a callback; what is typed wrongly is said."""
    tab = await house.tab(width, "#/invoke")
    await tab.choose("select[name=function]", "echo")
    await tab.write("input[name=path]", "a?b=c")
    await tab.write("textarea[name=headers]", "no field")
    await tab.write("textarea[name=body]", "Said by hand")
    await tab.click("button", "Invoke")
    await tab.see("is not of the form", "#toast")
    await tab.write("textarea[name=headers]", "X-Trace: abc")
    await tab.click("button", "Invoke")
    await tab.see("Said by hand", ".answer pre")
    await sound(tab, width)
    await tab.click(".choice label", "Queue it")
    await tab.click("button", "Invoke")
    await tab.see("accepted, and on disk", ".answer")
    await sound(tab, width)
    await tab.click(".choice label", "Queue it, call back")
    await tab.write("input[name=callback]", house.daemon.url("/function/echo"))
    await tab.click("button", "Invoke")
    await tab.until("document.querySelector('.answer a.id')")
    await tab.click(".answer a.id")
    await tab.see("Callback delivered", ".life")
    await sound(tab, width)


@pytest.mark.parametrize("width", WIDTHS)
@pytest_twisted.ensureDeferred
async def test_a_call_that_is_in_doubt(house: House, width: int) -> None:
    """The broker did not say in time whether it has it: that is told in words, with where one can
    see what became of it."""
    tab = await house.tab(width, "#/invoke")
    await tab.choose("select[name=function]", "echo")
    await tab.click(".choice label", "Queue it")
    house.daemon.stop_broker()
    try:
        await tab.click("button", "Invoke")
        await tab.see("too slow to say whether the call is stored; if it is, it runs", ".answer")
        await tab.see("the call may still run", ".answer pre")
        # A browser tells its console of every answer from 400 on.
        assert all("status of 504" in each for each in tab.complaints)
        del tab.complaints[:]
        await sound(tab, width)
    finally:
        os.kill(house.daemon.broker_pid, signal.SIGCONT)
    await tab.click(".answer a.id")
    await tab.see("Attempt 1 answered 200", ".life")


@pytest.mark.parametrize("width", WIDTHS)
@pytest_twisted.ensureDeferred
async def test_functions_show_what_they_do(house: House, width: int) -> None:
    """Rates and latencies of those that were called, charts that keys can read, and no more than
    fits, in light and dark."""
    await house.ended(await house.accept("echo"))
    tab = await house.tab(width)
    await tab.until("/ms/.test(document.querySelector('tbody').innerText)")
    assert await tab.evaluate("document.querySelectorAll('.chart svg').length") == 3
    await tab.until("document.querySelector('.chart .line')")
    await tab.evaluate("document.querySelector('.chart svg').focus()")
    await tab.press("ArrowLeft", 37)
    await tab.until("/\\d+:\\d+/.test(document.querySelector('.chart .at').textContent)")
    await sound(tab, width)
    await tab.dark(True)
    assert (
        await tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(19, 22, 21)"
    )
    await sound(tab, width)


@pytest.mark.parametrize("width", WIDTHS)
@pytest_twisted.ensureDeferred
async def test_keys_reach_everything(house: House, width: int) -> None:
    """In every view, and where one is can be seen."""
    await house.ended(await house.accept("fail"))
    call_id = await house.accept("echo")
    await house.ended(call_id)
    tab = await house.tab(width)
    for place in (*VIEWS, f"#/call/{call_id}"):
        await tab.evaluate(f"location.hash = {place!r}; document.activeElement.blur()")
        await tab.until("document.querySelector('main').innerText.length > 60")
        if place.startswith("#/call/"):
            await tab.see("Attempt 1 answered 200")
        wanted = await tab.evaluate(_CONTROLS)
        reached: set[int] = set()
        await tab.evaluate("window.seen = []; document.querySelector('.skip').focus()")
        for _ in range(wanted + 3):
            reached.add(await tab.evaluate(_HERE))
            await tab.press("Tab", 9)
        assert len(reached - {-1}) >= wanted, place
        assert tab.complaints == []


#: Which element has the focus, of those that had it; and that it shows.
_HERE = """(() => {
  const here = document.activeElement;
  if (here === document.body) return -1;
  const shown = here.type === "radio" ? here.nextElementSibling : here;
  const ring = getComputedStyle(shown).outlineStyle;
  if (ring === "none") throw new Error(`no ring: ${here.outerHTML}`);
  if (!seen.includes(here)) seen.push(here);
  return seen.indexOf(here);
})()"""

#: Every text that the daemon tells is followed by markup; moments and numbers stay what they are.
_HOSTILE = """
  const spoil = (value) => {
    if (typeof value === "string") return isNaN(Date.parse(value)) ? value + CANARY : value;
    if (Array.isArray(value)) return value.map(spoil);
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, spoil(each)]));
  };
  const CANARY = %s;
  const asked = [encodeURIComponent(CANARY), String(new URLSearchParams({ a: CANARY })).slice(2)];
  const real = window.fetch;
  window.fetch = (url, about) =>
    real(asked.reduce((clean, each) => clean.replaceAll(each, ""), url), about);
  const parse = JSON.parse;
  JSON.parse = (text) => spoil(parse(text));
  const json = Response.prototype.json;
  Response.prototype.json = function () { return json.call(this).then(spoil); };
"""


@pytest_twisted.ensureDeferred
async def test_whatever_the_daemon_tells_stays_text(house: House) -> None:
    """Names of functions and queues, states, reasons, errors, header fields, addresses."""
    await house.ended(await house.accept("fail"))
    call_id = await house.accept("echo")
    await house.ended(call_id)
    tab = await house.browser.tab(390, 844, Authorization=PASSWORD)
    source = _HOSTILE % json.dumps(CANARY)
    await tab.send("Page.addScriptToEvaluateOnNewDocument", source=source)
    await tab.go(house.daemon.url("/ui/"))
    for place in (*VIEWS[:4], f"#/call/{call_id}"):
        await tab.evaluate(f"location.hash = {place!r}")
        await tab.see(CANARY, "main")
        if place == "#/dead":
            await tab.click("summary")
            await tab.until("document.querySelector('details .fields')")
        assert await tab.evaluate("document.querySelectorAll('img[src=x]').length") == 0
        assert await tab.evaluate("typeof pwned") == "undefined"
    assert tab.complaints == []


@pytest_twisted.ensureDeferred
async def test_whatever_a_caller_sends_stays_text(house: House) -> None:
    """Ids, paths, header fields and bodies; a page that is answered is not shown as one."""
    page = f"<script>pwned=1</script>{CANARY}".encode()
    await house.daemon.request("/system/queues/slow/pause", Authorization=PASSWORD)
    waiting = await house.accept(
        f"held/{CANARY.replace(' ', '%20')}", page, X_Call_Id="<script>pwned=1</script>", X_A=CANARY
    )
    done = await house.accept("echo", page, Content_Type="text/html")
    await house.ended(done)
    tab = await house.tab(1280, "#/calls")
    await tab.see(waiting, "tbody")
    await tab.click("a.id", waiting)
    for text in (page.decode(), CANARY, CANARY.replace(" ", "%20")):
        await tab.see(text, ".pair")
    await sound(tab, 1280)
    await tab.evaluate(f"location.hash = '#/call/{done}'")
    await tab.see(page.decode(), "pre")
    assert await tab.evaluate("document.querySelectorAll('main script, main img').length") == 0
    assert await tab.evaluate("typeof pwned") == "undefined"
    await sound(tab, 1280)
    await house.daemon.request("/system/queues/slow/resume", Authorization=PASSWORD)


#: What the page never does: make markup of a text.
_MARKUP = """
  const markup = (each) =>
    typeof each === "string" ? document.createRange().createContextualFragment(each) : each;
  for (const name of ["append", "replaceChildren"]) {
    const real = Element.prototype[name];
    Element.prototype[name] = function (...children) { real.apply(this, children.map(markup)); };
  }
"""


@pytest.mark.parametrize("where", ["a function's name", "a path", "a body"])
@pytest_twisted.ensureDeferred
async def test_what_markup_would_do(house: House, where: str) -> None:
    """The page's policy lets nothing make markup of a text; if something did, and there were no
    policy, a stranger's script would run."""
    await house.daemon.request("/system/queues/slow/pause", Authorization=PASSWORD)
    # Of a path a space would be written out, which markup can do without.
    path = '<img/src="x"onerror="pwned=1">' if where == "a path" else ""
    waiting = await house.accept(f"held/{path}", CANARY.encode() if where == "a body" else b"")
    named = where == "a function's name"
    place = "#/" if named else f"#/call/{waiting}"
    tab = await house.tab(1280, place)
    with pytest.raises(BrowserError, match="TrustedHTML"):
        await tab.evaluate(f"document.querySelector('main').innerHTML = {json.dumps(CANARY)}")
    assert await tab.evaluate("typeof pwned") == "undefined"
    tab = await house.browser.tab(1280, 900, Authorization=PASSWORD)
    for source in (_MARKUP, _HOSTILE % json.dumps(CANARY) if named else ""):
        await tab.send("Page.addScriptToEvaluateOnNewDocument", source=source)
    await tab.send("Page.setBypassCSP", enabled=True)
    await tab.go(house.daemon.url(f"/ui/{place}"))
    await tab.until("window.pwned === 1")
    await house.daemon.request("/system/queues/slow/resume", Authorization=PASSWORD)


@pytest_twisted.ensureDeferred
async def test_the_page_comes_back_with_the_daemon(house: House) -> None:
    """It says that the connection is lost, and goes on when it is there again."""
    tab = await house.tab(390)
    assert await house.daemon.stop() == 0
    await tab.see("connection lost", "#pulse")
    house.daemon.status = None
    await house.daemon.start()
    await tab.see("live", "#pulse")
    await tab.see("echo", "tbody")
