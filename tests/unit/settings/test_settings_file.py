"""The file's sections that concern the whole daemon, and every way in which they can be wrong."""

import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from faasd_async.errors import ConfigurationError
from faasd_async.settings import GatewaySettings, NatsSettings, QueueSettings, Settings, load

Load = Callable[..., Settings]
Mistakes = Callable[..., list[str]]


def test_without_a_file_every_default_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file and an empty environment make a complete object."""
    monkeypatch.chdir(tmp_path)
    settings = load(None, {})
    assert settings.state_dir == str(tmp_path / "faasd-async-state")
    assert settings.gateway == GatewaySettings()
    assert settings.queue == QueueSettings()
    assert settings.nats == NatsSettings()
    assert dict(settings.functions) == {}
    assert settings.notices == ()


def test_sections_are_read(load_text: Load, tmp_path: Path) -> None:
    """Every section's keys arrive, converted to seconds, bytes and absolute paths."""
    settings = load_text(
        """
        [gateway]
        listen = ["tcp:80", "unix:/run/faas.sock"]
        metrics_listen = []
        max_body = "1MiB"
        read_timeout = 5
        namespace = "fn"
        basic_auth = true
        secret_mount_path = "secrets"
        deploy = ["url", "command"]
        max_connections_per_address = 7
        trusted_proxies = ["10.0.0.0/8", "::1", "unix"]
        begin_traces = true
        aliases = ["Door.example.com"]
        [provider]
        url = "http://127.0.0.1:8081/"
        logs_url = "http://127.0.0.1:8082"
        secret_mount_path = "faasd"
        refresh = "3s"
        timeout = "4s"
        max_inflight = 9
        scale_from_zero = false
        [queue]
        backend = "memory"
        mode = "static"
        durability = "process"
        max_bytes = "1GiB"
        accept_deadline = "2s"
        max_messages = 8
        results_max_bytes = "3MiB"
        results_max_messages = 7
        dead_letters_max_bytes = "4MiB"
        dead_letters_max_messages = 6
        min_free = "1MiB"
        orphan_ttl = "1h"
        clock_wait = "0s"
        [nats]
        binary = "bin/nats-server"
        [worker]
        max_inflight = 7
        ack_wait = "1m"
        drain_timeout = "5s"
        write_debug = true
        [callback]
        attempts = 5
        min_wait = "1s"
        max_wait = "1h"
        policy = "public"
        max_inflight = 3
        max_hops = 0
        [containers]
        socket = "unix:///run/engine.sock"
        logins_file = "/etc/config.json"
        [log]
        format = "json"
        level = "debug"
        """
    )
    told = msgspec.to_builtins(settings, enc_hook=dict)
    assert told.pop("template")[0]["max_body_bytes"] == 2**20
    assert told == {
        "state_dir": os.path.abspath("faasd-async-state"),
        "gateway": {
            "listen": ("tcp:80", "unix:/run/faas.sock"),
            "metrics_listen": (),
            "max_body_bytes": 2**20,
            "read_timeout_seconds": 5.0,
            "namespace": "fn",
            "basic_auth": True,
            "secret_mount_path": str(tmp_path / "secrets"),
            "deploy": ("url", "command"),
            "max_connections_per_address": 7,
            "trusted_proxies": ("10.0.0.0/8", "::1/128", "unix"),
            "begin_traces": True,
            "aliases": ("door.example.com",),
        },
        "provider": {
            "url": "http://127.0.0.1:8081/",
            "logs_url": "http://127.0.0.1:8082",
            "secret_mount_path": str(tmp_path / "faasd"),
            "refresh_seconds": 3.0,
            "timeout_seconds": 4.0,
            "max_inflight": 9,
            "scale_from_zero": False,
        },
        "queue": {
            "backend": "memory",
            "mode": "static",
            "durability": "process",
            "max_bytes": 2**30,
            "accept_deadline_seconds": 2.0,
            "max_messages": 8,
            "results_max_bytes": 3 * 2**20,
            "results_max_messages": 7,
            "dead_letters_max_bytes": 4 * 2**20,
            "dead_letters_max_messages": 6,
            "min_free_bytes": 2**20,
            "orphan_ttl_seconds": 3600.0,
            "clock_wait_seconds": 0.0,
        },
        "nats": {
            "embedded": True,
            "urls": (),
            "user": None,
            "password": None,
            "token": None,
            "nkey_file": None,
            "credentials_file": None,
            "ca_file": None,
            "certificate_file": None,
            "key_file": None,
            "binary": str(tmp_path / "bin/nats-server"),
            "replicas": 1,
            "streaming": {
                "urls": (),
                "cluster_id": "faas-cluster",
                "client_id": None,
                "channel": "faas-request",
                "queue_group": "faas",
            },
        },
        "worker": {
            "max_inflight": 7,
            "ack_wait_seconds": 60.0,
            "drain_timeout_seconds": 5.0,
            "write_debug": True,
        },
        "callback": {
            "attempts": 5,
            "min_wait_seconds": 1.0,
            "max_wait_seconds": 3600.0,
            "policy": "public",
            "max_inflight": 3,
            "max_hops": 0,
            "signing_secrets": (),
            "ca_file": (),
        },
        "containers": {"socket": "/run/engine.sock", "logins_file": "/etc/config.json"},
        "log": {"format": "json", "level": "debug"},
        "functions": {},
        "stack": None,
        "proxy": None,
        "notices": (),
    }


