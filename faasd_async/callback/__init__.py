"""The back door: brings an outcome to the one who asked for it."""
