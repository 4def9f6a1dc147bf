from __future__ import annotations

import fcntl
import os
import sqlite3
import stat
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from undercroft_hookspecs import AlreadyExistsError, Delete, NotFoundError, Put, StoreUnavailable
from undercroft_model.database import Database, Place, open_writer
from undercroft_model.sqlite import StoreDamagedError
from undercroft_model.upkeep import AgentRunsError, BackupUnusableError, backup, check, restore

NOW = datetime(2026, 11, 24, 5, 52, 17, tzinfo=UTC)


def opened(path: Path) -> Database:
    return open_writer(Place(path=path, now=lambda: 0.0, boot="this"))


def write(path: Path, *values: str) -> None:
    """One commit for each value of the key `a`, and a lease."""
    with closing(opened(path)) as database:
        (lease,) = database.run([lambda it: it.leases.grant(60.0)])
        for value in values:
            writes = [Put("a", value.encode()), Put("leased", b"", lease), Delete("gone"), Put("gone2", b"")]  # type: ignore[arg-type]
            database.run([lambda it, writes=writes: it.transact([], writes)])  # type: ignore[misc]
        database.run([lambda it: it.transact([], [Delete("gone2")])])


def held(path: Path) -> Mapping[str, bytes]:
    with closing(opened(path)) as database:
        return {entry.key: entry.value for entry in database.list("").entries}


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture
def filled(path: Path) -> Path:
    """A store with something in it."""
    write(path, "1", "2")
    return path


@pytest.fixture
def saved(filled: Path, tmp_path: Path) -> Path:
    """A backup of it."""
    backup(filled, tmp_path / "saved")
    return tmp_path / "saved"