def test_external_nats_is_read(load_text: Load) -> None:
    """A NATS server elsewhere has URLs, credentials and replicas."""
    settings = load_text(
        """
        [nats]
        embedded = false
        urls = ["nats://a:4222", "nats://[::1]:4223"]
        user = "faas"
        password = "hush"
        replicas = 3
        """
    )
    assert settings.nats == NatsSettings(
        embedded=False,
        urls=("nats://a:4222", "nats://[::1]:4223"),
        user="faas",
        password="hush",
        replicas=3,
    )


class TestStateDirectory:
    """Where the state is kept: the command line, the file, systemd, the current directory."""

    def test_command_line_counts_most(self, tmp_path: Path) -> None:
        """``--state-dir`` counts over the file; a relative one starts in the current directory."""
        path = tmp_path / "faas.toml"
        path.write_text('state_dir = "/from/file"')
        settings = load(str(path), {"STATE_DIRECTORY": "/from/systemd"}, state_dir="here")
        assert settings.state_dir == os.path.abspath("here")

    def test_file_counts_over_systemd(self, load_text: Load, tmp_path: Path) -> None:
        """The file's counts over ``$STATE_DIRECTORY``; a relative one starts beside the file."""
        settings = load_text('state_dir = "state"', {"STATE_DIRECTORY": "/from/systemd"})
        assert settings.state_dir == str(tmp_path / "state")

    def test_systemd_gives_the_first_of_its_list(self) -> None:
        """systemd separates several directories by colons: the first is ours."""
        assert load(None, {"STATE_DIRECTORY": "/var/lib/a:/var/lib/b"}).state_dir == "/var/lib/a"


def test_command_line_replaces_the_listeners(load_text: Load, tmp_path: Path) -> None:
    """``--listen`` stands in place of the file's listeners, not beside them."""
    load_text('[gateway]\nlisten = ["tcp:80"]')
    settings = load(str(tmp_path / "faas.toml"), {}, listen=["tcp:9000", "tcp:9001"])
    assert settings.gateway.listen == ("tcp:9000", "tcp:9001")


def test_wrong_listener_on_the_command_line_is_told() -> None:
    """A listener given by ``--listen`` is checked as one of the file is."""
    with pytest.raises(ConfigurationError) as caught:
        load(None, {}, listen=["8080"])
    assert str(caught.value) == f'--listen: found "8080"; allowed: {AN_ENDPOINT}'


def test_settings_are_frozen() -> None:
    """No part of the settings can be changed after they were read."""
    settings = load(None, {})
    with pytest.raises(AttributeError):
        settings.state_dir = "/elsewhere"  # type: ignore[misc]  # this is the test
    with pytest.raises(TypeError):
        settings.functions["new"] = None  # type: ignore[index]  # this is the test


