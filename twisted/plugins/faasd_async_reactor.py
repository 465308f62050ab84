"""Makes ``twistd --reactor faasd-async`` known. Nothing but names: twistd may read it often."""

from twisted.application.reactors import Reactor

lean = Reactor("faasd-async", "faasd_async.lean_reactor", "epoll(7), without log contexts.")
