"""stack.yml, as OpenFaaS' command line reads it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from faasd_async.errors import ConfigurationError
from faasd_async.settings import Settings, load
from faasd_async.settings.mistakes import Mistakes
from faasd_async.settings.openfaas.deployment import FunctionDeployment, Resources
from faasd_async.settings.openfaas.stack import Stack, read_stack

WHOLE = """\
version: 1.0
provider: {name: openfaas, gateway: "http://${HOST:-127.0.0.1}:8080"}
configuration: {templates: [{name: python3}]}
x-common: &common
  secrets: [key]
  labels: {team: red}
functions:
  resize:
    <<: *common
    lang: python3
    handler: ./resize
    image: ${IMAGE:-registry/resize}:1.2
    fprocess: python index.py
    environment: {write_debug: true, PORT: 8080, RATIO: 1.10, NOTHING: , BOTH: own}
    environment_file: [some.yml, more.yml]
    constraints: [node.role == worker]
    annotations: {com.openfaas.queue: slow}
    limits: {memory: 64Mi, cpu: 100m}
    requests: {memory: 16Mi}
    readonly_root_filesystem: true
    namespace: openfaas-fn
    build_args: {A: b}
  shout:
    secrets:
    image: none
    annotations:
      com.faasd-async.command: tr a-z A-Z
"""

Read = Callable[..., Stack]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads a stack.yml; what is wrong with it is raised."""

    def read_it(text: str, **environment: str) -> Stack:
        path, mistakes = tmp_path / "stack.yml", Mistakes()
        path.write_text(text)
        stack = read_stack(str(path), environment, mistakes)
        mistakes.raise_if_any()
        return stack

    return read_it


def wrong(read: Read, text: str) -> str:
    """What is said of it."""
    with pytest.raises(ConfigurationError) as caught:
        read(text)
    return str(caught.value)


def test_all_there_is(read: Read, tmp_path: Path) -> None:
    """Every key has its place; values stay as they were written; files of variables count over a
    function's own, later ones over earlier ones."""
    (tmp_path / "some.yml").write_text("environment: {BOTH: some, FROM: some}\n")
    (tmp_path / "more.yml").write_text("environment: {BOTH: more, RAW: '${HOST}'}\n")
    stack = read(WHOLE, HOST="edge")
    resize, shout = stack.deployments
    assert resize == FunctionDeployment(
        service="resize",
        image="registry/resize:1.2",
        namespace="openfaas-fn",
        env_process="python index.py",
        env_vars={
            "write_debug": "true",
            "PORT": "8080",
            "RATIO": "1.10",
            "NOTHING": "",
            "BOTH": "more",
            "FROM": "some",
            "RAW": "${HOST}",
        },
        constraints=["node.role == worker"],
        secrets=["key"],
        labels={"team": "red"},
        annotations={"com.openfaas.queue": "slow"},
        limits=Resources(memory="64Mi", cpu="100m"),
        requests=Resources(memory="16Mi"),
        read_only_root_filesystem=True,
    )
    assert shout == FunctionDeployment(
        service="shout",
        image="none",
        annotations={"com.faasd-async.command": "tr a-z A-Z"},
    )
    assert stack.gateway == "http://edge:8080"
    (notice,) = stack.notices
    assert "[functions.resize] constraints are ignored" in notice


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("functions: {f: {imag: x}}", "stack.yml: [functions.f] imag: unknown key, perhaps image"),
        ("functions: {f: {image: [x]}}", "stack.yml: [functions.f] image: found a list"),
        ("functions: {f: {limits: {cpus: 1}}}", "stack.yml: [functions.f] limits.cpus: unknown"),
        ("functions: {f: {environment: {A: [1]}}}", "no string at"),
        ("functions: {f: {environment_file: gone.yml}}", "gone.yml: cannot be read"),
        ("functions: {f: {readonly_root_filesystem: 3}}", "readonly_root_filesystem: found"),
        ("functions: {f: x}", "stack.yml: [functions] f: found"),
        ("functions: {}", "stack.yml: functions: found none"),
        ("[]", "stack.yml: found no functions"),
        ("", "stack.yml: found no functions"),
        ("functions:\n  f: {}\n  f: {}", "stack.yml, line 3: found 'f' for the second time"),
        ("functions:\n\tf: {}", "stack.yml, line 2: not YAML"),
        ("a: b: c", "stack.yml, line 1: not YAML"),
        ("? [a]\n: b", "stack.yml, line 1: found a key that is no text"),
        ("~: b", "stack.yml, line 1: found a key that is no text"),
        ("a: *b", "stack.yml, line 1: not YAML: found undefined alias"),
        ("a: ${A^^}", "stack.yml: found"),
        ("a: !!python/object/apply:os.abort []", "stack.yml, line 1: not YAML"),
        ("a: \x01", "stack.yml: not YAML"),
        ("[" * 5000, "stack.yml: not YAML: nested too deeply"),
        (f"a: {'x' * 2**18}", "stack.yml: longer than 256 KiB"),
    ],
)
def test_what_is_wrong(read: Read, text: str, said: str) -> None:
    """File and key are named, or file and line; nothing in it is run."""
    assert said in wrong(read, text)


