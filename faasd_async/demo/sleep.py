"""Sleeps for as many seconds as the body says, 2 if it is empty, and says so."""

import sys
import time


def main() -> None:
    """Sleep, then answer."""
    wish = sys.stdin.read().strip() or "2"
    try:
        time.sleep(float(wish))
    except (ValueError, OverflowError):
        sys.exit(f"no number of seconds: {wish!r}")
    sys.stdout.write(f"slept for {wish} s\n")


if __name__ == "__main__":
    main()
