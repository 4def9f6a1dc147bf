"""The Store's tables in one SQLite file, and every statement on them: synchronous, for a thread of their own.

The file is in WAL mode with `synchronous=FULL`: once COMMIT has returned, not even a power cut undoes it. Several
processes may write at once; each takes its turn at `BEGIN IMMEDIATE`.

Tables: `state` (one row: the last revision, the oldest one kept, the last lease), `entries` (keys as bytes, so that
they are ordered by their bytes), `changes` (what each commit changed, for watchers that resume) and `leases` (their
ends are on CLOCK_BOOTTIME, which counts through a suspend; a lease of another boot has ended).
"""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING, Literal

from undercroft_hookspecs.errors import UndercroftError
from undercroft_hookspecs.store import (
    Change,
    Check,
    Commit,
    Conflict,
    Delete,
    Entry,
    LeaseId,
    LeaseLost,
    Put,
    Revision,
    Snapshot,
    StoreUnavailable,
)
from undercroft_model.feed import Page

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

APPLICATION_ID = 0x756E6463  # "undc": what `file` and a human see in the header.
SCHEMA_VERSION = 1
BUSY_SECONDS = 10.0
KEPT_COMMITS = 20_000
"""How many commits are kept for watchers that resume, at least, if nobody compacts before."""

PAGE_CHANGES = 1000
"""How many changes are read at a time for a watcher that is behind, or so: a commit is never split."""

_SCHEMA = (
    """CREATE TABLE state (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        revision INTEGER NOT NULL, oldest INTEGER NOT NULL, lease INTEGER NOT NULL
    )""",
    "INSERT INTO state VALUES (1, 0, 0, 0)",
    """CREATE TABLE entries (
        key BLOB PRIMARY KEY, value BLOB NOT NULL, revision INTEGER NOT NULL, lease INTEGER
    ) WITHOUT ROWID""",
    "CREATE INDEX entries_by_lease ON entries (lease) WHERE lease IS NOT NULL",
    """CREATE TABLE changes (
        revision INTEGER NOT NULL, place INTEGER NOT NULL, key BLOB NOT NULL, value BLOB, lease INTEGER,
        PRIMARY KEY (revision, place)
    ) WITHOUT ROWID""",
    "CREATE TABLE leases (id INTEGER PRIMARY KEY, ttl REAL NOT NULL, ends REAL NOT NULL, boot TEXT NOT NULL)",
    "CREATE INDEX leases_by_end ON leases (ends)",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)


