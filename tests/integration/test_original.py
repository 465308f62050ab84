"""The document this daemon implements, sentence by sentence.

Each test is named after a sentence of OpenFaaS' page on asynchronous functions and shows it on a
running daemon. What a coming feature has to make true is marked with that feature.
"""

from __future__ import annotations

import json
import re
import uuid
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from command_line import command
from daemon import StartDaemon
from listener import Listener, Received, at
from stan_double import StanDouble
from twisted.internet.defer import gatherResults

from faasd_async.call.openfaas.message import OpenFaasMessage
from faasd_async.call.openfaas.url import GoUrl

DEMO = Path(__file__).parents[2] / "etc" / "demo.toml"
DEMO_FUNCTIONS = re.search(r"\[functions\.figlet\].*", DEMO.read_text("utf-8"), re.DOTALL)[0]  # type: ignore[index]


def slow_function(listener: Listener, **settings: str) -> str:
    """A function ``slow`` in the test's own hands."""
    lines = [f'{name} = "{value}"' for name, value in settings.items()]
    return "\n".join(["[functions.slow]", f'url = "{listener.url()}"', *lines])


@pytest_twisted.ensureDeferred
async def test_openfaas_enables_long_running_tasks_to_run_in_the_background(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """ "OpenFaaS enables long-running tasks or function invocations to run in the background
    through the use of NATS Streaming." The background, here; the queue is NATS JetStream."""
    listener.on_request = lambda request: None
    daemon = await start_daemon(slow_function(listener))
    accepted = await daemon.request("/async-function/slow", b"a long task")
    (running,) = await listener.when(1)
    assert accepted.status == 202
    assert running.body == b"a long task"


@pytest_twisted.ensureDeferred
async def test_through_the_use_of_nats_streaming(
    start_daemon: StartDaemon, listener: Listener, nats_streaming: StanDouble
) -> None:
    """ "… to run in the background through the use of NATS Streaming." The call lies there in
    OpenFaaS' own form, and is taken from there; so is one that OpenFaaS' gateway has put there."""
    listener.on_request = lambda request: request.answer(200, b"done")
    daemon = await start_daemon(
        slow_function(listener, async_timeout="20s")
        + '\n[queue]\nbackend = "nats-streaming"\n'
        + f'[nats.streaming]\nurls = ["{nats_streaming.url}"]\n'
    )
    accepted = await daemon.request("/async-function/slow/a%2Fb?x=1", b"a long task")
    (running,) = await listener.when(1)
    ((written, _),) = nats_streaming.store.channels["faas-request"]
    message = json.loads(written)
    assert accepted.status == 202
    assert (running.target, running.body) == (b"/a%2Fb?x=1", b"a long task")
    assert (message["Function"], message["Method"]) == ("slow", "POST")
    assert message["Header"]["X-Call-Id"] == [accepted.header("X-Call-Id")]
    assert message["Body"] == "YSBsb25nIHRhc2s="

    theirs = OpenFaasMessage(
        function="slow.openfaas-fn",
        path="/c d",
        body=b"x",
        callback_url=GoUrl.of(listener.url("/callback").encode()),
    )
    nats_streaming.put("faas-request", theirs.write())
    _, of_theirs, callback = await listener.when(3)
    assert (of_theirs.target, of_theirs.body) == (b"/c%20d", b"x")
    assert (callback.target, callback.body) == (b"/callback", b"done")
    assert await daemon.stop() == 0
    assert list(nats_streaming.store.clients) == []


@pytest_twisted.ensureDeferred
async def test_this_decouples_the_http_transaction_between_the_caller_and_the_function(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """ "This decouples the HTTP transaction between the caller and the function." """
    daemon = await start_daemon("[functions.away]\nurl = 'http://127.0.0.1:1'\n")
    assert (await daemon.request("/async-function/away", b"x")).status == 202
    assert (await daemon.request("/function/away", b"x")).status == 502


@pytest_twisted.ensureDeferred
async def test_the_http_request_is_serialized_through_the_gateway_as_a_producer(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """ "The HTTP request is serialized to NATS Streaming through the gateway as a "producer"." To
    JetStream, here: it is in the queue while the function cannot be reached, and after a
    restart."""
    listener.on_request = lambda request: None
    daemon = await start_daemon(slow_function(listener, connect_timeout="1s"))
    await listener.close()
    answer = await daemon.request("/async-function/slow/rest?q=1", b"body", X_Custom="kept")
    await daemon.says("could not be tried")
    assert await daemon.stop() == 0
    await listener.open()
    await start_daemon(slow_function(listener))
    (request,) = await listener.when(1)
    assert (request.target, request.body) == (b"/rest?q=1", b"body")
    assert request.header("X-Custom") == "kept"
    assert request.header("X-Call-Id") == answer.header("X-Call-Id")


@pytest_twisted.ensureDeferred
async def test_the_queue_worker_deserializes_the_http_request_and_invokes_the_function_directly(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """ "The queue-worker acts as a subscriber and deserializes the HTTP request and uses it to
    invoke the function directly." """
    daemon = await start_daemon(slow_function(listener))
    await daemon.request("/async-function/slow/a%2Fb?x=1&y=2", b"\x00\xff", Cookie="a=1")
    (request,) = await listener.when(1)
    assert (request.method, request.target, request.body) == ("POST", b"/a%2Fb?x=1&y=2", b"\0\xff")
    assert request.header("Cookie") == "a=1"
    assert request.header("Content-Length") == "2"


@pytest_twisted.ensureDeferred
async def test_the_asynchronous_workflow_can_have_a_longer_separate_timeout(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """ "The asynchronous workflow can have a longer, separate timeout compared with synchronous
    timeout on the gateway." """
    daemon = await start_daemon(
        "[functions.sleep]\n"
        "command = ['{python}', '-m', 'faasd_async.demo.sleep']\n"
        "timeout = '300ms'\nasync_timeout = '20s'\n"
    )
    callback = listener.url("/callback")
    await daemon.request("/async-function/sleep", b"0.8", X_Callback_Url=callback)
    at_once = await daemon.request("/function/sleep", b"0.8")
    (later,) = await listener.when(1, at("/callback"))
    assert at_once.status == 504
    assert later.header("X-Function-Status") == "200"
    assert float(later.header("X-Duration-Seconds") or 0) >= 0.8


@pytest_twisted.ensureDeferred
async def test_this_works_well_if_your_function_can_complete_in_less_than_a_second(
    start_daemon: StartDaemon,
) -> None:
    """ "This works well if your function can complete in less than a second on every invocation,
    but if there's any risk that it can't, you need another solution." A partner who waits gets
    the function's own answer, or none in time."""
    daemon = await start_daemon(
        "[functions.sleep]\ntimeout = '1s'\n"
        "command = ['{python}', '-m', 'faasd_async.demo.sleep']\n"
    )
    assert (await daemon.request("/function/sleep", b"0")).status == 200
    assert (await daemon.request("/function/sleep", b"30")).status == 504


@pytest_twisted.ensureDeferred
async def test_it_will_reply_within_milliseconds_whilst_still_processing_the_data(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """ "So you will give your partner a URL to the asynchronous function URL instead and it will
    reply within several milliseconds whilst still processing the data." The reply is there and
    the function has not answered; how many milliseconds it took is for the benchmarks."""
    listener.on_request = lambda request: None
    daemon = await start_daemon(slow_function(listener))
    accepted = await daemon.request("/async-function/slow", b"a partner's data")
    (processing,) = await listener.when(1)
    assert accepted.status == 202
    assert not processing.gone.called


@pytest_twisted.ensureDeferred
async def test_any_function_can_be_invoked_asynchronously_by_changing_the_route(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """ "Any function can be invoked asynchronously by changing the route on the gateway from
    `/function/<name>` to `/async-function/<name>`." A process and a URL, here."""
    daemon = await start_daemon(DEMO_FUNCTIONS + slow_function(listener))
    now = await daemon.request("/function/echo", b"hello")
    callback = listener.url("/callback")
    await daemon.request("/async-function/echo", b"hello", X_Callback_Url=callback)
    await daemon.request("/async-function/slow", b"", X_Callback_Url=callback)
    from_echo, from_slow = await listener.when(2, at("/callback"))
    bodies = {each.header("X-Function-Name"): each.body for each in (from_echo, from_slow)}
    assert now.body == b"hello"
    assert bodies == {"echo": b"hello", "slow": b""}


@pytest_twisted.ensureDeferred
async def test_a_202_accepted_message_will_be_issued_in_response_to_asynchronous_calls(
    start_daemon: StartDaemon,
) -> None:
    """ "A `202 Accepted` message will be issued in response to asynchronous calls." """
    daemon = await start_daemon(DEMO_FUNCTIONS)
    answer = await daemon.request("/async-function/figlet", b"Hi")
    call_id = answer.header("X-Call-Id") or ""
    assert (answer.status, answer.body) == (202, b"")
    assert str(uuid.UUID(call_id)) == call_id
    assert (answer.header("X-Start-Time") or "").isdigit()
    assert answer.header("Location") == f"/call/{call_id}"


@pytest_twisted.ensureDeferred
async def test_you_should_pass_a_http_header_with_the_url_to_be_used_for_the_call_back(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """ "If you would like to receive a value from an asynchronous call you should pass a HTTP
    header with the URL to be used for the call-back." """
    daemon = await start_daemon(DEMO_FUNCTIONS)
    url = listener.url("/mybin?token=1")
    await daemon.request("/async-function/echo", b"a value", X_Callback_Url=url)
    (callback,) = await listener.when(1)
    assert (callback.method, callback.target) == ("POST", b"/mybin?token=1")
    assert callback.body == b"a value"


@pytest_twisted.ensureDeferred
async def test_faas_invoke_figlet_with_an_x_callback_url(
    reactor: Any, start_daemon: StartDaemon, listener: Listener
) -> None:
    """ "$ faas invoke figlet -H "X-Callback-Url: https://request.bin/mybin"": with the command
    line that comes along."""
    daemon = await start_daemon(DEMO_FUNCTIONS)
    field = f"X-Callback-Url: {listener.url('/mybin')}"
    invoked = await command(reactor, daemon, "invoke", "figlet", "-H", field, stdin=b"Hi")
    (callback,) = await listener.when(1)
    assert invoked.status == 0
    assert callback.target == b"/mybin"
    assert callback.header("X-Call-Id") == invoked.text.strip()
    assert b"|_| |_|_|" in callback.body


@pytest_twisted.ensureDeferred
async def test_it_will_pass_back_the_x_call_id_you_had_when_you_sent_the_initial_request(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """ "It will pass back the X-Call-Id you had when you sent the initial request." The caller's
    own, if there was one, and the one of the 202 otherwise."""
    daemon = await start_daemon(DEMO_FUNCTIONS)
    url = listener.url()
    own = await daemon.request("/async-function/echo", X_Callback_Url=url, X_Call_Id="mine/1")
    drawn = await daemon.request("/async-function/echo", X_Callback_Url=url)
    callbacks = await listener.when(2)
    assert own.header("X-Call-Id") == "mine/1"
    ids = {callback.header("X-Call-Id") for callback in callbacks}
    assert ids == {"mine/1", drawn.header("X-Call-Id")}


@pytest_twisted.ensureDeferred
async def test_you_can_use_netcat_to_check_the_call_id_during_invocation(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """ "You can use `netcat` to check the Call Id during invocation": the callback as netcat
    prints it, which answers nothing. Never chunked, and with the banner of figlet."""
    listener.on_request = lambda request: None
    daemon = await start_daemon(DEMO_FUNCTIONS)
    accepted = await daemon.request("/async-function/figlet", b"Hi", X_Callback_Url=listener.url())
    (printed,) = await listener.when(1)
    assert printed.head.startswith(b"POST / HTTP/1.1\r\n")
    assert printed.header("Content-Length") == str(len(printed.body))
    assert printed.header("Transfer-Encoding") is None
    assert printed.header("Content-Type")
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT", printed.header("Date") or "")
    assert printed.header("X-Call-Id") == accepted.header("X-Call-Id")
    assert re.fullmatch(r"\d+\.\d{6}", printed.header("X-Duration-Seconds") or "")
    assert printed.header("X-Start-Time") == accepted.header("X-Start-Time")
    assert printed.body.decode().splitlines()[0].strip() == "_   _ _"


@pytest_twisted.ensureDeferred
async def test_alternatively_you_can_specify_another_function_to_run_instead(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """ "Alternatively you can specify another asynchronous or synchronous function to run
    instead." """
    daemon = await start_daemon(DEMO_FUNCTIONS + slow_function(listener))
    for route in ("/function/slow/sync", "/async-function/slow/async"):
        await daemon.request(
            "/async-function/echo", b"chained", X_Call_Id="chain", X_Callback_Url=daemon.url(route)
        )
    requests = await listener.when(2)
    assert {request.target for request in requests} == {b"/sync", b"/async"}
    assert {request.header("X-Call-Id") for request in requests} == {"chain"}
    assert {request.body for request in requests} == {b"chained"}


@pytest_twisted.ensureDeferred
async def test_by_default_one_task_runs_in_parallel_and_more_replicas_run_more(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """ "By default there is one queue-worker replica deployed which is set up to run a single
    task of up to 30 seconds in duration with one task in parallel. You can increase the
    parallelism by scaling the queue-worker up - i.e. 5 replicas for 5 parallel tasks." """
    listener.on_request = lambda request: None
    daemon = await start_daemon(
        f"[functions.one]\nurl = '{listener.url('/one')}'\nmax_inflight = 1\n"
        f"[functions.five]\nurl = '{listener.url('/five')}'\nmax_inflight = 5\n"
    )
    calls = [daemon.request(f"/async-function/{name}") for name in ("one", "five") * 5]
    await gatherResults(calls)

    def of(name: str) -> list[Received]:
        return [each for each in listener.requests if each.target.startswith(f"/{name}".encode())]

    await listener.when(5, lambda each: each.target.startswith(b"/five"))
    for done in range(1, 6):
        await listener.when(done, lambda each: each.target.startswith(b"/one"))
        # All five of the other function run; of this one, the next waits for the one before.
        assert (len(of("one")), len(of("five"))) == (done, 5)
        of("one")[-1].answer()


@pytest_twisted.ensureDeferred
async def test_you_can_tune_the_number_of_tasks_and_the_maximum_duration_of_any_task(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """ "You can tune the values for the number of tasks each queue worker may run in parallel as
    well as the maximum duration of any asynchronous task that worker processes." The number by
    the environment, as in a compose file; the duration in the settings."""
    silent = [listener.url(f"/{name}") for name in "abc"]
    listener.on_request = lambda request: (
        request.answer() if request.target.startswith(b"/callback") else None
    )
    daemon = await start_daemon(
        "".join(
            f"[functions.f{index}]\nurl = '{url}'\nasync_timeout = '400ms'\n"
            for index, url in enumerate(silent)
        ),
        environment={"max_inflight": "2"},
    )
    for index in range(3):
        callback = listener.url("/callback")
        await daemon.request(f"/async-function/f{index}", X_Callback_Url=callback)
    await listener.when(2)
    assert len(listener.requests) == 2  # the third waits for one of the two
    callbacks = await listener.when(3, at("/callback"))
    assert {callback.header("X-Function-Status") for callback in callbacks} == {"504"}


@pytest_twisted.ensureDeferred
async def test_the_queue_worker_component_enables_asynchronous_processing_of_function_requests(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """ "The Queue Worker component enables asynchronous processing of function requests." """
    daemon = await start_daemon(slow_function(listener))
    answers = await gatherResults(
        [daemon.request("/async-function/slow", b"%d" % number) for number in range(20)]
    )
    requests = await listener.when(20)
    accepted = {answer.header("X-Call-Id") for answer in answers}
    assert {request.header("X-Call-Id") for request in requests} == accepted


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("by", ["default", "file", "environment"])
async def test_the_message_content_is_hidden_but_can_be_viewed_by_setting_write_debug(
    start_daemon: StartDaemon, listener: Listener, by: str
) -> None:
    """ "The default verbosity level hides the message content, but this can be viewed by setting
    write_debug to true when deploying." """
    daemon = await start_daemon(
        ("[worker]\nwrite_debug = true\n" if by == "file" else "") + DEMO_FUNCTIONS,
        environment={"write_debug": "true"} if by == "environment" else None,
    )
    await daemon.request(
        "/async-function/echo",
        b"canary-in-the-body",
        Authorization="Bearer canary-in-a-header",
        X_Callback_Url=listener.url("/", "user:canary-in-the-url@"),
    )
    await listener.when(1)
    await daemon.says("callback of ")
    assert await daemon.stop() == 0
    assert ("canary-in-the-body" in daemon.log) == (by != "default")
    assert "canary-in-a-header" not in daemon.log
    assert "canary-in-the-url" not in daemon.log


@pytest_twisted.ensureDeferred
async def test_additional_request_headers_will_be_set_when_invoking_the_call_back_url(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """ "The following additional request headers will be set when invoking the call back URL":
    X-Call-Id, "the original function call's tracing UUID"; X-Duration-Seconds, "time taken in
    seconds to execute the original function call"; X-Function-Status, "HTTP status code returned
    by the original function call"."""
    listener.on_request = lambda request: request.answer(
        418 if request.target == b"/teapot" else 200, b"short", X_Pot="stout"
    )
    daemon = await start_daemon(slow_function(listener))
    url = listener.url("/callback")
    accepted = await daemon.request("/async-function/slow/teapot", X_Callback_Url=url)
    (callback,) = await listener.when(1, at("/callback"))
    assert callback.header("X-Call-Id") == accepted.header("X-Call-Id")
    assert 0 < float(callback.header("X-Duration-Seconds") or 0) < 60
    assert callback.header("X-Function-Status") == "418"
    assert callback.header("X-Function-Name") == "slow"
    assert callback.header("X-Pot") == "stout"
    assert callback.body == b"short"
