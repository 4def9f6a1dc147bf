"""Write to a store, batch by batch, and tell each that is acknowledged: `python steady.py STORE BATCHES SYNCHRONOUS`.

The log is taken into the file every few pages, so that there is something to lose in both.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from undercroft_hookspecs import Put
from undercroft_model.database import Database, Place, open_writer
from undercroft_model.signalfile import SignalFile, signal_path
from undercroft_model.sqlite import Connection

BATCH = 3


def step(database: Database, number: int) -> int:
    """One transaction, of two keys."""
    value = b"%d " % number
    return database.transact([], [Put("counter", value), Put(f"step/{number % 7}", value * 300)])


def main(path: Path, batches: int, synchronous: str) -> None:
    """Write, and go without closing anything."""
    place = Place(path=path, now=lambda: 0.0, boot="this", kept_commits=20)
    _keeper = open_writer(place)  # Closing the last connection would remove the log.
    connection = Connection(path)
    connection.row("PRAGMA wal_autocheckpoint = 30")
    connection.row(f"PRAGMA synchronous = {synchronous}")
    database = Database(place, connection, SignalFile(signal_path(path)))
    for batch in range(batches):
        numbers = range(batch * BATCH + 1, (batch + 1) * BATCH + 1)
        database.run([lambda it, n=n: step(it, n) for n in numbers])  # type: ignore[misc]
        os.write(1, f"ack {numbers[-1]}\n".encode())
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
