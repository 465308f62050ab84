"""``[functions.<name>]`` and ``[defaults]``."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from faasd_async.settings import (
    AuthSettings,
    CommandSettings,
    ContainerSettings,
    ResultSettings,
    RetrySettings,
    ScheduleSettings,
    Secret,
    Settings,
    VerifySettings,
)
from faasd_async.settings.credentials import Credentials

Load = Callable[..., Settings]
Mistakes = Callable[..., list[str]]

URL = 'url = "http://127.0.0.1:9000"'
COMMAND = 'command = "cat"'


def test_function_has_defaults(load_text: Load) -> None:
    """A function that says nothing but its URL has every setting."""
    settings = load_text(f"[functions.a]\n{URL}")
    assert settings.functions["a"].container == ContainerSettings()
    found = msgspec.to_builtins(settings.functions["a"], enc_hook=dict)
    del found["container"]
    assert found == {
        "name": "a",
        "url": "http://127.0.0.1:9000",
        "command": None,
        "image": None,
        "secrets": (),
        "timeout_seconds": 60.0,
        "async_timeout_seconds": 300.0,
        "connect_timeout_seconds": 5.0,
        "callback_timeout_seconds": 30.0,
        "max_inflight": 10,
        "concurrency": "adaptive",
        "max_body_bytes": 64 * 2**20,
        "queue": "default",
        "expires_seconds": 86400.0,
        "retry": {
            "attempts": 10,
            "codes": (429, 503),
            "min_wait_seconds": 1.0,
            "max_wait_seconds": 120.0,
            "backoff": "full",
        },
        "results": {"keep_seconds": 86400.0, "max_bytes": 8 * 2**20},
        "dead_letters": "failed",
        "schedule": {"cron": "", "timezone": "UTC", "payload": "", "missed": "skip"},
        "replicas": 1,
        "is_provided": False,
        "signing_secrets": (),
        "verify": None,
        "auth": None,
        "labels": {},
        "annotations": {},
    }


def test_function_keys_are_read(load_text: Load, tmp_path: Path) -> None:
    """Every key of a function arrives."""
    function = load_text(
        """
        [functions.api]
        command = ["node", "server.js"]
        mode = "http"
        port = 9001
        ready_path = "/healthz"
        healthcheck_interval = "5s"
        directory = "api"
        prefix_logs = false
        environment = { LANG = "C" }
        timeout = "1s"
        async_timeout = "2s"
        connect_timeout = "3s"
        callback_timeout = "4s"
        max_inflight = 5
        concurrency = "fixed"
        max_body = "6kB"
        queue = "slow"
        expires = "7s"
        dead_letters = "never"
        labels = { l = "1" }
        annotations = { a = "2" }
        retry = { attempts = 2, codes = [500], min_wait = 3, max_wait = 4, backoff = "equal" }
        results = { keep = "0s", max_bytes = "1kB" }
        schedule = "*/5  9-17 * * MON-FRI"
        timezone = "Europe/Berlin"
        payload = "now"
        missed = "once"
        secrets = ["key"]
        signing_secrets = []
        verify = { scheme = "hmac", secret = ["a", "b"], header = "X-Signed", tolerance = "1m" }
        auth = { secret = "a:b:c" }
        """
    ).functions["api"]
    assert function.command == CommandSettings(
        words=("node", "server.js"),
        mode="http",
        environment={"LANG": "C"},
        directory=str(tmp_path / "api"),
        prefix_logs=False,
        port=9001,
        upstream_url="http://127.0.0.1:9001",
        ready_path="/healthz",
        healthcheck_interval_seconds=5.0,
    )
    assert function.retry == RetrySettings(
        attempts=2, codes=(500,), min_wait_seconds=3.0, max_wait_seconds=4.0, backoff="equal"
    )
    assert function.results == ResultSettings(keep_seconds=0.0, max_bytes=1000)
    assert function.schedule == ScheduleSettings(
        cron="*/5 9-17 * * MON-FRI", timezone="Europe/Berlin", payload="now", missed="once"
    )
    rest = msgspec.structs.asdict(function)
    assert rest.pop("container") == ContainerSettings()
    del rest["command"], rest["retry"], rest["results"], rest["schedule"]
    assert rest == {
        "name": "api",
        "url": None,
        "image": None,
        "secrets": ("key",),
        "timeout_seconds": 1.0,
        "async_timeout_seconds": 2.0,
        "connect_timeout_seconds": 3.0,
        "callback_timeout_seconds": 4.0,
        "max_inflight": 5,
        "concurrency": "fixed",
        "max_body_bytes": 6000,
        "queue": "slow",
        "expires_seconds": 7.0,
        "dead_letters": "never",
        "replicas": 1,
        "is_provided": False,
        "signing_secrets": (),
        "verify": VerifySettings(
            scheme="hmac",
            secrets=(Secret(b"a"), Secret(b"b")),
            header="X-Signed",
            tolerance_seconds=60.0,
        ),
        "auth": AuthSettings(credentials=(Credentials(b"a", b"b:c"),)),
        "labels": {"l": "1"},
        "annotations": {"a": "2"},
    }


def test_defaults_hold_where_a_function_is_silent(load_text: Load) -> None:
    """A function's key counts over ``[defaults]``; tables are merged key by key."""
    functions = load_text(
        f"""
        [defaults]
        timeout = "7s"
        max_inflight = 3
        prefix_logs = false
        retry = {{ attempts = 4, codes = [500] }}
        results = {{ keep = "1h" }}
        labels = {{ team = "a", tier = "1" }}
        environment = {{ LANG = "C", TZ = "UTC" }}
        annotations = {{ note = "x" }}
        [functions.silent]
        {COMMAND}
        [functions.own]
        {COMMAND}
        timeout = "8s"
        max_inflight = 1
        prefix_logs = true
        retry.codes = [502]
        results.max_bytes = 5
        labels.tier = "2"
        environment.TZ = "CET"
        annotations.other = "y"
        """
    ).functions
    silent, own = functions["silent"], functions["own"]
    assert (silent.timeout_seconds, own.timeout_seconds) == (7.0, 8.0)
    assert (silent.max_inflight, own.max_inflight) == (3, 1)
    assert silent.retry == RetrySettings(attempts=4, codes=(500,))
    assert own.retry == RetrySettings(attempts=4, codes=(502,))
    assert own.results == ResultSettings(keep_seconds=3600.0, max_bytes=5)
    assert own.labels == {"team": "a", "tier": "2"}
    assert own.annotations == {"note": "x", "other": "y"}
    assert silent.command == CommandSettings(
        words=("cat",), environment={"LANG": "C", "TZ": "UTC"}, prefix_logs=False
    )
    assert own.command == CommandSettings(words=("cat",), environment={"LANG": "C", "TZ": "CET"})


