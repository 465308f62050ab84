"""OpenFaaS' environment variables over the file."""

from collections.abc import Callable, Mapping

import pytest

from faasd_async.settings import Settings

Load = Callable[..., Settings]
Mistakes = Callable[..., list[str]]

FUNCTION = '[functions.a]\ncommand = "cat"\n'
EXTERNAL = '[nats]\nembedded = false\nurls = ["nats://file:4222"]\n'


@pytest.mark.parametrize("written", ["65", "65s", "1m5s"])
def test_durations_are_seconds_or_go_durations(written: str, load_text: Load) -> None:
    """``read_timeout`` counts over the file's, written in either way."""
    settings = load_text('[gateway]\nread_timeout = "1s"', {"read_timeout": written})
    assert settings.gateway.read_timeout_seconds == 65.0


def test_empty_variable_counts_as_absent(load_text: Load) -> None:
    """A compose file may leave a variable empty."""
    names = ("read_timeout", "basic_auth", "faas_nats_address", "scale_from_zero", "max_inflight")
    settings = load_text("", dict.fromkeys(names, ""))
    assert settings == load_text("")


def test_upstream_timeout_is_the_default_timeout(load_text: Load) -> None:
    """``upstream_timeout`` counts over ``[defaults]``, and a function's own limit over both."""
    toml = f'[defaults]\ntimeout = "1s"\n{FUNCTION}[functions.b]\ncommand = "cat"\ntimeout = "2s"'
    functions = load_text(toml, {"upstream_timeout": "90"}).functions
    assert functions["a"].timeout_seconds == 90.0
    assert functions["b"].timeout_seconds == 2.0


@pytest.mark.parametrize(("ack_wait", "limit"), [("10m", 600.0), ("30s", 300.0)])
def test_ack_wait_raises_the_limit_and_never_the_lease(
    ack_wait: str, limit: float, load_text: Load
) -> None:
    """OpenFaaS' ``ack_wait`` is how long a call may take; the lease stays as short as it was."""
    settings = load_text(FUNCTION, {"ack_wait": ack_wait})
    assert settings.functions["a"].async_timeout_seconds == limit
    assert settings.worker.ack_wait_seconds == 30.0


def test_max_inflight_is_the_workers(load_text: Load) -> None:
    """``max_inflight`` bounds the daemon, not each function."""
    settings = load_text(FUNCTION + "max_inflight = 3", {"max_inflight": "7"})
    assert settings.worker.max_inflight == 7
    assert settings.functions["a"].max_inflight == 3


@pytest.mark.parametrize(
    ("environment", "write_debug"),
    [
        ({}, True),
        ({"write_debug": "false"}, False),
        ({"write_debug": "0", "faas_print_body": "T"}, True),
        ({"write_debug": "1"}, True),
    ],
)
def test_either_variable_switches_debugging_on(
    environment: Mapping[str, str], write_debug: bool, load_text: Load
) -> None:
    """One of the two is enough; if neither is true the file's ``true`` does not count."""
    settings = load_text("[worker]\nwrite_debug = true", environment)
    assert settings.worker.write_debug is write_debug


def test_namespace_of_the_environment_counts_for_names(mistakes: Mistakes) -> None:
    """``function_namespace`` is the gateway's, and functions' names are checked against it."""
    (line,) = mistakes('[functions."a.prod"]\ncommand = "cat"', {"function_namespace": "prod"})
    assert "does not end in .prod" in line


@pytest.mark.parametrize(
    ("environment", "url"),
    [
        ({"faas_nats_address": "broker", "faas_nats_port": "5222"}, "nats://broker:5222"),
        ({"faas_nats_address": "[::1]"}, "nats://[::1]:4222"),
        ({"faas_nats_port": "5222"}, "nats://nats:5222"),
        ({}, "nats://file:4222"),
    ],
)
def test_external_nats_is_where_the_variables_say(
    environment: Mapping[str, str], url: str, load_text: Load
) -> None:
    """Address and port replace the file's URLs; what is left out is what OpenFaaS takes it for."""
    settings = load_text(EXTERNAL, environment)
    assert settings.nats.urls == (url,)
    assert settings.notices == ()


def test_address_of_the_environment_is_enough(load_text: Load) -> None:
    """An external NATS server needs no URL in the file if the environment has its address."""
    settings = load_text("[nats]\nembedded = false", {"faas_nats_address": "broker"})
    assert settings.nats.urls == ("nats://broker:4222",)


@pytest.mark.parametrize("toml", ["", f'[queue]\nbackend = "memory"\n{EXTERNAL}'])
def test_unused_nats_variables_are_named_in_one_notice(toml: str, load_text: Load) -> None:
    """Without an external NATS server its variables are ignored, even wrong ones, and named."""
    environment = {"faas_nats_port": "x", "faas_nats_address": "nats", "faas_max_reconnect": "1"}
    assert load_text(toml, environment).notices == (
        "environment variables are ignored, for they concern an external NATS server, and none is"
        " used: faas_nats_address, faas_nats_port, faas_max_reconnect",
    )


