"""The queue in JetStream streams: the default, durable across crashes and power cuts."""

from faasd_async.queue.jetstream.queue import JetStreamQueue

__all__ = ["JetStreamQueue"]