def vandalise(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def test_a_backup_is_one_private_file_that_holds_everything(filled: Path, tmp_path: Path) -> None:
    with closing(opened(filled)) as database:
        database.run([lambda it: it.transact([], [Put("in the log", b"1")])])
        before = names(tmp_path)

        verdict = backup(filled, tmp_path / "saved")

        assert names(tmp_path) - before == {"saved"}
    assert (verdict.entries, verdict.problems) == (3, [])
    assert stat.S_IMODE((tmp_path / "saved").stat().st_mode) == 0o600
    assert held(tmp_path / "saved") == held(filled)


def test_a_backup_that_is_there_stays_as_it_is(filled: Path, saved: Path, tmp_path: Path) -> None:
    before = saved.read_bytes()
    write(filled, "3")

    with pytest.raises(AlreadyExistsError, match="give another name, or --force"):
        backup(filled, saved)
    with pytest.raises(AlreadyExistsError, match="is a folder"):
        backup(filled, tmp_path, force=True)

    assert saved.read_bytes() == before


def test_a_backup_is_replaced_by_force(filled: Path, saved: Path) -> None:
    write(filled, "3")

    backup(filled, saved, force=True)

    assert held(saved)["a"] == b"3"


def test_a_damaged_store_is_not_backed_up(filled: Path, tmp_path: Path) -> None:
    vandalise(filled, "DELETE FROM entries WHERE key = x'61'")

    with pytest.raises(StoreDamagedError, match="is not what its last change made it"):
        backup(filled, tmp_path / "saved")

    assert not any(name.startswith((".saved", "saved")) for name in names(tmp_path))


def test_there_has_to_be_a_store(path: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no store yet"):
        backup(path, tmp_path / "saved")
    with pytest.raises(NotFoundError, match="there is no store yet"):
        check(path)

    assert names(tmp_path) == set()


def test_a_backup_is_put_in_place_and_the_old_file_is_kept(filled: Path, saved: Path, tmp_path: Path) -> None:
    write(filled, "3")

    verdict, kept = restore(filled, saved, data_dir=tmp_path, now=NOW)

    assert kept == tmp_path / "store.db-replaced-20261124-055217"
    assert (held(filled)["a"], held(kept)["a"], verdict.revision) == (b"2", b"3", 3)
    assert stat.S_IMODE(filled.stat().st_mode) == 0o600


def test_a_second_restoring_keeps_another_file(filled: Path, saved: Path, tmp_path: Path) -> None:
    _, first = restore(filled, saved, data_dir=tmp_path, now=NOW)
    _, second = restore(filled, saved, data_dir=tmp_path, now=NOW)

    assert first is not None
    assert second is not None
    assert {first.name, second.name} <= names(tmp_path)
    assert first != second


def test_a_backup_is_put_where_nothing_was(saved: Path, tmp_path: Path) -> None:
    _, kept = restore(tmp_path / "new.db", saved, data_dir=tmp_path, now=NOW)

    assert kept is None
    assert held(tmp_path / "new.db")["a"] == b"2"


def test_a_damaged_store_is_replaced_with_its_log(filled: Path, saved: Path, tmp_path: Path) -> None:
    filled.write_bytes(b"damaged" * 1000)
    filled.with_name("store.db-wal").write_bytes(b"log")

    _, kept = restore(filled, saved, data_dir=tmp_path, now=NOW)

    assert kept is not None
    assert kept.read_bytes() == b"damaged" * 1000
    assert held(filled)["a"] == b"2"


@pytest.mark.parametrize("content", [b"", b"no database" * 1000])
def test_what_is_no_backup_is_refused_and_nothing_touched(filled: Path, tmp_path: Path, content: bytes) -> None:
    bad = tmp_path / "bad"
    bad.write_bytes(content)
    before = filled.read_bytes()

    with pytest.raises(BackupUnusableError, match="bad cannot be restored from"):
        restore(filled, bad, data_dir=tmp_path, now=NOW)

    assert filled.read_bytes() == before
    assert not any(name.startswith(".") or "replaced" in name for name in names(tmp_path))


def test_a_backup_that_was_damaged_is_refused(filled: Path, saved: Path, tmp_path: Path) -> None:
    vandalise(saved, "UPDATE entries SET value = x'00' WHERE key = x'61'")

    with pytest.raises(BackupUnusableError, match="is not what its last change made it"):
        restore(filled, saved, data_dir=tmp_path, now=NOW)


def test_a_backup_of_a_newer_version_is_refused(filled: Path, saved: Path, tmp_path: Path) -> None:
    vandalise(saved, "PRAGMA user_version = 99")

    with pytest.raises(BackupUnusableError, match="schema version 99"):
        restore(filled, saved, data_dir=tmp_path, now=NOW)


def test_a_backup_that_is_absent_is_not_found(filled: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="nowhere"):
        restore(filled, tmp_path / "nowhere", data_dir=tmp_path, now=NOW)


def test_a_store_that_somebody_has_open_is_not_replaced(filled: Path, saved: Path, tmp_path: Path) -> None:
    with closing(opened(filled)), pytest.raises(StoreUnavailable, match="is in use: stop the agent and every command"):
        restore(filled, saved, data_dir=tmp_path, now=NOW)

    assert not any("replaced" in name for name in names(tmp_path))


def test_an_agent_that_runs_is_in_the_way(filled: Path, saved: Path, tmp_path: Path) -> None:
    lock = os.open(tmp_path / "agent.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(AgentRunsError, match="stop it first"):
            restore(filled, saved, data_dir=tmp_path, now=NOW)
    finally:
        os.close(lock)


def test_a_sound_store_has_no_problems(filled: Path) -> None:
    verdict = check(filled)

    assert (verdict.problems, verdict.entries, verdict.revision, verdict.leases) == ([], 2, 3, 1)


def test_a_store_is_checked_while_it_is_open(filled: Path) -> None:
    with closing(opened(filled)):
        assert check(filled).problems == []


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("DELETE FROM entries WHERE key = x'61'", "key 'a' is not what its last change made it"),
        ("UPDATE entries SET value = x'00' WHERE key = x'61'", "key 'a' is not what its last change made it"),
        ("UPDATE entries SET revision = 1 WHERE key = x'61'", "key 'a' is not what its last change made it"),
        ("INSERT INTO entries VALUES ('b', x'', 2, NULL)", "key b was written by a revision that does not tell of it"),
        ("INSERT INTO entries VALUES (x'ff', x'', 2, NULL)", "is not one: keys are UTF-8 without NUL"),
        ("INSERT INTO entries VALUES (x'62', x'', 9, NULL)", "key 'b' was written by a revision that is yet to come"),
        ("INSERT INTO entries VALUES (zeroblob(2000), x'', 2, NULL)", "has too many bytes, or none"),
        ("DELETE FROM leases", "key 'leased' hangs on a lease that is not there"),
        ("UPDATE leases SET ttl = 0", "lease 1 lasts for no time"),
        ("UPDATE state SET lease = 0", "lease 1 is newer than the last one granted"),
        ("DELETE FROM changes WHERE revision = 2", "the revision before 3 has lost all of its changes"),
        ("DELETE FROM changes WHERE revision = 2 AND place = 0", "revision 2 has lost some of its changes"),
        ("DELETE FROM changes WHERE revision = 3", "the revision before 4 has lost all of its changes"),
        ("UPDATE changes SET revision = 9 WHERE revision = 3", "revision 9 is yet to come"),
        ("UPDATE state SET oldest = 1", "revision 1 should have been forgotten"),
        ("UPDATE state SET oldest = 9", "the table `state` does not say where the store stands"),
        ("DELETE FROM state", "the table `state` does not say where the store stands"),
        ("PRAGMA user_version = 99", "upgrade undercroft-model"),
    ],
)
def test_what_does_not_fit_together_is_named(filled: Path, statement: str, problem: str) -> None:
    vandalise(filled, statement)

    assert any(problem in found for found in check(filled).problems), check(filled).problems


def test_what_sqlite_finds_is_named(filled: Path) -> None:
    with closing(opened(filled)) as database:
        for number in range(100):
            database.run([lambda it, n=number: it.transact([], [Put(f"{n:09}", b"x" * 500)])])  # type: ignore[misc]
    damaged = bytearray(filled.read_bytes())
    damaged[6 * 4096 : 9 * 4096] = b"\xee" * (3 * 4096)
    filled.write_bytes(damaged)

    assert check(filled).problems != []


def test_what_is_no_store_is_said_so(path: Path) -> None:
    path.write_bytes(b"no database at all" * 1000)

    assert check(path).problems == ["file is not a database"]


def test_an_empty_file_is_no_store(path: Path) -> None:
    path.touch()

    assert check(path).problems == ["it is empty: there are no tables of a store in it"]
