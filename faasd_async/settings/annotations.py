"""OpenFaaS' annotations: what a function asks for itself, between its own keys and the defaults.

A wrong annotation is not a mistake of the file: it may come from a stack.yml that ran elsewhere.
As with OpenFaaS, what lies below holds in its place; the operator is told.
"""

from typing import TypeVar

from msgspec.structs import replace

from faasd_async.settings.cron import read_cron
from faasd_async.settings.mistakes import Refusal, shown
from faasd_async.settings.model import FunctionSettings
from faasd_async.settings.quantities import format_duration, parse_duration
from faasd_async.settings.values import Reader, boolean_text, integer_text, name, url_path

T = TypeVar("T")

QUEUE = "com.openfaas.queue"
RETRY_ATTEMPTS = "com.openfaas.retry.attempts"
RETRY_CODES = "com.openfaas.retry.codes"
RETRY_MIN_WAIT = "com.openfaas.retry.min_wait"
RETRY_MAX_WAIT = "com.openfaas.retry.max_wait"

HEALTH_PATH = "com.openfaas.health.http.path"
SCALE_ZERO = "com.openfaas.scale.zero"
ZERO_DURATION = "com.openfaas.scale.zero-duration"

_MAY_BE_LABELS = (SCALE_ZERO, ZERO_DURATION)

#: How long a function that scales to zero is kept, if it does not say.
USUAL_ZERO_SECONDS = 15 * 60.0

#: Its cron-connector's: the schedule counts beside this topic alone.
TOPIC, CRON_TOPIC = "topic", "cron-function"
SCHEDULE = "schedule"


def over_function(where: str, below: FunctionSettings, notices: list[str]) -> FunctionSettings:
    """Lay the annotations of a function over what it has from below.

    What concerns scaling may stand among its labels, too.

    :param where: names the file and the function in a notice.
    :param notices: takes a line for each annotation that is ignored.
    """

    def ignore(key: str, why: str) -> None:
        notices.append(f"{where} annotations.{shown(key)} is ignored: {why}")

    attached = {key: value for key, value in below.labels.items() if key in _MAY_BE_LABELS}
    attached.update(below.annotations)

    def take(key: str, read: Reader[T], default: T) -> T:
        if key not in attached:
            return default
        try:
            return read(attached[key])
        except Refusal as refusal:
            ignore(key, str(refusal))
            return default

    retry = below.retry
    min_wait = take(RETRY_MIN_WAIT, parse_duration, retry.min_wait_seconds)
    max_wait = take(RETRY_MAX_WAIT, parse_duration, retry.max_wait_seconds)
    if min_wait > max_wait:
        key = RETRY_MIN_WAIT if RETRY_MIN_WAIT in below.annotations else RETRY_MAX_WAIT
        ignore(
            key,
            f"found a wait of {format_duration(min_wait)} to {format_duration(max_wait)};"
            " allowed: min_wait up to max_wait",
        )
        min_wait, max_wait = retry.min_wait_seconds, retry.max_wait_seconds
    container = below.container
    zero_after = container.zero_after_seconds
    if SCALE_ZERO in attached:
        scales = take(SCALE_ZERO, boolean_text, zero_after > 0)
        usual = zero_after or USUAL_ZERO_SECONDS
        zero_after = take(ZERO_DURATION, parse_duration, usual) if scales else 0.0
    schedule = below.schedule
    if below.annotations.get(TOPIC) == CRON_TOPIC:
        schedule = replace(schedule, cron=take(SCHEDULE, read_cron, schedule.cron))
    return replace(
        below,
        schedule=schedule,
        container=replace(
            container,
            ready_path=take(HEALTH_PATH, url_path, container.ready_path),
            zero_after_seconds=zero_after,
        ),
        queue=take(QUEUE, name, below.queue),
        retry=replace(
            retry,
            attempts=take(RETRY_ATTEMPTS, integer_text(1), retry.attempts),
            codes=take(RETRY_CODES, _codes, retry.codes),
            min_wait_seconds=min_wait,
            max_wait_seconds=max_wait,
        ),
    )


def _codes(value: object) -> tuple[int, ...]:
    """Read ``408, 429,503``."""
    code = integer_text(400, 599)
    return tuple(code(part.strip()) for part in str(value).split(","))
