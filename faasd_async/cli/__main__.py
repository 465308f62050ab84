"""``python -m faasd_async.cli``, where the script is not on ``PATH``."""

from faasd_async.cli.main import main

if __name__ == "__main__":
    main()
