"""The Store's statements on one SQLite file: synchronous, for a thread of their own."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, TypeVar, cast

from undercroft_hookspecs.errors import UndercroftError
from undercroft_hookspecs.store import (
    Change,
    Check,
    Commit,
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
from undercroft_model.feed import Page
from undercroft_model.leases import Leases
from undercroft_model.schema import STEPS, StoreVersionError, prepare
from undercroft_model.signalfile import SignalFile, signal_path
from undercroft_model.sqlite import Connection, StoreDamagedError, make_private

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

T = TypeVar("T")
Request: TypeAlias = "Callable[[Database], T]"

KEPT_COMMITS = 20_000
"""How many commits are kept for watchers that resume, at least, if nobody compacts before."""

COMPACTED_AT_ONCE = 256
"""How many commits are forgotten together beyond that: each time a little, so that no writer waits for long."""

PAGE_CHANGES = 1000
PAGE_BYTES = 4 * 1024 * 1024
"""How much is read at a time for a watcher that is behind, or so: a commit is never split."""

_LARGEST = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a store is, and the time that its leases run on: `now` gives seconds since the boot called `boot`."""

    path: Path
    now: Callable[[], float]
    boot: str
    kept_commits: int = KEPT_COMMITS


class Database:
    """The tables, over one connection. `leases` are the store's; a `signal` is touched after each commit."""

    def __init__(self, place: Place, connection: Connection, signal: SignalFile | None = None) -> None:
        self.signal = signal
        self._path, self._kept = place.path, place.kept_commits
        self._connection = connection
        self.leases = Leases(connection, commit=self.commit, now=place.now, boot=place.boot)

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
            revision = self.revision()
            rows = self._connection.rows(
                "SELECT key, value, revision, lease FROM entries WHERE key >= ? AND key < ? ORDER BY key",
                _bounds(prefix),
            )
            return Snapshot(tuple(map(_entry, rows)), revision)

    def revision(self) -> Revision:
        """The revision of the last commit."""
        return Revision(self._connection.number("SELECT revision FROM state"))

    def page(self, prefix: str, since: Revision) -> Page:
        """The first commits after `since` that touch `prefix`, with what they changed there."""
        with self._connection.reading():
            revision, oldest = self.revision(), Revision(self._connection.number("SELECT oldest FROM state"))
            rows = self._connection.rows(
                "SELECT revision, key, value, lease FROM changes WHERE revision > ? AND key >= ? AND key < ?"
                " ORDER BY revision, place",
                (min(since, _LARGEST), *_bounds(prefix)),
            )
            commits, is_last = _first_commits(rows)
            rows.close()  # It may have more to give.
        return Page(commits, revision if is_last else commits[-1].revision, oldest, is_last)

    def run(self, requests: Sequence[Request[object]]) -> Sequence[object]:
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
            self.leases.end_over()
            results = [_answer(request, self) for request in requests]
        if self.signal is not None and self._connection.changes != before:
            self.signal.touch()
        return results

    # What follows runs inside `run`.

    def transact(self, checks: Sequence[Check], writes: Sequence[Put | Delete]) -> Revision:
        """Write all of `writes` if all of `checks` hold; refuses before it has written anything."""
        for check in checks:
            actual = self._revision_of(check.key)
            if actual != check.revision:
                raise Conflict(check.key, check.revision, actual)
        for lease in dict.fromkeys(w.lease for w in writes if isinstance(w, Put) and w.lease is not None):
            self.leases.require(lease)
        return self.commit([write for write in writes if isinstance(write, Put) or self._revision_of(write.key)])

    def compact(self, before: Revision) -> None:
        """Forget the history before `before`."""
        oldest = max(0, min(before - 1, self.revision()))
        self._connection.execute("DELETE FROM changes WHERE revision <= ?", (oldest,))
        self._connection.execute("UPDATE state SET oldest = ? WHERE oldest < ?", (oldest, oldest))

    def commit(self, changes: Sequence[Change]) -> Revision:
        """Make one commit of changes that all change something; none at all if there are none."""
        if not changes:
            return self.revision()
        row = self._connection.row("UPDATE state SET revision = revision + 1 RETURNING revision, oldest")
        if row is None:
            raise StoreDamagedError(self._path, "the table `state` is empty")
        revision, oldest = cast("tuple[int, int]", row)
        for place, change in enumerate(changes):
            self._apply(change, revision, place)
        if revision - oldest > self._kept + COMPACTED_AT_ONCE:
            self.compact(Revision(oldest + COMPACTED_AT_ONCE + 1))
        return Revision(revision)

    def _apply(self, change: Change, revision: int, place: int) -> None:
        key = change.key.encode()
        if isinstance(change, Put):
            self._connection.execute(
                "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?)", (key, change.value, revision, change.lease)
            )
            row: Sequence[object] = (revision, place, key, change.value, change.lease)
        else:
            self._connection.execute("DELETE FROM entries WHERE key = ?", (key,))
            row = (revision, place, key, None, None)
        self._connection.execute("INSERT INTO changes VALUES (?, ?, ?, ?, ?)", row)

    def _revision_of(self, key: str) -> Revision:
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


def _first_commits(rows: Iterator[tuple[object, ...]]) -> tuple[list[Commit], bool]:
    """As many commits as make a page, and whether those are all."""
    found: dict[int, list[Change]] = {}
    count = size = 0
    is_last = True
    for at, key, value, lease in cast("Iterator[tuple[int, bytes, bytes | None, int | None]]", rows):
        if at not in found and (count >= PAGE_CHANGES or size >= PAGE_BYTES):
            is_last = False
            break
        found.setdefault(at, []).append(_change(key, value, lease))
        count, size = count + 1, size + len(value or b"")
    return [Commit(Revision(at), tuple(changes)) for at, changes in found.items()], is_last


def _bounds(prefix: str) -> tuple[bytes, bytes]:
    low = prefix.encode(errors="surrogatepass")  # Any string is a prefix, if only of nothing.
    return low, low + b"\xff"  # No UTF-8 has this byte.


def _entry(row: tuple[object, ...]) -> Entry:
    key, value, revision, lease = cast("tuple[bytes, bytes, int, int | None]", row)
    return Entry(key.decode(), value, Revision(revision), None if lease is None else LeaseId(lease))


def _change(key: bytes, value: bytes | None, lease: int | None) -> Change:
    if value is None:
        return Delete(key.decode())
    return Put(key.decode(), value, None if lease is None else LeaseId(lease))
