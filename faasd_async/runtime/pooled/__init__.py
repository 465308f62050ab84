"""Invocations over :mod:`faasd_async.http`: its ends in the words of the runtimes."""
