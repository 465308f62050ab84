"""The daemon put together: each file makes the parts of one room, and `whole.py` the whole."""