AN_ENDPOINT = (
    'an endpoint such as "tcp:8080", "tcp:8080:interface=127.0.0.1" or "unix:/run/faas.sock"'
    " (kinds: tcp, tcp6, unix, ssl, tls, systemd, haproxy)"
)
A_DURATION = 'a duration above 0 and up to 10 years, such as "90s", "1h30m" or 90'
A_NAME = 'a name of at most 63 letters, digits, "-", "_" and "."'


@pytest.mark.parametrize(
    ("toml", "line"),
    [
        ("state_dir = 5", "state_dir: found 5; allowed: a path"),
        ("gateway = 5", "gateway: found 5; allowed: a table"),
        (
            "[wroker]",
            "wroker: unknown key, perhaps worker; allowed: callback, containers, defaults,"
            " functions, gateway, log, nats, provider, queue, state_dir, worker",
        ),
        (
            "[log]\ncolour = true",
            "[log] colour: unknown key; allowed: format, level",
        ),
        (
            "[worker]\nmax_inflght = 1",
            "[worker] max_inflght: unknown key, perhaps max_inflight; allowed: ack_wait,"
            " drain_timeout, max_inflight, write_debug",
        ),
        ('[gateway]\nlisten = ["8080"]', f'[gateway] listen: found "8080"; allowed: {AN_ENDPOINT}'),
        (
            '[gateway]\nlisten = "tcp:8080"',
            '[gateway] listen: found "tcp:8080"; allowed: a list of at least 1',
        ),
        (
            "[gateway]\nlisten = []",
            "[gateway] listen: found an empty list; allowed: a list of at least 1",
        ),
        (
            "[gateway]\nmetrics_listen = 8082",
            "[gateway] metrics_listen: found 8082; allowed: a list",
        ),
        (
            '[gateway]\nmax_body = "64 megs"',
            '[gateway] max_body: found "64 megs"; allowed: a size of whole bytes above 0, such as'
            ' "64MiB", "10kB" or 4096',
        ),
        (
            "[gateway]\nread_timeout = 2026-01-01",
            f"[gateway] read_timeout: found 2026-01-01; allowed: {A_DURATION}",
        ),
        ('[gateway]\nnamespace = ""', f'[gateway] namespace: found ""; allowed: {A_NAME}'),
        (
            '[queue]\nbackend = "kafka"',
            '[queue] backend: found "kafka"; allowed: "jetstream" or "nats-streaming" or "memory"',
        ),
        ("[queue]\nmode = [1]", '[queue] mode: found a list; allowed: "function" or "static"'),
        (
            '[queue]\naccept_deadline = "0s"',
            f'[queue] accept_deadline: found "0s"; allowed: {A_DURATION}',
        ),
        (
            "[callback]\nmin_wait = '4h'",
            "[callback] min_wait: found 4h; allowed: at most max_wait, 3h",
        ),
        (
            "[worker]\nmax_inflight = 0",
            "[worker] max_inflight: found 0; allowed: an integer of at least 1",
        ),
        (
            "[worker]\nmax_inflight = true",
            "[worker] max_inflight: found true; allowed: an integer of at least 1",
        ),
        (
            '[worker]\nwrite_debug = "yes"',
            '[worker] write_debug: found "yes"; allowed: true or false',
        ),
        (
            '[callback]\npolicy = "any"',
            '[callback] policy: found "any"; allowed: "private" or "public"',
        ),
        (
            '[log]\nlevel = "loud"',
            '[log] level: found "loud"; allowed: "debug" or "info" or "warn" or "error"',
        ),
        (
            '[nats]\nurls = ["nats://a"]',
            "[nats] urls: found here; allowed: only with embedded = false",
        ),
        (
            '[nats]\ntoken = "hush"',
            "[nats] token: found here; allowed: only with embedded = false",
        ),
        (
            "[nats]\nreplicas = 3",
            "[nats] replicas: found 3; allowed: 1, or more with embedded = false",
        ),
        (
            "[nats]\nembedded = false",
            "[nats] embedded: found false and no urls; allowed: false with"
            ' urls = ["nats://host:4222"]',
        ),
        (
            "[nats]\nembedded = false\nurls = []",
            "[nats] urls: found an empty list; allowed: a list of at least 1",
        ),
    ],
)
def test_mistake_is_told_exactly(toml: str, line: str, mistakes: Mistakes) -> None:
    """One mistake makes one line: file, key, what was found, what is allowed."""
    assert mistakes(toml) == [f"faas.toml: {line}"]


