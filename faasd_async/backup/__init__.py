"""Backups of a daemon's state: taken while it runs, and put where there is none.

A backup is a tar file (``archive.py``). It holds a snapshot of each stream, the messages that were
put meanwhile into streams that had been taken already (``taking.py`` says why that is enough), and
the functions and secrets of the state directory.
"""
