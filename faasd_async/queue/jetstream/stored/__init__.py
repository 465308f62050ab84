"""Parcels and records as JetStream messages.

A request's payload is its stored form (:mod:`faasd_async.call.http_form`). What the queue itself
needs stands in NATS headers of its own, ASCII throughout, so that no header of a caller's can
become one of NATS'. Ids and names stand in the subject and nowhere else.
"""
