"""How fast a bare answer is: what :mod:`benchmarks.bare` does under the same load."""

from __future__ import annotations

from benchmarks.figures import Figures
from benchmarks.harness import Floor
from benchmarks.load import ACCEPTED, load
from benchmarks.processes import Processes, a_call

CONNECTIONS = 64


def measure_floor(seconds: float) -> Figures:
    """
    :raises BenchmarkFailed: an answer was no 202, or did not come.
    """
    floor = Floor()
    processes = Processes({"daemon": floor.pid})
    with processes.costs() as costs:
        seen = load(floor.port, "/async-function/noop", seconds, CONNECTIONS, ACCEPTED)
    memory = processes.memory_mib()
    answered = floor.stop()
    seen.check("came", answered)
    return Figures(
        "a bare 202",
        rate=seen.rate,
        p50_ms=seen.p50_ms,
        p99_ms=seen.p99_ms,
        cpu_us=a_call(costs, answered),
        memory_mib=memory,
    )
