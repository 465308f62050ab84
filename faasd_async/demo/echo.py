"""Answers with the body, byte for byte, as it comes."""

import os
import sys


def main() -> None:
    """Copy standard input to standard output."""
    while piece := os.read(sys.stdin.fileno(), 65536):
        sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
