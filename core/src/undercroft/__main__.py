"""`python -m undercroft`, and what the `undercroft` script calls."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line and return its exit code."""
    from undercroft.cli.main import main as run  # noqa: PLC0415 - so that importing this module costs nothing.

    return run()


if __name__ == "__main__":
    sys.exit(main())
