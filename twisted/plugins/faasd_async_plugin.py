"""Makes ``twistd faasd-async`` known. Nothing but names: twistd reads this at every start."""

from twisted.application.service import ServiceMaker

faasd_async = ServiceMaker(
    "faasd-async",
    "faasd_async.tap",
    "Asynchronous functions on a single machine.",
    "faasd-async",
)
