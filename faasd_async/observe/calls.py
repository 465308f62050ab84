"""What became of calls: a log line when one is over, another for its callback, and figures.

Bodies are shown only where the deployment asked for it (``write_debug``); header fields and
the credentials of a callback URL never are.
"""

from __future__ import annotations

from time import time

from twisted.logger import LogEvent, Logger, LogLevel

from faasd_async.call.body import Body
from faasd_async.call.ending import Ending
from faasd_async.call.plain import PlainCall
from faasd_async.call.request import CallbackRequest, Outcome, QueueRequest
from faasd_async.call.trace import trace_id_of
from faasd_async.observe.figures import Figures
from faasd_async.observe.logs import Level

#: How much of a body is shown.
SHOWN_BYTES = 64 * 1024

_log = Logger("faasd_async.calls")

#: An event of each level, but for what it tells.
_DEBUG, _INFO, _WARN, _ERROR = (
    {
        "log_logger": _log,
        "log_level": level,
        "log_namespace": _log.namespace,
        "log_source": None,
    }
    for level in (LogLevel.debug, LogLevel.info, LogLevel.warn, LogLevel.error)
)


def _tell(common: LogEvent, log_format: str, traceparent: bytes = b"", **fields: object) -> None:
    """As :meth:`Logger.emit`, which makes sure of its level each time: that is half of its cost.

    :param common: one of those above.
    :param traceparent: the trace that it is about; empty: none.
    """
    if traceparent:
        log_format += ", trace {trace_id}"
        fields["trace_id"] = trace_id_of(traceparent)
    fields["log_format"], fields["log_time"] = log_format, time()
    _log.observer(common | fields)


class CallWatch:
    """Told of everything that happens to calls.

    :param level: what it does not show need not be told; unless given everything is.
    :ivar write_debug: show bodies.
    """

    def __init__(self, figures: Figures, write_debug: bool, level: Level | None = None) -> None:
        self._figures = figures
        self._level = level or Level("debug")
        self.write_debug = write_debug

    def accepted(self, request: PlainCall | QueueRequest, seconds: float | None = None) -> None:
        """:param seconds: from its coming until it was safe, where somebody waited for that."""
        self._figures.accepted(request, seconds)
        if self._level.shows_debug:
            _tell(
                _DEBUG,
                "call {call_id} for {function} accepted, {size} bytes",
                request.traceparent,
                call_id=request.key.call_id,
                function=request.function,
                size=len(request.body),
            )
        if self.write_debug:
            self._show_body("request", request, request.body)

    def invoked(
        self, function: str, call_id: str, status: int, seconds: float, traceparent: bytes = b""
    ) -> None:
        """A synchronous call is over."""
        self._figures.invoked(function, status, seconds)
        _tell(
            _INFO,
            "call {call_id}: {function} answered its caller {status} in {seconds:.6f} s",
            traceparent,
            call_id=call_id,
            function=function,
            status=status,
            seconds=seconds,
        )

    def attempted(self, request: QueueRequest, outcome: Outcome, attempts: int) -> None:
        """A queued call was tried, for the *attempts*-th time."""
        self._figures.invoked(request.function, outcome.status, outcome.duration_seconds)
        if attempts > 1:
            self._figures.retried(request.function)
        _tell(
            _INFO,
            "call {call_id}: {function} answered {status} in {seconds:.6f} s, attempt {attempts}"
            "{why}",
            request.traceparent,
            call_id=request.key.call_id,
            function=request.function,
            status=outcome.status,
            seconds=outcome.duration_seconds,
            attempts=attempts,
            why=f" ({outcome.error})" if outcome.error else "",
        )
        if self.write_debug:
            self._show_body("response", request, outcome.body)

    def ended(self, request: QueueRequest, ending: Ending, buried: bool) -> None:
        """A queued call has come to its end.

        :param buried: it becomes a dead letter.
        """
        self._figures.ended(request, ending, buried)
        if ending.reason is None:
            return
        outcome = ending.outcome
        _tell(
            _WARN,
            "call {call_id} of {function} {became}: {reason} after {attempts} attempts, {status}"
            "{why}",
            request.traceparent,
            call_id=request.key.call_id,
            function=request.function,
            became="is a dead letter now" if buried else "has failed, and no dead letter is kept",
            reason=ending.reason,
            attempts=len(ending.history.attempts),
            status=outcome.status,
            why=f" ({outcome.error})" if outcome.error else "",
        )

    def given_back(self, request: QueueRequest, reason: str, delay_seconds: float) -> None:
        _tell(
            _WARN,
            "call {call_id}: {function} could not be tried ({reason}), again in {delay:.1f} s",
            request.traceparent,
            call_id=request.key.call_id,
            function=request.function,
            reason=reason,
            delay=delay_seconds,
        )

    def called_back(self, callback: CallbackRequest, status: int, seconds: float) -> None:
        self._figures.callback(callback, "delivered")
        _tell(
            _INFO,
            "callback of {call_id} from {function} to {url}: {status} in {seconds:.6f} s",
            callback.traceparent,
            call_id=callback.key.call_id,
            function=callback.function,
            url=str(callback.url),
            status=status,
            seconds=seconds,
        )

    def callback_failed(
        self, callback: CallbackRequest, reason: str, tries: int, again_seconds: float
    ) -> None:
        self._figures.callback(callback, "failed")
        _tell(
            _WARN,
            "callback of {call_id} from {function} to {url} failed: {reason}, try {tries}, "
            "again in {again:.1f} s",
            callback.traceparent,
            call_id=callback.key.call_id,
            function=callback.function,
            url=str(callback.url),
            reason=reason,
            tries=tries,
            again=again_seconds,
        )

    def callback_given_up(self, callback: CallbackRequest, reason: str, tries: int) -> None:
        self._figures.callback(callback, "given_up")
        _tell(
            _ERROR,
            "callback of {call_id} from {function} to {url} is given up after {tries} tries: "
            "{reason}",
            callback.traceparent,
            call_id=callback.key.call_id,
            function=callback.function,
            url=str(callback.url),
            tries=tries,
            reason=reason,
        )

    def _show_body(self, which: str, request: PlainCall | QueueRequest, body: Body) -> None:
        _tell(
            _INFO,
            "{which} body of {call_id}: {body}",
            which=which,
            call_id=request.key.call_id,
            body=_shown(body),
        )


def _shown(body: Body) -> str:
    if not isinstance(body, bytes):
        return f"({len(body)} bytes, SHA-256 {body.sha256})"
    return body[:SHOWN_BYTES].decode("utf-8", "backslashreplace")
