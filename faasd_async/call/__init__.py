"""The parcel: what travels from a caller to a function and back. No Twisted, no I/O."""
