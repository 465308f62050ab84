"""Always fails: complains on standard error and exits with 1, which a caller sees as a 500."""

import sys


def main() -> None:
    """Fail."""
    sys.exit("this function always fails")


if __name__ == "__main__":
    main()