def test_command_runs_one_call_a_cpu(load_text: Load) -> None:
    """Unless told otherwise a command runs as many calls as there are CPUs to run them."""
    function = load_text(f"[functions.a]\n{COMMAND}").functions["a"]
    assert function.max_inflight == len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("\"figlet -f 'big font'\"", ("figlet", "-f", "big font")),
        ('["figlet", "-f", "big font", ""]', ("figlet", "-f", "big font", "")),
        ('["{python}", "-m", "x{python}"]', (sys.executable, "-m", "x{python}")),
        ('"{python} -m x"', (sys.executable, "-m", "x")),
    ],
)
def test_command_is_split_and_finds_our_python(
    written: str, words: tuple[str, ...], load_text: Load
) -> None:
    """A string is split as a shell would; the word ``{python}`` is the daemon's interpreter."""
    command = load_text(f"[functions.a]\ncommand = {written}").functions["a"].command
    assert command is not None
    assert command.words == words


@pytest.mark.parametrize(
    ("keys", "port", "upstream_url"),
    [
        ("", None, None),
        ("port = 9001", 9001, "http://127.0.0.1:9001"),
        ('upstream_url = "http://[::1]:9/v1"', None, "http://[::1]:9/v1"),
        ('port = 9\nupstream_url = "http://[::1]:9/v1"', 9, "http://[::1]:9/v1"),
    ],
)
def test_http_command_has_a_port_or_will_be_given_one(
    keys: str, port: int | None, upstream_url: str | None, load_text: Load
) -> None:
    """The upstream URL follows from the port; without either both are left to the start."""
    toml = f'[functions.a]\n{COMMAND}\nmode = "http"\n{keys}'
    command = load_text(toml).functions["a"].command
    assert command is not None
    assert (command.port, command.upstream_url) == (port, upstream_url)


