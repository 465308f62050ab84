"""Where a callback may go."""

from __future__ import annotations

import socket
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faasd_async.call.callback_url import MalformedCallbackUrl, parse
from faasd_async.callback.destination import DestinationPolicy, literal_address

OWN_PORT = 8080

METADATA = [
    "http://169.254.169.254/latest",
    "http://169.254.0.1/",
    "http://169.254.169.254./",
    "http://2852039166/",
    "http://0xa9fea9fe/",
    "http://0xa9.254.169.254/",
    "http://0251.0376.0251.0376/",
    "http://169.254.43518/",
    "http://[fe80::1]/",
    "http://[::ffff:169.254.169.254]/",
    "http://[::ffff:a9fe:a9fe]/",
    "http://[2002:a9fe:a9fe::1]/",
    "http://[fd00:ec2::254]/",
    "http://100.100.100.200/",
    "http://metadata/",
    "http://METADATA.google.internal/",
    "http://metadata.google.internal./",
    "http://instance-data:80/",
    "https://user:password@169.254.169.254/",
]

PRIVATE = [
    "http://127.0.0.1/",
    "http://127.9.9.9/",
    "http://127.1/",
    "http://0x7f000001/",
    "http://0/",
    "http://10.0.0.1/",
    "http://172.16.0.1/",
    "http://192.168.1.1:8080/",
    "http://[::1]/",
    "http://[::]/",
    "http://[::ffff:10.0.0.1]/",
    "http://[fd12::1]/",
    "http://localhost/",
    "http://LocalHost./",
    "http://api.localhost/",
]

PUBLIC = [
    "http://example.org/",
    "https://93.184.215.14/",
    "http://[2606:2800::1]/",
    "http://localhost.example.org/",
    "http://notmetadata/",
]

HERE = ["127.0.0.1", "127.0.0.2", "[::1]", "0.0.0.0", "localhost", "LOCALHOST.", "2130706433"]


def why_not(url: str, *, private: bool = True, ports: tuple[int, ...] = ()) -> str | None:
    return DestinationPolicy(private, lambda: ports).refuse(parse(url.encode()))


@pytest.mark.parametrize("private", [True, False])
@pytest.mark.parametrize("url", METADATA)
def test_metadata_is_never_called(url: str, private: bool) -> None:
    """Under either policy, in any notation, on any port."""
    assert (
        why_not(url, private=private) == "link-local and metadata addresses cannot be called back"
    )


@pytest.mark.parametrize("url", METADATA[:1])
def test_metadata_is_never_called_on_an_own_port(url: str) -> None:
    """Not even under a function's path."""
    assert why_not(url.replace("/latest", ":8080/function/f"), ports=(OWN_PORT,))


@pytest.mark.parametrize("url", PRIVATE)
def test_private_addresses(url: str) -> None:
    """An edge's callbacks go there, unless the policy is ``public``."""
    assert why_not(url) is None
    refusal = "private and loopback addresses cannot be called back"
    assert why_not(url, private=False) == refusal


@pytest.mark.parametrize("url", PUBLIC)
def test_public_addresses(url: str) -> None:
    """Under either policy."""
    assert (why_not(url), why_not(url, private=False)) == (None, None)


@pytest.mark.parametrize("private", [True, False])
@pytest.mark.parametrize("host", HERE)
def test_of_this_daemon_only_functions(host: str, private: bool) -> None:
    """Both routes to them, and nothing that merely looks so; whatever the policy."""
    own = f"http://{host}:{OWN_PORT}"
    for path in ("/function/f", "/async-function/f/x?y", "/function/f.openfaas-fn"):
        assert why_not(own + path, private=private, ports=(OWN_PORT, 80)) is None
    for path in (
        "/",
        "",
        "/system/functions",
        "/function",
        "/function/",
        "//function/f",
        "/x?/function/f",
    ):
        assert (
            why_not(own + path, private=private, ports=(OWN_PORT,))
            == "of this daemon only functions can be called"
        )


def test_an_own_port_may_be_the_schemes() -> None:
    """A URL without a port has one all the same."""
    assert why_not("http://localhost/x", ports=(80,))
    assert why_not("https://localhost/x", ports=(443,))
    assert why_not("https://localhost/x", ports=(80,)) is None


def test_this_machine_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is here, too."""
    monkeypatch.setattr(socket, "gethostname", lambda: "edge-7")
    assert why_not("http://edge-7:8080/system", ports=(OWN_PORT,))
    assert why_not("http://edge-8:8080/system", ports=(OWN_PORT,)) is None


@pytest.mark.parametrize(
    "host", ["gateway", "gateway:8080", "GATEWAY.:80", "door.example.com", "gateway:18080"]
)
def test_names_that_callers_have_for_this_daemon(host: str) -> None:
    """They mean its functions and nothing else of it, and are called by plain HTTP."""
    policy = DestinationPolicy(False, lambda: {18080}, ("gateway", "door.example.com"))
    assert policy.is_own(parse(f"http://{host}/async-function/f".encode()))
    assert policy.refuse(parse(f"http://{host}/function/f".encode())) is None
    assert policy.refuse(parse(f"http://{host}/system/functions".encode())) is not None


@pytest.mark.parametrize("url", [b"http://gateway:9000/", b"https://gateway/", b"http://gateways/"])
def test_names_that_only_look_alike(url: bytes) -> None:
    """Another port, another scheme, another name: somebody else."""
    assert not DestinationPolicy(True, lambda: {18080}, ("gateway",)).is_own(parse(url))


def test_the_same_port_elsewhere() -> None:
    """Another machine's is no business of this daemon."""
    assert why_not("http://192.0.2.1:8080/system", ports=(OWN_PORT,)) is None


def test_own_ports_are_asked_each_time() -> None:
    """They are known only once the doors are open."""
    ports: set[int] = set()
    policy = DestinationPolicy(True, lambda: ports)
    url = parse(b"http://localhost:8080/system")
    assert policy.refuse(url) is None
    ports.add(OWN_PORT)
    assert policy.refuse(url) is not None


@given(st.ip_addresses(v=4))
def test_an_address_in_any_notation(address: object) -> None:
    """Dotted, as one number in any base, mapped or tunnelled: the same machine is meant."""
    number = int(ip_address(str(address)))
    high, low = number >> 16, number & 0xFFFF
    for text in (
        str(address),
        str(number),
        hex(number),
        f"0{number:o}" if number else "0",
        f"::ffff:{address}",
        f"2002:{high:x}:{low:x}::",
    ):
        assert literal_address(text) == address


@given(st.binary(max_size=40))
def test_any_url_is_judged(raw: bytes) -> None:
    """Without an exception, whatever the host looks like."""
    try:
        url = parse(b"http://" + raw)
    except MalformedCallbackUrl:
        return
    assert why_not(url.text, private=False, ports=()) in (
        None,
        "link-local and metadata addresses cannot be called back",
        "private and loopback addresses cannot be called back",
    )


@pytest.mark.parametrize("host", ["example.org", "", "1.2.3.4.5", "h\xe9", "::g"])
def test_a_name_is_no_address(host: str) -> None:
    """It is looked up when it is called."""
    assert literal_address(host) is None
