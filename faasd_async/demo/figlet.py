"""Answers with the body in big letters."""

import sys


def main() -> None:
    """Draw standard input on standard output."""
    try:
        from pyfiglet import figlet_format
    except ImportError:
        sys.exit("figlet needs pyfiglet: pip install 'faasd-async[demo]'")
    text = sys.stdin.buffer.read().decode(errors="replace")
    sys.stdout.buffer.write(figlet_format(text.strip()).encode())


if __name__ == "__main__":
    main()