ANNOTATED = f"""
[defaults]
queue = "low"
retry = {{ attempts = 3, max_wait = "5m" }}
[functions.a]
{COMMAND}
[functions.a.annotations]
"com.openfaas.queue" = "slow"
"com.openfaas.retry.attempts" = "5"
"com.openfaas.retry.codes" = "408, 500"
"com.openfaas.retry.min_wait" = "3m"
"""


def test_annotations_count_over_the_defaults(load_text: Load) -> None:
    """OpenFaaS' annotations say what ``queue`` and ``retry`` say, and count over ``[defaults]``."""
    settings = load_text(ANNOTATED)
    assert settings.functions["a"].queue == "slow"
    assert settings.functions["a"].retry == RetrySettings(
        attempts=5, codes=(408, 500), min_wait_seconds=180.0, max_wait_seconds=300.0
    )
    assert settings.notices == ()


def test_own_keys_count_over_the_annotations(load_text: Load) -> None:
    """What a function's own key says counts most."""
    toml = ANNOTATED.replace(COMMAND, f'{COMMAND}\nqueue = "own"\nretry = {{ attempts = 1 }}')
    function = load_text(toml).functions["a"]
    assert function.queue == "own"
    assert (function.retry.attempts, function.retry.codes) == (1, (408, 500))


@pytest.mark.parametrize(
    ("annotation", "notice"),
    [
        ('queue" = "a b"', 'queue" is ignored: found "a b"; allowed: a name of at most 63 letters,'
         ' digits, "-", "_" and "."'),
        ('retry.attempts" = "0"', 'retry.attempts" is ignored: found 0; allowed: an integer of at'
         " least 1"),
        ('retry.attempts" = "x"', 'retry.attempts" is ignored: found "x"; allowed: an integer of'
         " at least 1"),
        ('retry.codes" = "500,"', 'retry.codes" is ignored: found ""; allowed: an integer from 400'
         " to 599"),
        ('retry.max_wait" = "1d"', 'retry.max_wait" is ignored: found "1d"; allowed: a duration'
         ' above 0 and up to 10 years, such as "90s", "1h30m" or 90'),
        ('retry.min_wait" = "3m"', 'retry.min_wait" is ignored: found a wait of 3m to 2m; allowed:'
         " min_wait up to max_wait"),
        ('retry.max_wait" = "1ms"', 'retry.max_wait" is ignored: found a wait of 1s to 1ms;'
         " allowed: min_wait up to max_wait"),
    ],
)  # fmt: skip
def test_wrong_annotation_is_ignored_with_a_notice(
    annotation: str, notice: str, load_text: Load, tmp_path: Path
) -> None:
    """What lies below a wrong annotation holds, and the operator is told."""
    settings = load_text(f'[functions.a]\n{COMMAND}\nannotations."com.openfaas.{annotation}')
    assert settings.functions["a"].retry == RetrySettings()
    assert settings.functions["a"].queue == "default"
    assert settings.notices == (
        f'{tmp_path}/faas.toml: [functions.a] annotations."com.openfaas.{notice}',
    )


