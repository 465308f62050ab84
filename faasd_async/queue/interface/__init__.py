"""What every queue offers to the gateway, the worker and the callback poster.

Two kinds of parcel lie in it: calls waiting to be made, and callbacks waiting to be delivered.
Both are put in with a promise (the Deferred fires when the parcel is as durable as the
deployment asked for) and taken out on a lease that its holder extends until it settles.
"""

from faasd_async.queue.interface.dead_letters import DeadLetters, Filed, Page, Selection
from faasd_async.queue.interface.delivery import Delivery, Subscription
from faasd_async.queue.interface.finding import Hands, Lookup, Peers
from faasd_async.queue.interface.keyed import Accepted, KeyedCalls
from faasd_async.queue.interface.queue import Queue
from faasd_async.queue.interface.records import Records
from faasd_async.queue.interface.schedules import Schedules, Tick
from faasd_async.queue.interface.source import OfFunction, OfQueue, Source, is_of
from faasd_async.queue.interface.telling import told
from faasd_async.queue.interface.waiting import Backlog, Depth, Pauses, Waiting

__all__ = [
    "Accepted",
    "Backlog",
    "DeadLetters",
    "Delivery",
    "Depth",
    "Filed",
    "Hands",
    "KeyedCalls",
    "Lookup",
    "OfFunction",
    "OfQueue",
    "Page",
    "Pauses",
    "Peers",
    "Queue",
    "Records",
    "Schedules",
    "Selection",
    "Source",
    "Subscription",
    "Tick",
    "Waiting",
    "is_of",
    "told",
]
