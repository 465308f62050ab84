"""The two ends of a growing wait, as they stand in several tables."""

from faasd_async.settings.quantities import format_duration
from faasd_async.settings.table import Table


def check_waits(table: Table, min_wait_seconds: float, max_wait_seconds: float) -> None:
    """Note it if the least wait is longer than the longest; one of them may be a default."""
    if min_wait_seconds > max_wait_seconds and ("min_wait" in table or "max_wait" in table):
        table.mistake(
            "min_wait",
            f"found {format_duration(min_wait_seconds)}; allowed: at most max_wait,"
            f" {format_duration(max_wait_seconds)}",
        )
