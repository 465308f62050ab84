"""What a measurement comes to, and how it is told in a line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Figures:
    """One measurement; what it does not tell of is ``None`` or left out.

    :ivar what: its name, the same in each round.
    :ivar rate: calls a second.
    :ivar of_floor: that rate as a share of what answering alone could do just before.
    :ivar cpu_us: CPU time a call, by process.
    :ivar memory_mib: what is resident, by process.
    :ivar times_ms: further times, by what they are of.
    """

    what: str
    rate: float | None = None
    of_floor: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None
    cpu_us: Mapping[str, float] = field(default_factory=dict)
    memory_mib: Mapping[str, float] = field(default_factory=dict)
    times_ms: Mapping[str, float] = field(default_factory=dict)

    def against(self, floor: Figures | None) -> Figures:
        """The same, with the share of that floor's rate."""
        if floor is None or floor.rate is None or self.rate is None:
            return self
        return replace(self, of_floor=self.rate / floor.rate)

    def __str__(self) -> str:
        of_floor = "" if self.of_floor is None else f" ({self.of_floor:.2f} of the floor)"
        figures = [
            *([] if self.rate is None else [f"{self.rate:,.0f}/s{of_floor}"]),
            *([] if self.p50_ms is None else [f"p50 {self.p50_ms:.1f} ms"]),
            *([] if self.p99_ms is None else [f"p99 {self.p99_ms:.1f} ms"]),
            *(f"{what} {ms:,.0f} ms" for what, ms in self.times_ms.items()),
        ]
        parts = [
            *([", ".join(figures)] if figures else []),
            *(self._process(name) for name in {**self.cpu_us, **self.memory_mib}),
        ]
        return f"{self.what}: {'; '.join(parts)}"

    def _process(self, name: str) -> str:
        told = [
            *([f"{self.cpu_us[name]:.0f} µs a call"] if name in self.cpu_us else []),
            *([f"{self.memory_mib[name]:.0f} MiB"] if name in self.memory_mib else []),
        ]
        return f"{name} {', '.join(told)}"


def percentile(values: Iterable[float], share: float) -> float:
    """The value that this share of them does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
