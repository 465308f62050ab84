"""Functions that are images, and the engine that runs them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from faasd_async.settings import ContainerSettings, Settings

Load = Callable[..., Settings]
Mistakes = Callable[..., list[str]]

IMAGE = "image = 'registry.example.com/figlet:latest'"


def test_image_has_defaults(load_text: Load) -> None:
    """A function that says nothing but its image has no limits, and ten calls at once."""
    function = load_text(f"[functions.a]\n{IMAGE}").functions["a"]
    assert function.image == "registry.example.com/figlet:latest"
    assert (function.command, function.url, function.max_inflight) == (None, None, 10)
    assert function.container == ContainerSettings()
    assert function.container.ready_path == "/_/health"


def test_image_keys_are_read(load_text: Load) -> None:
    """Every key of an image arrives, over what the defaults say."""
    function = load_text(
        f"""
        [defaults]
        memory = "1GiB"
        environment = {{ LANG = "C" }}
        [functions.a]
        {IMAGE}
        environment = {{ TZ = "UTC" }}
        fprocess = "cat"
        port = 80
        memory = "32MiB"
        cpus = 2
        read_only = true
        pull = "always"
        ready_path = "/ready"
        healthcheck_interval = "5s"
        prefix_logs = false
        start_timeout = "2s"
        zero_after = "1m"
        secrets = ["key", "other.key"]
        """
    ).functions["a"]
    assert function.secrets == ("key", "other.key")
    assert function.container == ContainerSettings(
        environment={"LANG": "C", "TZ": "UTC"},
        fprocess="cat",
        port=80,
        memory_bytes=32 * 2**20,
        cpus=2.0,
        read_only=True,
        pull="always",
        ready_path="/ready",
        healthcheck_interval_seconds=5.0,
        prefix_logs=False,
        start_timeout_seconds=2.0,
        zero_after_seconds=60.0,
    )


def test_what_the_defaults_say_of_images_is_nothing_to_others(load_text: Load) -> None:
    """Limits that only images have may stand there; memory holds for commands, too."""
    toml = "[defaults]\nmemory = 5\ncpus = 1\n[functions.a]\ncommand = 'cat'"
    function = load_text(toml).functions["a"]
    assert function.container == ContainerSettings()
    assert function.command is not None
    assert function.command.limits.memory_bytes == 5


@pytest.mark.parametrize(
    ("attached", "seconds"),
    [
        ("annotations = { 'com.openfaas.scale.zero' = 'true' }", 900),
        ("labels = { 'com.openfaas.scale.zero' = 'true' }", 900),
        (
            "labels = { 'com.openfaas.scale.zero' = 'true',"
            " 'com.openfaas.scale.zero-duration' = '2m' }",
            120,
        ),
        ("annotations = { 'com.openfaas.scale.zero-duration' = '2m' }", 0),
        ("zero_after = '9s'\nannotations = { 'com.openfaas.scale.zero' = 'true' }", 9),
        ("zero_after = '0s'\nannotations = { 'com.openfaas.scale.zero' = 'true' }", 0),
    ],
)
def test_scale_to_zero_is_asked_for_as_with_openfaas(
    attached: str, seconds: float, load_text: Load
) -> None:
    """Annotations and labels do, and the function's own key counts over both."""
    function = load_text(f"[functions.a]\n{IMAGE}\n{attached}").functions["a"]
    assert function.container.zero_after_seconds == seconds


def test_an_annotation_turns_scaling_off(load_text: Load) -> None:
    """What the defaults ask for can be refused."""
    function = load_text(
        f"[defaults]\nzero_after = '9s'\n[functions.a]\n{IMAGE}\n"
        "annotations = { 'com.openfaas.scale.zero' = 'false' }"
    ).functions["a"]
    assert function.container.zero_after_seconds == 0


@pytest.mark.parametrize(
    ("keys", "path"),
    [
        ("annotations = { 'com.openfaas.health.http.path' = '/well' }", "/well"),
        (
            "annotations = { 'com.openfaas.health.http.path' = '/well' }\nready_path = '/own'",
            "/own",
        ),
        ("annotations = { 'com.openfaas.health.http.path' = 'well' }", "/all"),
        ("", "/all"),
    ],
)
def test_the_health_path(keys: str, path: str, load_text: Load) -> None:
    """An annotation counts over the defaults, the function's own key over both; a wrong
    annotation is ignored."""
    settings = load_text(f"[defaults]\nready_path = '/all'\n[functions.a]\n{IMAGE}\n{keys}")
    assert settings.functions["a"].container.ready_path == path
    assert len(settings.notices) == ("'well'" in keys)


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (
            "image = 'a b'",
            '[functions.a] image: found "a b"; allowed: the name of an image, such as'
            ' "registry.example.com/figlet:latest"',
        ),
        (
            "image = 'https://a/b'",
            '[functions.a] image: found "https://a/b"; allowed: the name of an image, such as'
            ' "registry.example.com/figlet:latest"',
        ),
        (
            f"{IMAGE}\nsecrets = ['../key']",
            '[functions.a] secrets: found "../key"; allowed: a name of at most 63 letters, digits,'
            ' "-", "_" and "." that does not begin with "."',
        ),
        (
            f"{IMAGE}\nsecrets = ['..']",
            '[functions.a] secrets: found ".."; allowed: a name of at most 63 letters, digits,'
            ' "-", "_" and "." that does not begin with "."',
        ),
        (
            f"{IMAGE}\ncpus = 0",
            "[functions.a] cpus: found 0; allowed: a number of processors of at least 0.01, such"
            " as 0.5 or 2",
        ),
        (
            f"{IMAGE}\npull = 'often'",
            '[functions.a] pull: found "often"; allowed: "always" or "missing" or "never"',
        ),
        (
            f"{IMAGE}\nmode = 'http'",
            "[functions.a] mode: found here; allowed: only with command",
        ),
        (
            "command = 'cat'\ncpus = 5",
            "[functions.a] cpus: found here; allowed: only with image",
        ),
        (
            "url = 'http://h'\nsecrets = []",
            "[functions.a] secrets: found here; allowed: only with command or image",
        ),
    ],
)
def test_mistake_is_told_exactly(keys: str, line: str, mistakes: Mistakes) -> None:
    """One mistake makes one line."""
    assert mistakes(f"[functions.a]\n{keys}") == [f"faas.toml: {line}"]


@pytest.mark.parametrize("socket", ["unix:///run/a.sock", "/run/a.sock"])
def test_the_socket(socket: str, load_text: Load) -> None:
    """It is a URL, as with Docker, or a path."""
    assert load_text(f"[containers]\nsocket = '{socket}'").containers.socket == "/run/a.sock"


def test_the_engine_is_on_this_machine(mistakes: Mistakes) -> None:
    """Its containers are reached on loopback: no other socket than one of Unix will do."""
    assert mistakes("[containers]\nsocket = 'tcp://10.0.0.1:2375'") == [
        'faas.toml: [containers] socket: found "tcp://10.0.0.1:2375"; allowed: a Unix socket, such'
        ' as "unix:///run/docker.sock" or its path'
    ]