class StoreDamagedError(UndercroftError):
    """The file is not a store, or is damaged."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return (
            f"{self.path} is not a usable store ({self.reason}): restore a backup with `undercroft store restore FILE` "
            "or move the file away to begin with an empty store"
        )


class StoreVersionError(UndercroftError):
    """The file was written by a newer version; nothing in it was touched."""

    def __init__(self, path: Path, version: int) -> None:
        super().__init__(path, version)
        self.path, self.version = path, version

    def __str__(self) -> str:
        return (
            f"{self.path} has schema version {self.version}, and this undercroft-model knows only those up to "
            f"{SCHEMA_VERSION}: upgrade undercroft-model"
        )


class Database:
    """One connection to the file. `now` gives seconds since the boot; `boot` names the boot that they count from."""

    def __init__(self, path: Path, *, now: Callable[[], float], boot: str, mode: Literal["write", "read"]) -> None:
        self._path, self._now, self._boot = path, now, boot
        self._signal = signal_path(path)
        self._connection = _connect(path, create=mode == "write")
        if mode == "read":
            self._connection.execute("PRAGMA query_only = on")
        else:
            self._signal.touch(0o600)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def get(self, key: str) -> Entry | None:
        """The entry of `key`, or None."""
        row = self._connection.execute(
            "SELECT key, value, revision, lease FROM entries WHERE key = ?", (key.encode(),)
        ).fetchone()
        return None if row is None else _entry(row)

    def list(self, prefix: str) -> Snapshot:
        """All entries under `prefix`, and the revision at which they are so."""
        with _Reading(self._connection):
            revision = self.revision()
            low, high = _bounds(prefix)
            rows = self._connection.execute(
                "SELECT key, value, revision, lease FROM entries WHERE key >= ? AND key < ? ORDER BY key", (low, high)
            ).fetchall()
        return Snapshot(tuple(_entry(row) for row in rows), revision)

    def revision(self) -> Revision:
        """The revision of the last commit."""
        (revision,) = self._connection.execute("SELECT revision FROM state").fetchone()
        return Revision(revision)

    def first_end(self) -> float | None:
        """When the first lease ends, if there is one."""
        (first,) = self._connection.execute("SELECT min(ends) FROM leases").fetchone()
        return None if first is None else float(first)

    def page(self, prefix: str, since: Revision) -> Page:
        """The first commits after `since` that touch `prefix`, with what they changed there."""
        low, high = _bounds(prefix)
        with _Reading(self._connection):
            revision, oldest = self._connection.execute("SELECT revision, oldest FROM state").fetchone()
            last = self._connection.execute(
                "SELECT revision FROM changes WHERE revision > ? AND key >= ? AND key < ?"
                " ORDER BY revision, place LIMIT 1 OFFSET ?",
                (since, low, high, PAGE_CHANGES),
            ).fetchone()
            end = revision if last is None else last[0]
            rows = self._connection.execute(
                "SELECT revision, key, value, lease FROM changes WHERE revision > ? AND revision <= ?"
                " AND key >= ? AND key < ? ORDER BY revision, place",
                (since, end, low, high),
            ).fetchall()
        commits: dict[int, list[Change]] = {}
        for at, key, value, lease in rows:
            commits.setdefault(at, []).append(_change(key, value, lease))
        made = [Commit(Revision(at), tuple(changes)) for at, changes in commits.items()]
        return Page(made, Revision(end), Revision(oldest), is_last=last is None)

    def run(self, requests: Sequence[Callable[[Database], object]]) -> Sequence[object]:
        """Carry out several requests in one SQLite transaction, so that they share its fsync.

        Gives each one's result, or the error that refused it; a request that is refused has written nothing.

        Raises:
            StoreUnavailable: SQLite cannot write at all; then none of them has happened, unless `outcome_unknown`.
        """
        before = self._connection.total_changes
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            results = [_answer(request, self) for request in requests]
        except sqlite3.Error as error:
            self._roll_back()
            raise _unavailable(self._path, error, outcome_unknown=False) from error
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            raise _unavailable(self._path, error, outcome_unknown=True) from error
        if self._connection.total_changes != before:
            os.utime(self._signal)
        return results

    # What follows runs inside `run`.

    def transact(self, checks: Sequence[Check], writes: Sequence[Put | Delete]) -> Revision:
        """Write all of `writes` if all of `checks` hold; refuses before it has written anything."""
        for check in checks:
            actual = self._revision_of(check.key.encode())
            if actual != check.revision:
                raise Conflict(check.key, check.revision, actual)
        for lease in {write.lease for write in writes if isinstance(write, Put) and write.lease is not None}:
            self._require(lease)
        return self._commit(
            [write for write in writes if isinstance(write, Put) or self._revision_of(write.key.encode()) > 0]
        )

    def grant(self, ttl: float) -> LeaseId:
        """A new lease."""
        (lease,) = self._connection.execute("UPDATE state SET lease = lease + 1 RETURNING lease").fetchone()
        self._connection.execute("INSERT INTO leases VALUES (?, ?, ?, ?)", (lease, ttl, self._now() + ttl, self._boot))
        return LeaseId(lease)

    def renew(self, lease: LeaseId) -> None:
        """Let the lease's time begin anew."""
        self._require(lease)
        self._connection.execute("UPDATE leases SET ends = ? + ttl WHERE id = ?", (self._now(), lease))

    def revoke(self, lease: LeaseId) -> None:
        """End the lease, and delete its keys in one commit."""
        if self._connection.execute("DELETE FROM leases WHERE id = ?", (lease,)).rowcount:
            keys = self._connection.execute("SELECT key FROM entries WHERE lease = ? ORDER BY key", (lease,)).fetchall()
            self._commit([Delete(key.decode()) for (key,) in keys])

    def end_leases(self) -> None:
        """End every lease whose time has come, or that another boot has left behind."""
        over = self._connection.execute(
            "SELECT id FROM leases WHERE ends <= ? OR boot <> ? ORDER BY ends, id", (self._now(), self._boot)
        ).fetchall()
        for (lease,) in over:
            self.revoke(LeaseId(lease))

    def compact(self, before: Revision) -> None:
        """Forget the history before `before`."""
        oldest = min(before - 1, self.revision())
        self._connection.execute("DELETE FROM changes WHERE revision <= ?", (oldest,))
        self._connection.execute("UPDATE state SET oldest = max(oldest, ?)", (oldest,))

    def _commit(self, changes: Sequence[Change]) -> Revision:
        if not changes:
            return self.revision()
        revision, oldest = self._connection.execute(
            "UPDATE state SET revision = revision + 1 RETURNING revision, oldest"
        ).fetchone()
        for place, change in enumerate(changes):
            key = change.key.encode()
            if isinstance(change, Put):
                value = bytes(change.value)
                self._connection.execute(
                    "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?)", (key, value, revision, change.lease)
                )
                row: tuple[object, ...] = (revision, place, key, value, change.lease)
            else:
                self._connection.execute("DELETE FROM entries WHERE key = ?", (key,))
                row = (revision, place, key, None, None)
            self._connection.execute("INSERT INTO changes VALUES (?, ?, ?, ?, ?)", row)
        if revision - oldest > 2 * KEPT_COMMITS:
            self.compact(Revision(revision - KEPT_COMMITS))
        return Revision(revision)

    def _require(self, lease: LeaseId) -> None:
        row = self._connection.execute("SELECT ends, boot FROM leases WHERE id = ?", (lease,)).fetchone()
        if row is None or row[0] <= self._now() or row[1] != self._boot:
            raise LeaseLost(lease)

    def _revision_of(self, key: bytes) -> Revision:
        row = self._connection.execute("SELECT revision FROM entries WHERE key = ?", (key,)).fetchone()
        return Revision(0 if row is None else row[0])

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


