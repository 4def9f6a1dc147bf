"""A process that publishes for two senders without end, and says what is safe: `... powercut FOLDER`."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

from plugins.metrics.tests.spool.bench import Bench, batch


def main(folder: Path) -> None:
    """Publish until killed."""
    spool = Bench(folder).open("a", "b")
    for number in itertools.count(1):
        spool.publish([batch(number, samples=50)])
        print(number, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
