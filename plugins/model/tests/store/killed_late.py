"""Write to a store and die between the commit and the signal to the others: `python killed_late.py STORE`."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from undercroft_hookspecs import Put
from undercroft_model.database import Database, Place
from undercroft_model.signalfile import SignalFile, signal_path
from undercroft_model.sqlite import Connection


class Deadly(SignalFile):
    """A signal that its process does not live to give."""

    def touch(self) -> None:
        """Die."""
        os.kill(os.getpid(), signal.SIGKILL)


def main(path: Path) -> None:
    """Commit, and die."""
    place = Place(path=path, now=lambda: 0.0, boot="this")
    database = Database(place, Connection(path), Deadly(signal_path(path)))
    database.run([lambda it: it.transact([], [Put("late", b"1")])])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
