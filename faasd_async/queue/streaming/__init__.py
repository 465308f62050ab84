"""The queue with NATS Streaming before it: for those who come from OpenFaaS. Needs ``protobuf``."""

from faasd_async.queue.streaming.queue import Channels, StreamingQueue, client_id

__all__ = ["Channels", "StreamingQueue", "client_id"]