def test_variables_of_nats_streaming_are_named(load_text: Load) -> None:
    """With JetStream those of NATS Streaming are ignored, and the notice says why."""
    environment = {
        "faas_nats_address": "nats",
        "faas_nats_cluster_name": "faas-cluster",
        "faas_nats_channel": "faas-request",
        "faas_nats_queue_group": "faas",
        "faas_reconnect_delay": "2s",
    }
    assert load_text(EXTERNAL, environment).notices == (
        "environment variables are ignored, for they concern NATS Streaming, and [queue] backend is"
        ' "jetstream": faas_nats_cluster_name, faas_nats_channel, faas_nats_queue_group,'
        " faas_reconnect_delay",
    )


def test_variables_without_effect_are_named_in_one_notice(load_text: Load) -> None:
    """A variable of OpenFaaS that changes nothing is named, but never its value."""
    environment = {
        "write_timeout": "60s",
        "basic_auth": "false",
        "max_idle_conns": "1",
        "max_idle_conns_per_host": "1",
        "direct_functions": "false",
        "direct_functions_suffix": "openfaas-fn.svc",
        "probe_functions": "false",
        "auth_proxy_url": "http://basic-auth-plugin:8080/validate",
        "auth_proxy_pass_body": "false",
        "faas_prometheus_host": "prometheus",
        "faas_prometheus_port": "9090",
        "faas_gateway_address": "gateway",
        "faas_gateway_port": "8080",
        "faas_function_suffix": "openfaas-fn.svc",
        "gateway_invoke": "true",
        "gateway_url": "http://gateway:8080",
        "nats_host": "nats",
        "HOME": "/var/lib/faasd",
    }
    assert load_text("", environment).notices == (
        "environment variables are ignored, for this version has no use for them: write_timeout,"
        " max_idle_conns, max_idle_conns_per_host, direct_functions, direct_functions_suffix,"
        " probe_functions, auth_proxy_url, auth_proxy_pass_body, faas_prometheus_host,"
        " faas_prometheus_port, faas_gateway_address, faas_gateway_port, faas_function_suffix,"
        " gateway_invoke, gateway_url, nats_host",
    )


def test_another_provider_is_where_openfaas_says(load_text: Load) -> None:
    """Its variables count over ``[provider]``."""
    environment = {
        "functions_provider_url": "http://faasd-provider:8081/",
        "logs_provider_url": "http://logs:8081/",
        "scale_from_zero": "false",
    }
    provider = load_text("[provider]\nurl = 'http://other:1'\n", environment).provider
    assert provider.url == "http://faasd-provider:8081/"
    assert provider.logs_url == "http://logs:8081/"
    assert not provider.scale_from_zero


def test_variables_of_retries_are_named_with_the_setting(load_text: Load) -> None:
    """They are no settings of ours, but there are some of that kind."""
    assert load_text("", {"max_retry_attempts": "3", "retry_http_codes": "429"}).notices == (
        "environment variables are ignored, for [defaults] retry says how calls are tried again:"
        " max_retry_attempts, retry_http_codes",
    )


@pytest.mark.parametrize(
    ("toml", "name", "value", "what"),
    [
        ("", "basic_auth", "on", 'found "on"; allowed: true or false, 1 or 0'),
        ("", "read_timeout", "never", 'found "never"; allowed: a duration above 0 and up to 10'
         ' years, such as "90s", "1h30m" or 90'),
        ("", "max_inflight", "many", 'found "many"; allowed: an integer of at least 1'),
        ("", "max_inflight", "0", "found 0; allowed: an integer of at least 1"),
        ("", "write_debug", "yes", 'found "yes"; allowed: true or false, 1 or 0'),
        ("", "function_namespace", "a b", 'found "a b"; allowed: a name of at most 63 letters,'
         ' digits, "-", "_" and "."'),
        (EXTERNAL, "faas_nats_address", "a:4222", 'found "a:4222"; allowed: a host such as "nats",'
         ' "10.0.0.7" or "[::1]"'),
        (EXTERNAL, "faas_nats_port", "65536", "found 65536; allowed: an integer from 1 to 65535"),
    ],
)  # fmt: skip
def test_mistake_in_the_environment_is_told_exactly(
    toml: str, name: str, value: str, what: str, mistakes: Mistakes
) -> None:
    """A wrong variable stops the start and is named."""
    assert mistakes(toml, {name: value}) == [f"environment: {name}: {what}"]


def test_authentication_is_asked_for_as_openfaas_does(load_text: Load) -> None:
    """The two variables count over the file, and are no news to the operator."""
    file = "[gateway]\nbasic_auth = false\nsecret_mount_path = '/elsewhere'\n"
    settings = load_text(file, {"basic_auth": "true", "secret_mount_path": "/run/secrets/"})
    assert settings.gateway.basic_auth
    assert settings.gateway.secret_mount_path == "/run/secrets"
    assert settings.notices == ()