@pytest.mark.parametrize(
    ("topic", "schedule", "cron"),
    [
        ("cron-function", "*/2 * * * *", "*/2 * * * *"),
        ("other", "*/2 * * * *", ""),
        ("cron-function", "never", ""),
    ],
)
def test_the_annotations_of_the_cron_connector(
    topic: str, schedule: str, cron: str, load_text: Load
) -> None:
    """The schedule counts beside its topic; one that is not understood is told of."""
    annotations = f'{{ topic = "{topic}", schedule = "{schedule}" }}'
    settings = load_text(f"[functions.a]\n{COMMAND}\nannotations = {annotations}")
    assert settings.functions["a"].schedule == ScheduleSettings(cron=cron)
    assert len(settings.notices) == (schedule == "never")


A_URL = 'an absolute URL without credentials, query and fragment, such as "http://127.0.0.1:9000"'
A_COMMAND = 'a program and its arguments, such as ["figlet", "-w", "60"] or "figlet -w 60"'
A_DURATION = 'a duration above 0 and up to 10 years, such as "90s", "1h30m" or 90'


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (
            "",
            "[functions.a]: found neither url nor command nor image; allowed: one of url, command"
            " and image",
        ),
        (
            f"{URL}\n{COMMAND}",
            "[functions.a]: found url and command; allowed: one of url, command and image",
        ),
        (
            f'{URL}\nimage = "alpine"',
            "[functions.a]: found url and image; allowed: one of url, command and image",
        ),
        ('url = "localhost:80"', f'[functions.a] url: found "localhost:80"; allowed: {A_URL}'),
        ('url = "/path"', f'[functions.a] url: found "/path"; allowed: {A_URL}'),
        ('url = "ftp://a"', f'[functions.a] url: found "ftp://a"; allowed: {A_URL}'),
        ('url = "http://"', f'[functions.a] url: found "http://"; allowed: {A_URL}'),
        ('url = "http://a:99999"', f'[functions.a] url: found "http://a:99999"; allowed: {A_URL}'),
        ('url = "http://[::1"', f'[functions.a] url: found "http://[::1"; allowed: {A_URL}'),
        ('url = "http://a b"', f'[functions.a] url: found "http://a b"; allowed: {A_URL}'),
        ('url = "http://a/\\n"', f'[functions.a] url: found "http://a/\\n"; allowed: {A_URL}'),
        ('url = "http://a?k=hush"', f'[functions.a] url: found one with "?"; allowed: {A_URL}'),
        ('url = "http://a#"', f'[functions.a] url: found one with "#"; allowed: {A_URL}'),
        ('url = "http://u:hush@a"', f'[functions.a] url: found one with "@"; allowed: {A_URL}'),
        ("command = []", f"[functions.a] command: found an empty list; allowed: {A_COMMAND}"),
        ('command = " "', f'[functions.a] command: found " "; allowed: {A_COMMAND}'),
        ('command = ["cat", 1]', f"[functions.a] command: found the word 1; allowed: {A_COMMAND}"),
        (
            'command = "cat \'x"',
            "[functions.a] command: found a command that cannot be split (No closing quotation);"
            f" allowed: {A_COMMAND}",
        ),
        (
            f'{COMMAND}\nasync_timeout = "5 minutes"',
            f'[functions.a] async_timeout: found "5 minutes"; allowed: {A_DURATION}',
        ),
        (
            f"{COMMAND}\nasync_timeot = 1",
            "[functions.a] async_timeot: unknown key, perhaps async_timeout; allowed: annotations,"
            " async_timeout, auth, callback_timeout, command, concurrency, connect_timeout,"
            " content_type,"
            " cpu_time, cpus, dead_letters, directory, environment, expires, fprocess,"
            " healthcheck_interval, image, labels, max_body, max_inflight, memory, missed, mode,"
            " open_files, payload, port, prefix_logs, processes, pull, queue, read_only,"
            " ready_path, results, retry, schedule, secrets, signing_secret_file, signing_secrets,"
            " start_timeout, timeout, timezone, upstream_url, url, user, verify, zero_after",
        ),
        (
            f"{COMMAND}\nmax_inflight = 0",
            "[functions.a] max_inflight: found 0; allowed: an integer of at least 1",
        ),
        (
            f'{COMMAND}\nmax_body = "65MiB"',
            '[functions.a] max_body: found "65MiB"; allowed: at most [gateway] max_body, 64MiB',
        ),
        (
            f"{COMMAND}\nlabels = {{ n = 1 }}",
            '[functions.a] labels: found no string at "n"; allowed: a table of strings',
        ),
        (
            f'{COMMAND}\nlabels = "n"',
            '[functions.a] labels: found "n"; allowed: a table of strings',
        ),
        (
            f'{COMMAND}\nenvironment = {{ "A=B" = "hush" }}',
            '[functions.a] environment: found the variable "A=B"; allowed: names that are not'
            ' empty and without "=", and no NUL character',
        ),
        (f"{COMMAND}\nretry = 3", "[functions.a] retry: found 3; allowed: a table"),
        (
            f"{COMMAND}\nretry.codes = [200]",
            "[functions.a] retry.codes: found 200; allowed: an integer from 400 to 599",
        ),
        (
            f"{COMMAND}\nretry.code = 500",
            "[functions.a] retry.code: unknown key, perhaps codes; allowed: attempts, backoff,"
            " codes, max_wait, min_wait",
        ),
        (
            f'{COMMAND}\nretry.min_wait = "3m"',
            "[functions.a] retry.min_wait: found 3m; allowed: at most max_wait, 2m",
        ),
        (
            f'{COMMAND}\nresults.keep = "500ms"',
            '[functions.a] results.keep: found "500ms"; allowed: "0s", or "1s" and longer',
        ),
        (
            f'{COMMAND}\ndead_letters = "always"',
            '[functions.a] dead_letters: found "always"; allowed: "failed" or "never"',
        ),
        (f'{URL}\nmode = "http"', "[functions.a] mode: found here; allowed: only with command"),
        (
            f'{URL}\nenvironment = {{ KEY = "hush" }}',
            "[functions.a] environment: found here; allowed: only with command or image",
        ),
        (
            f"{COMMAND}\nport = 9000",
            '[functions.a] port: found here; allowed: only with mode = "http"',
        ),
        (
            f'{COMMAND}\nmode = "http"\ncontent_type = "text/plain"',
            '[functions.a] content_type: found here; allowed: only with mode = "streaming" or'
            ' "serializing"',
        ),
        (
            f'{COMMAND}\ncontent_type = "text"',
            '[functions.a] content_type: found "text"; allowed: a media type such as "text/plain"'
            ' or "text/plain; charset=utf-8"',
        ),
        (
            f'{COMMAND}\nmode = "http"\nready_path = "ready"',
            '[functions.a] ready_path: found "ready"; allowed: a path such as "/_/ready"',
        ),
        (
            f'{COMMAND}\nmode = "http"\nport = 9\n[functions.b]\n{COMMAND}\nmode = "http"\nport=9',
            "[functions.b] port: found 9, which a has; allowed: a port of its own",
        ),
        (
            f'{COMMAND}\nschedule = "61 * * * *"',
            '[functions.a] schedule: found "61" in "61 * * * *"; allowed: for the minute numbers'
            ' from 0 to 59, "*", ranges, lists and steps',
        ),
        (
            f'{COMMAND}\nschedule = "@hourly"\ntimezone = "Mars"',
            '[functions.a] timezone: found "Mars"; allowed: a time zone such as "Europe/Berlin" or'
            ' "UTC"',
        ),
        (
            f'{COMMAND}\nschedule = "@hourly"\nmissed = "all"',
            '[functions.a] missed: found "all"; allowed: "skip" or "once"',
        ),
    ],
)
def test_mistake_in_a_function_is_told_exactly(keys: str, line: str, mistakes: Mistakes) -> None:
    """One mistake makes one line; no message repeats what may be a secret."""
    assert mistakes(f"[functions.a]\n{keys}") == [f"faas.toml: {line}"]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("my fn", "my fn"),
        ("größe", "größe"),
        ("", ""),
        ("a\\n", "a\\n"),
        ("a" * 64, "a" * 60 + "…"),
        (".", "."),
        ("..", ".."),
        (".hidden", ".hidden"),
    ],
)
def test_function_name_is_checked(name: str, found: str, mistakes: Mistakes) -> None:
    """A function's name can stand in the path of a URL, as more than a step of it, and in a
    subject."""
    (line,) = mistakes(f'[functions."{name}"]\n{COMMAND}')
    assert line.endswith(
        f'found the name "{found}"; allowed: a name of at most 63 letters, digits, "-", "_" and "."'
        ' that does not begin with "."'
    )
    assert line.startswith("faas.toml: [functions.")