def signal_path(path: Path) -> Path:
    """The file that is touched after each commit to the store in `path`."""
    return path.with_name(path.name + "-signal")


def log_path(path: Path) -> Path:
    """SQLite's write-ahead log of the store in `path`."""
    return path.with_name(path.name + "-wal")


class _Reading:
    """A read transaction: what is read inside is of one moment."""

    __slots__ = ("_connection",)

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN")

    def __exit__(self, *_: object) -> None:
        self._connection.execute("COMMIT")


def _connect(path: Path, *, create: bool) -> sqlite3.Connection:
    try:
        # Each connection is used by one thread at a time, which is not the one that opened it.
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise _unavailable(path, error, outcome_unknown=False) from error
    try:
        if create:
            _prepare(connection, path)
        connection.execute("PRAGMA synchronous = FULL")
    except sqlite3.OperationalError as error:
        connection.close()
        raise _unavailable(path, error, outcome_unknown=False) from error
    except sqlite3.DatabaseError as error:
        connection.close()
        raise StoreDamagedError(path, str(error)) from error
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables, or see that they are ours and of a version that we know."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN IMMEDIATE")
    try:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if tables == 0:
            for statement in _SCHEMA:
                connection.execute(statement)
        elif application != APPLICATION_ID:
            raise StoreDamagedError(path, "it is a database of another program")
        elif version > SCHEMA_VERSION:
            raise StoreVersionError(path, version)
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _answer(request: Callable[[Database], object], database: Database) -> object:
    try:
        return request(database)
    except UndercroftError as refused:
        return refused


def _unavailable(path: Path, error: sqlite3.Error, *, outcome_unknown: bool) -> StoreUnavailable:
    return StoreUnavailable(f"the store {path} cannot be used now: {error}", outcome_unknown=outcome_unknown)


def _bounds(prefix: str) -> tuple[bytes, bytes]:
    low = prefix.encode()
    return low, low + b"\xff"  # No UTF-8 has this byte.


def _entry(row: tuple[bytes, bytes, int, int | None]) -> Entry:
    key, value, revision, lease = row
    return Entry(key.decode(), value, Revision(revision), None if lease is None else LeaseId(lease))


def _change(key: bytes, value: bytes | None, lease: int | None) -> Change:
    if value is None:
        return Delete(key.decode())
    return Put(key.decode(), value, None if lease is None else LeaseId(lease))
