from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from undercroft.clock import SystemClock
from undercroft_hookspecs import Put, StoreUnavailable, StoreUnusable
from undercroft_model import schema
from undercroft_model.database import Place, open_writer
from undercroft_model.schema import STEPS, StoreVersionError, prepare
from undercroft_model.sqlite import Connection, make_private
from undercroft_model.sqlite_store import open_sqlite

NEXT = (*STEPS, ("ALTER TABLE leases ADD COLUMN holder TEXT", "UPDATE leases SET holder = 'nobody'"))
BROKEN = (*STEPS, ("ALTER TABLE leases ADD COLUMN holder TEXT", "UPDATE no_such_table SET holder = ''"))


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        found: int = connection.execute("PRAGMA user_version").fetchone()[0]
        return found


def columns(path: Path) -> Sequence[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [name for _, name, *_ in connection.execute("PRAGMA table_info(leases)")]


def bring_up(path: Path, steps: schema.Steps) -> None:
    make_private(path)
    with closing(Connection(path)) as connection:
        prepare(connection, path, steps=steps)


async def filled(folder: Path) -> None:
    async with open_sqlite("sqlite:", data_dir=folder, clock=SystemClock()) as store:
        await store.transact([], [Put("a", b"1", await store.lease(60.0))])


async def test_an_older_version_is_brought_up_to_date_with_what_it_holds(tmp_path: Path, path: Path) -> None:
    await filled(tmp_path)

    bring_up(path, NEXT)

    assert (version(path), columns(path)[-1]) == (len(NEXT), "holder")
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT key FROM entries").fetchall() == [(b"a",)]


def test_a_new_file_takes_every_step(path: Path) -> None:
    bring_up(path, NEXT)

    assert (version(path), columns(path)[-1]) == (len(NEXT), "holder")


async def test_a_step_that_fails_leaves_the_older_version(tmp_path: Path, path: Path) -> None:
    await filled(tmp_path)

    with pytest.raises(StoreUnavailable, match="no_such_table"):
        bring_up(path, BROKEN)

    assert (version(path), "holder" in columns(path)) == (len(STEPS), False)
    await filled(tmp_path)


async def test_a_newer_version_is_refused_and_nothing_is_touched(tmp_path: Path, path: Path) -> None:
    await filled(tmp_path)
    bring_up(path, NEXT)
    before = path.read_bytes()

    with pytest.raises(StoreVersionError, match=r"has schema version 2, .* up to 1: upgrade undercroft-model"):
        await filled(tmp_path)

    assert path.read_bytes() == before


async def test_who_has_an_older_version_open_writes_nothing_into_a_newer_one(tmp_path: Path, path: Path) -> None:
    async with open_sqlite("sqlite:", data_dir=tmp_path, clock=SystemClock()) as store:
        await store.transact([], [Put("a", b"1")])
        bring_up(path, NEXT)

        with pytest.raises(StoreUnusable, match="upgrade undercroft-model"):
            await store.transact([], [Put("a", b"2")])
        assert (await store.list("")).revision == 1


def test_a_file_without_a_log_is_given_one(path: Path) -> None:
    bring_up(path, STEPS)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")

    with closing(open_writer(Place(path=path, now=lambda: 0.0, boot="this"))), closing(sqlite3.connect(path)) as other:
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
