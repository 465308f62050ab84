"""faasd-async: asynchronous functions on a single machine."""

__version__ = "0.1.0"