A_NATS_URL = (
    '"nats://host:4222" or "tls://host:4222", without credentials (they go into user and password,'
    " or token)"
)


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ('urls = ["a:4222"]', f'[nats] urls: found "a:4222"; allowed: {A_NATS_URL}'),
        ('urls = ["http://a"]', f'[nats] urls: found "http://a"; allowed: {A_NATS_URL}'),
        ('urls = ["nats://a:x"]', f'[nats] urls: found "nats://a:x"; allowed: {A_NATS_URL}'),
        ('urls = ["nats://u:hush@a"]', f'[nats] urls: found one with "@"; allowed: {A_NATS_URL}'),
        (
            'urls = ["nats://a"]\nuser = "u"',
            "[nats] user: found without password; allowed: both or neither",
        ),
        (
            'urls = ["nats://a"]\npassword = "hush"',
            "[nats] password: found without user; allowed: both or neither",
        ),
        (
            'urls = ["nats://a"]\npassword = "hush"\nuser = "u"\ntoken = "hush"',
            "[nats] token: found beside user; allowed: one of user and password, token,"
            " nkey_file, credentials_file",
        ),
        (
            'urls = ["nats://a"]\ntoken = ["hush"]',
            "[nats] token: found no string; allowed: a string that is not empty",
        ),
        (
            'urls = ["nats://a"]\nbinary = "/usr/bin/nats-server"',
            "[nats] binary: found here; allowed: only with embedded = true",
        ),
        (
            'urls = ["nats://a"]\nreplicas = 9',
            "[nats] replicas: found 9; allowed: an integer from 1 to 5",
        ),
    ],
)
def test_mistake_about_an_external_nats_is_told(keys: str, line: str, mistakes: Mistakes) -> None:
    """The keys of an external server must go together; no message repeats a secret."""
    assert mistakes(f"[nats]\nembedded = false\n{keys}") == [f"faas.toml: {line}"]


def test_all_mistakes_are_told_together(mistakes: Mistakes) -> None:
    """A start that fails tells every mistake, those of the environment too."""
    toml = '[worker]\nmax_inflight = 0\nack_wait = "soon"\n[log]\nlevel = 1'
    assert mistakes(toml, {"read_timeout": "never"}) == [
        f'environment: read_timeout: found "never"; allowed: {A_DURATION}',
        "faas.toml: [worker] max_inflight: found 0; allowed: an integer of at least 1",
        f'faas.toml: [worker] ack_wait: found "soon"; allowed: {A_DURATION}',
        'faas.toml: [log] level: found 1; allowed: "debug" or "info" or "warn" or "error"',
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[log]\nlevel = \n", "faas.toml, line 2: not TOML: Invalid value"),
        (b"a = 1\na = 2\n", "faas.toml, line 2: not TOML: Cannot overwrite a value"),
        (b'a = 1\nb = """', "faas.toml, line 2: not TOML: Unterminated string"),
        (b"a = 1\n# \xff\n", "faas.toml, line 2: not UTF-8, as TOML must be"),
        (b"a = " + b"9" * 5000, "faas.toml: not TOML: Exceeds the limit"),
        (b"a = " + b"[" * 100_000, "faas.toml: not TOML: nested too deeply"),
    ],
)
def test_syntax_mistake_names_the_line(content: bytes, message: str, tmp_path: Path) -> None:
    """What is no TOML at all is told with file and line, as far as there is one."""
    path = tmp_path / "faas.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        load(str(path), {})
    assert str(caught.value).removeprefix(f"{tmp_path}/").startswith(message)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("missing.toml", "No such file or directory"), (".", "Is a directory")],
)
def test_unreadable_file_is_named(name: str, reason: str, tmp_path: Path) -> None:
    """A file that cannot be read is named, with the system's reason."""
    path = os.path.join(tmp_path, name)
    with pytest.raises(ConfigurationError) as caught:
        load(path, {})
    assert str(caught.value) == f"{path}: cannot be read: {reason}"