def test_longest_name_with_every_kind_of_character_is_allowed(load_text: Load) -> None:
    """63 characters, dots and underscores among them, are a name."""
    name = "a.B_9-" + "z" * 57
    assert set(load_text(f'[functions."{name}"]\n{COMMAND}').functions) == {name}


def test_function_name_does_not_end_in_the_namespace(mistakes: Mistakes) -> None:
    """Callers append the namespace to a name: a name that has it could not be told from another."""
    assert mistakes(f'[gateway]\nnamespace = "fn"\n[functions."a.fn"]\n{COMMAND}') == [
        'faas.toml: [functions."a.fn"]: found the name "a.fn"; allowed: one that does not end in'
        " .fn, for that is what callers append to a name"
    ]


def test_function_is_a_table(mistakes: Mistakes) -> None:
    """A function that is no table is one mistake about it, and it lacks what it must have."""
    assert mistakes('[functions]\na = "cat"') == [
        'faas.toml: [functions] a: found "cat"; allowed: a table',
        "faas.toml: [functions.a]: found neither url nor command nor image; allowed: one of url,"
        " command and image",
    ]


@pytest.mark.parametrize("key", ["url", "command", "image", "port", "upstream_url"])
def test_defaults_have_nothing_of_one_function_only(key: str, mistakes: Mistakes) -> None:
    """What only one function can have is refused in ``[defaults]``."""
    assert mistakes(f'[defaults]\n{key} = "x"') == [
        f"faas.toml: [defaults] {key}: found here; allowed: only in a function's own table"
    ]


