"""``[queue] backend = "nats-streaming"`` and ``[nats.streaming]``."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import pytest

from faasd_async.settings import Settings, StreamingSettings, load

Load = Callable[..., Settings]
Mistakes = Callable[..., list[str]]

STREAMING = '[queue]\nbackend = "nats-streaming"\n'
URLS = '[nats.streaming]\nurls = ["nats://nats:4222"]\n'
FUNCTION = '[functions.a]\ncommand = "cat"\n'


def test_an_address_is_all_that_is_needed(load_text: Load) -> None:
    """The rest is as OpenFaaS has it; JetStream is the embedded server's; the mode is static."""
    settings = load_text(STREAMING + URLS)
    assert settings.nats.embedded
    assert settings.queue.mode == "static"
    assert settings.nats.streaming == StreamingSettings(
        urls=("nats://nats:4222",),
        cluster_id="faas-cluster",
        client_id=None,
        channel="faas-request",
        queue_group="faas",
    )


def test_openfaas_names_count_over_the_file(load_text: Load) -> None:
    """A compose block can be moved as it is; what the daemon does by itself is told."""
    environment = {
        "faas_nats_address": "broker",
        "faas_nats_port": "5222",
        "faas_nats_cluster_name": "other-cluster",
        "faas_nats_channel": "other.request",
        "faas_nats_queue_group": "others",
        "faas_max_reconnect": "120",
    }
    settings = load_text(STREAMING + URLS, environment)
    assert settings.nats.streaming == StreamingSettings(
        urls=("nats://broker:5222",),
        cluster_id="other-cluster",
        channel="other.request",
        queue_group="others",
    )
    assert settings.notices == (
        "environment variables are ignored, for the daemon reconnects at once, and for as long as"
        " it takes: faas_max_reconnect",
    )


def test_the_address_may_come_from_the_environment_alone(load_text: Load) -> None:
    """As in OpenFaaS, the port has a default."""
    settings = load_text(STREAMING, {"faas_nats_address": "nats"})
    assert settings.nats.streaming.urls == ("nats://nats:4222",)
    assert settings.nats.urls == ()


def test_one_server_may_be_both(load_text: Load) -> None:
    """NATS Streaming on a NATS server that has JetStream: the address is said once."""
    settings = load_text(f'{STREAMING}[nats]\nembedded = false\nurls = ["nats://a:4222"]\n')
    assert settings.nats.streaming.urls == ()


@pytest.mark.parametrize(
    ("toml", "line"),
    [
        (STREAMING, '[nats.streaming] urls: found none; allowed: where NATS Streaming is,'
         ' ["nats://host:4222"]; without it, with embedded = false in [nats], it is where [nats]'
         ' urls say'),
        (f'{STREAMING}mode = "function"\n{URLS}', '[queue] mode: found "function" with backend ='
         ' "nats-streaming", where the calls of all functions stand in one channel; allowed:'
         ' "static"'),
        (f'{STREAMING}{URLS}cluster_id = "a b"', '[nats.streaming] cluster_id: found "a b";'
         ' allowed: letters, digits, "-" and "_", at most 128 of them'),
        (f'{STREAMING}{URLS}channel = "a..b"', '[nats.streaming] channel: found "a..b"; allowed: a'
         ' name of at most 63 letters, digits, "-", "_" and ".", no "." at an end or beside'
         ' another'),
        (f'{STREAMING}{URLS}{FUNCTION}queue = "faas-request"', '[functions.a] queue: found'
         ' "faas-request", the channel of the calls in the queue default; allowed: "default", or'
         ' another name'),
        (f'{STREAMING}{URLS}{FUNCTION}queue = "a."', '[functions.a] queue: found "a."; allowed: a'
         ' name of at most 63 letters, digits, "-", "_" and ".", no "." at an end or beside'
         ' another'),
    ],
)  # fmt: skip
def test_what_cannot_be_is_told_exactly(toml: str, line: str, mistakes: Mistakes) -> None:
    """Each mistake in a line of its own, with the key."""
    (found,) = mistakes(toml)
    assert found.endswith(line)


def test_without_protobuf_the_start_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, mistakes: Mistakes
) -> None:
    """It is an extra; nobody else needs it."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    (line,) = mistakes(STREAMING + URLS)
    assert "pip install 'faasd-async[streaming]'" in line


def test_with_another_backend_the_section_means_nothing() -> None:
    """Its defaults are there, and no NATS Streaming is asked for."""
    assert load(None, {}).nats.streaming == StreamingSettings()
