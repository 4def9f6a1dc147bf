"""The Store's statements on one SQLite file: synchronous, for a thread of their own."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, TypeVar, cast

from undercroft_hookspecs.errors import UndercroftError
from undercroft_hookspecs.store import (
    Change,
    Check,
    Conflict,
    Delete,
    Entry,
    LeaseId,
    Put,
    Revision,
    Snapshot,
    StoreUnavailable,
    StoreUnusable,
)
from undercroft_model.history import History, bounds
from undercroft_model.leases import Leases
from undercroft_model.schema import STEPS, StoreVersionError, prepare
from undercroft_model.signalfile import SignalFile, signal_path
from undercroft_model.sqlite import Connection, make_private

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from undercroft_model.sqlite import Row

T = TypeVar("T")
Request: TypeAlias = "Callable[[Database], T]"

KEPT_COMMITS = 20_000
"""How many commits are kept for watchers that resume, at least, if nobody compacts before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a store is, and the time that its leases run on: `now` gives seconds since the boot called `boot`."""

    path: Path
    now: Callable[[], float]
    boot: str
    kept_commits: int = KEPT_COMMITS


class Database:
    """The tables, over one connection.

    `history` has the commits, `leases` what keys die with; a `signal` is touched by `tell_others`.
    """

    def __init__(self, place: Place, connection: Connection, signal: SignalFile | None = None) -> None:
        self.signal = signal
        self._path = place.path
        self._connection = connection
        self._is_untold = False
        self._unwritten: dict[str, Row | None] = {}  # By key, what `write` has yet to write; None: to delete.
        self.history = History(connection, kept=place.kept_commits)
        self.leases = Leases(connection, commit=self.commit, flush=self._flush, now=place.now, boot=place.boot)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()
        if self.signal is not None:
            self.signal.close()

    def get(self, key: str) -> Entry | None:
        """The entry of `key`, or None."""
        row = self._connection.row("SELECT key, value, revision, lease FROM entries WHERE key = ?", (key.encode(),))
        return None if row is None else _entry(row)

    def list(self, prefix: str) -> Snapshot:
        """All entries under `prefix`, and the revision at which they are so."""
        with self._connection.reading():
            revision, _ = self.history.stand()
            rows = self._connection.rows(
                "SELECT key, value, revision, lease FROM entries WHERE key >= ? AND key < ? ORDER BY key",
                bounds(prefix),
            )
            return Snapshot(tuple(map(_entry, rows)), revision)

    def run(self, requests: Sequence[Request[object]]) -> Sequence[object]:
        """Carry out several requests, as `write` does, and tell other processes."""
        results = self.write(requests)
        self.tell_others()
        return results

    def write(self, requests: Sequence[Request[object]]) -> Sequence[object]:
        """Carry out several requests in one SQLite transaction, so that they share its fsync.

        Gives each one's result, or the error that refused it; a request that is refused has written nothing. Leases
        that are over end first.

        Raises:
            StoreUnavailable: SQLite cannot write at all; then none of them has happened, unless `outcome_unknown`.
            StoreUnusable: the file is damaged, or another process has brought it to a newer version.
        """
        before = self._connection.changes
        with self._connection.writing():
            version = self._connection.number("PRAGMA user_version")
            if version != len(STEPS):
                raise StoreVersionError(self._path, version, len(STEPS))
            self._unwritten.clear()
            self.leases.end_over(self.history.begin())
            results = [_answer(request, self) for request in requests]
            self._flush()
            self.history.end()
        self._is_untold = self._is_untold or self._connection.changes != before
        return results

    def tell_others(self) -> None:
        """Touch the signal, if anything was written since the last time."""
        if self._is_untold and self.signal is not None:
            self.signal.touch()
        self._is_untold = False

    # What follows runs inside `write`.

    def transact(self, checks: Sequence[Check], writes: Sequence[Put | Delete]) -> Revision:
        """Write all of `writes` if all of `checks` hold; refuses before it has written anything."""
        for check in checks:
            actual = self._revision_of(check.key)
            if actual != check.revision:
                raise Conflict(check.key, check.revision, actual)
        changes: list[Change] = []
        for write in writes:
            if isinstance(write, Put):
                if write.lease is not None:
                    self.leases.require(write.lease)
                changes.append(write)
            elif self._revision_of(write.key):
                changes.append(write)
        return self.commit(changes)

    def commit(self, changes: Sequence[Change]) -> Revision:
        """Make one commit of changes that all change something; none at all if there are none."""
        if not changes:
            return self.history.present
        revision = Revision(self.history.present + 1)
        rows: list[Row] = []
        for place, change in enumerate(changes):
            # No bytes and no None: sqlite3 looks for an adapter of each, which takes longer than all the rest.
            key = bytearray(change.key, "utf-8")
            if isinstance(change, Put):
                value, lease = bytearray(change.value), change.lease or 0
                self._unwritten[change.key] = (key, value, revision, lease)
                rows.append((revision, place, key, value, lease))
            else:
                self._unwritten[change.key] = None
                rows.append((revision, place, key, None, 0))
        self.history.add(revision, changes, rows)
        return revision

    def _flush(self) -> None:
        """Write the entries: fewer and longer statements, and of a key that was written often only the last."""
        if not self._unwritten:
            return
        puts = [row for row in self._unwritten.values() if row is not None]
        deleted = [(key.encode(),) for key, row in self._unwritten.items() if row is None]
        self._connection.execute_many("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, nullif(?, 0))", puts)
        if deleted:
            self._connection.execute_many("DELETE FROM entries WHERE key = ?", deleted)
        self._unwritten.clear()

    def _revision_of(self, key: str) -> Revision:
        if key in self._unwritten:
            unwritten = self._unwritten[key]
            return Revision(0 if unwritten is None else cast("int", unwritten[2]))
        row = self._connection.row("SELECT revision FROM entries WHERE key = ?", (key.encode(),))
        return Revision(0 if row is None else cast("int", row[0]))


def open_writer(place: Place) -> Database:
    """Open the store to write to it; makes it if it is absent, and brings it up to date.

    Raises:
        StoreUnavailable: it cannot be opened or made.
        StoreUnusable: it is damaged, another program's, or a newer version's.
    """
    make_private(place.path)
    with ExitStack() as opened:
        signal = SignalFile(signal_path(place.path))
        opened.callback(signal.close)
        connection = Connection(place.path)
        opened.callback(connection.close)
        prepare(connection, place.path)
        opened.pop_all()
    return Database(place, connection, signal)


def open_reader(place: Place) -> Database:
    """Open once more a store that is open, to read from it."""
    return Database(place, Connection(place.path, is_reader=True))


def _answer(request: Request[object], database: Database) -> object:
    try:
        return request(database)
    except (StoreUnavailable, StoreUnusable):
        raise
    except UndercroftError as refused:
        return refused


def _entry(row: tuple[object, ...]) -> Entry:
    key, value, revision, lease = cast("tuple[bytes, bytes, int, int | None]", row)
    return Entry(key.decode(), value, Revision(revision), None if lease is None else LeaseId(lease))
