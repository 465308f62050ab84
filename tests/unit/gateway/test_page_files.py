"""The files of the operator's page, and what a browser is told about them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from front_door import Answer, FrontDoor
from twisted.internet.address import IPv4Address

from faasd_async.gateway.ui import page

HERE = IPv4Address("TCP", "127.0.0.1", 40123)
FILES = sorted(Path(page.__file__).with_name("static").iterdir())


def ask(door: FrontDoor, target: str, *fields: str, method: str = "GET") -> Answer:
    """As somebody at this machine."""
    client = door.client(HERE)
    lines = (f"{method} {target} HTTP/1.1", "Host: localhost", "Content-Length: 0", *fields)
    client.send("\r\n".join((*lines, "", "")).encode())
    return client.answer(bodiless=method == "HEAD")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_each_is_served_with_a_strict_policy(door: FrontDoor, path: Path) -> None:
    """Nothing but these files, no frame around them, no guess at what they are."""
    answer = ask(door, f"/ui/{path.name}")
    assert (answer.status, answer.body) == (200, path.read_bytes())
    policy = answer.header("Content-Security-Policy") or b""
    assert policy.startswith(b"default-src 'none'; script-src 'self'; style-src 'self';")
    assert b"unsafe" not in policy
    assert b"frame-ancestors 'none'" in policy
    assert answer.header("X-Frame-Options") == b"DENY"
    assert answer.header("X-Content-Type-Options") == b"nosniff"
    assert answer.header("Referrer-Policy") == b"no-referrer"


def test_the_page_itself(door: FrontDoor) -> None:
    """Under a slash; without it the way is told."""
    answer = ask(door, "/ui/")
    assert answer.header("Content-Type") == b"text/html; charset=utf-8"
    moved = ask(door, "/ui")
    assert (moved.status, moved.header("Location")) == (308, b"/ui/")


def test_what_is_known_is_not_sent_again(door: FrontDoor) -> None:
    """By the tag of its content."""
    tag = ask(door, "/ui/main.js").header("ETag")
    assert tag is not None
    again = ask(door, "/ui/main.js", f"If-None-Match: {tag.decode()}")
    assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize("name", ["page.py", "../page.py", "..%2fpage.py", "nothing.js", "a/b"])
def test_nothing_else_is_there(door: FrontDoor, name: str) -> None:
    """Neither beside the files nor above them."""
    assert ask(door, f"/ui/{name}").status == 404


def test_it_is_only_read(door: FrontDoor) -> None:
    """HEAD is answered as GET is."""
    assert ask(door, "/ui/", method="HEAD").status == 200
    assert ask(door, "/ui/", method="POST").status == 405


def test_strangers_do_not_get_it(door: FrontDoor) -> None:
    """Without a password it is for this machine alone."""
    assert door.ask("GET", "/ui/").answer().status == 403


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_markup_is_made_of_strings(path: Path) -> None:
    """No script or style within the page, no way around text, nobody else's servers."""
    source = path.read_text("utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|DOMParser", source)
    assert not re.search(r"\beval\(|new Function|\bstyle=|\son\w+=|<style", source)
    assert not re.search(r"<script(?! type=\"module\" src=\"main\.js\"></script>)", source)
    hosts = set(re.findall(r"https?://([^/\"'`\s]+)", source))
    assert hosts <= {"www.w3.org", "127.0.0.1:9000"}


@pytest.mark.parametrize(
    ("site", "status"),
    [("same-origin", 200), ("none", 200), ("same-site", 403), ("cross-site", 403)],
)
def test_orders_come_from_no_other_page(door: FrontDoor, site: str, status: int) -> None:
    """A browser says where a request comes from, in a field that no page can write."""
    order = "/system/function/f/pause"
    answer = ask(door, order, f"Sec-Fetch-Site: {site}", method="POST")
    assert answer.status == status


def test_a_link_from_elsewhere_leads_to_the_page(door: FrontDoor) -> None:
    """It gives no orders."""
    assert ask(door, "/ui/", "Sec-Fetch-Site: cross-site").status == 200
