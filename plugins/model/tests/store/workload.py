"""Processes that write to one store, to be killed: `python workload.py STORE`, steered over its stdin.

This process has one thread and imports everything once; for each line `NAME` on stdin it forks a writer, whose process
id it tells as `pid NAME PID`. A writer adds to a counter, moves money and counts its own steps, all in one transaction
each, and tells `ack NAME STEP` once it was acknowledged. When stdin ends, so do all writers.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from pathlib import Path

from undercroft.clock import SystemClock
from undercroft_hookspecs import Check, Conflict, Entry, Put, Revision, Store
from undercroft_model.sqlite_store import open_sqlite

ACCOUNTS = tuple(f"account/{number}" for number in range(4))
MONEY = 1000
NEW = Revision(0)


def value(entry: Entry | None, default: int = 0) -> int:
    """The number in an entry."""
    return default if entry is None else int(entry.value)


def same(key: str, entry: Entry | None) -> Check:
    """The condition that an entry is as it was read."""
    return Check(key, NEW if entry is None else entry.revision)


async def step(store: Store, name: str, number: int, rng: random.Random) -> None:
    """One more step of a writer, tried until nobody comes in between."""
    giver, taker = rng.sample(ACCOUNTS, 2)
    keys = ("counter", giver, taker)
    while True:
        counter, one, other = [await store.get(key) for key in keys]
        checks = [same(key, entry) for key, entry in zip(keys, (counter, one, other), strict=True)]
        writes = [
            Put("counter", b"%d" % (value(counter) + 1)),
            Put(giver, b"%d" % (value(one, MONEY) - 1)),
            Put(taker, b"%d" % (value(other, MONEY) + 1)),
            Put(f"step/{name}", b"%d" % number),
        ]
        try:
            await store.transact(checks, writes)
        except Conflict:
            continue
        return


async def work(path: Path, name: str) -> None:
    """Take steps for ever."""
    rng = random.Random(name)
    number = 0
    async with open_sqlite(f"sqlite:{path}", data_dir=path.parent, clock=SystemClock()) as store:
        while True:
            number += 1
            await step(store, name, number, rng)
            os.write(1, f"ack {name} {number}\n".encode())


def main(path: Path) -> None:
    """Fork a writer for each line."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    children = []
    for line in sys.stdin:
        name = line.strip()
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            asyncio.run(work(path, name))
            os._exit(0)
        children.append(pid)
        os.write(1, f"pid {name} {pid}\n".encode())
    for pid in children:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        while True:
            os.wait()
    except ChildProcessError:
        pass


if __name__ == "__main__":
    main(Path(sys.argv[1]))