def test_mistake_in_the_defaults_is_told_once(mistakes: Mistakes) -> None:
    """A wrong default is told where it stands, not with every function."""
    toml = f'[defaults]\ntimeout = 0\nretry.min_wait = "3m"\n[functions.a]\n{COMMAND}'
    assert mistakes(toml) == [
        f"faas.toml: [defaults] timeout: found 0; allowed: {A_DURATION}",
        "faas.toml: [defaults] retry.min_wait: found 3m; allowed: at most max_wait, 2m",
    ]


@pytest.mark.parametrize("kind", ["command", "image"])
def test_the_watchdogs_variable_limits_calls(kind: str, load_text: Load) -> None:
    """``max_inflight`` among the variables counts as the key would, which counts over it; 0 is
    none."""

    def limit(variable: str, more: str = "") -> int:
        function = f"[functions.a]\n{kind} = 'a'\n{more}\n"
        given = f"environment = {{ max_inflight = '{variable}' }}\n"
        settings = load_text("[defaults]\nmax_inflight = 9\n" + function + given)
        return settings.functions["a"].max_inflight

    assert limit("3") == 3
    assert limit("0") == 9
    assert limit("3", "max_inflight = 2") == 2


def test_a_limit_that_is_none(mistakes: Mistakes) -> None:
    """It is told with the variable's name."""
    (told,) = mistakes("[functions.a]\ncommand = 'a'\nenvironment = { max_inflight = 'x' }\n")
    assert "environment: max_inflight: found " in told
