"""The pigeonholes: where a parcel waits, durably, until somebody has time for it."""
