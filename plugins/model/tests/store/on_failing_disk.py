"""Use a store while its disk fails, and after: `python on_failing_disk.py FOLDER CALL`, with failing_disk.c preloaded.

Tells what happens as lines of `word: rest`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from undercroft.clock import SystemClock
from undercroft_hookspecs import Put, Revision, Store, StoreUnavailable
from undercroft_model.sqlite_store import open_sqlite

VALUE = b"x" * 20_000
TRIES = 5


async def attempt(store: Store, number: int) -> None:
    """Write, and read it."""
    try:
        revision = await store.transact([], [Put(f"key/{number}", VALUE)])
        print("acknowledged:", number, revision)
        entry = await store.get(f"key/{number}")
        assert entry is not None
        assert entry.value == VALUE
    except StoreUnavailable as error:
        print("unknown:" if error.outcome_unknown else "refused:", number, error)


async def main(folder: Path, call: str) -> None:
    """Write before, during and after the fault, with somebody watching all the time."""
    failing = Path(os.environ["FAILING"])
    async with (
        open_sqlite("sqlite:", data_dir=folder, clock=SystemClock()) as store,
        store.watch("key/", Revision(0)) as commits,
    ):
        await attempt(store, 0)
        failing.write_text(call)
        for number in range(1, TRIES):
            await attempt(store, number)
        failing.unlink()
        print("mended: now")
        await attempt(store, TRIES)
        async with asyncio.timeout(20):
            key = ""
            while key != f"key/{TRIES}":
                key = (await anext(commits)).changes[0].key
                print("seen:", key)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
