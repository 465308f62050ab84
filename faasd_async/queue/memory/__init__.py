"""A queue in this process's memory: for tests, and for trying things out.

Nothing survives the process, so a 202 promises little. Everything else, leases included, is as
with the durable queues.
"""

from faasd_async.queue.memory.keyed import MemoryKeyedCalls
from faasd_async.queue.memory.queue import MemoryQueue

__all__ = ["MemoryKeyedCalls", "MemoryQueue"]
