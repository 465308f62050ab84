"""What anyone can run: ``python -m benchmarks.accept``, ``.drain``, ``.sync``; see ``--help``."""