def test_aliases_that_unfold_without_end(read: Read) -> None:
    """They are counted before anything is made of them; one that holds itself, too."""
    bomb = "\n".join(f"x-{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12))
    assert "too much in it" in wrong(read, f"x-0: &a0 [x]\n{bomb}\nfunctions: {{f: {{}}}}")
    assert "too much in it" in wrong(read, "functions: &a {f: *a}")


def settings(tmp_path: Path, toml: str, stack: str) -> Settings:
    (tmp_path / "stack.yml").write_text(stack)
    path = tmp_path / "faas.toml"
    path.write_text(toml)
    return load(str(path), {"WORDS": "cat -v"})


STACKED = "functions: {f: {annotations: {com.faasd-async.command: '${WORDS}'}}}"


def test_in_the_settings(tmp_path: Path) -> None:
    """They are deployed beside the file's own, with its defaults, and need no permission; a
    function may still be called ``stack``."""
    toml = "[defaults]\nqueue = 'q'\n[functions]\nstack = 'stack.yml'\n[functions.g]\nurl = 'http://h'\n"
    found = settings(tmp_path, toml, STACKED)
    command = found.functions["f"].command
    assert command is not None
    assert command.words == ("cat", "-v")
    assert {each.queue for each in found.functions.values()} == {"q"}
    assert found.functions.keys() == {"f", "g"}
    assert found.stack == str(tmp_path / "stack.yml")
    alone = settings(tmp_path, "[functions.stack]\nurl = 'http://h'\n", "")
    assert (alone.functions.keys(), alone.stack) == ({"stack"}, None)


@pytest.mark.parametrize(
    ("stack", "said"),
    [
        ("functions: {g: {image: x}}", "stack.yml: [functions.g]: found in"),
        ("functions: {f: {}}", "stack.yml: [functions.f] image: found"),
        ("functions: {f: {image: x, limits: {memory: lots}}}", "limits.memory: found 'lots'"),
        ("functions: {f: {image: x, namespace: other}}", "[functions.f] namespace: found"),
        ("functions: {f: {imag: x}}", "stack.yml: [functions.f] imag: unknown key"),
        ("functions: [", "faas.toml: [functions] stack: "),
    ],
)
def test_what_is_wrong_with_it_in_the_settings(tmp_path: Path, stack: str, said: str) -> None:
    """It stops the start as a mistake of the file's own does, and says where it stands."""
    toml = "[functions]\nstack = 'stack.yml'\n[functions.g]\nurl = 'http://h'\n"
    with pytest.raises(ConfigurationError) as caught:
        settings(tmp_path, toml, stack)
    assert said in str(caught.value)
