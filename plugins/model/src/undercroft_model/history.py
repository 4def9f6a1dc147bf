"""What the commits to an SQLite file changed, kept for watchers that resume."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from undercroft_hookspecs.store import Delete, LeaseId, Put, Revision
from undercroft_model.feed import Page

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from undercroft_hookspecs.store import Change
    from undercroft_model.sqlite import Connection, Row

COMPACTED_AT_ONCE = 256
"""How many commits are forgotten together beyond those kept: a little each time, so that no writer waits for long."""

PAGE_CHANGES = 1000
PAGE_BYTES = 4 * 1024 * 1024
"""How much is read at a time for a watcher that is behind, or so: a commit is never split."""


@dataclass(slots=True)
class _Batch:
    """What one SQLite transaction adds: it is all written at its end, by fewer and longer statements."""

    began: Revision
    present: Revision
    oldest: Revision
    commits: list[tuple[Revision, Sequence[Change]]] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)


class History:
    """The commits of a file. It keeps `kept` of them at least, unless it is told to forget more."""

    def __init__(self, connection: Connection, *, kept: int) -> None:
        self._connection, self._kept = connection, kept
        self._batch = _Batch(Revision(0), Revision(0), Revision(0))

    def stand(self) -> tuple[Revision, Revision]:
        """The revision of the last commit, and the oldest one to watch from."""
        present, oldest = self._connection.numbers("SELECT revision, oldest FROM state")
        return Revision(present), Revision(oldest)

    def page(self, prefix: str, since: Revision) -> Page:
        """The first commits after `since` that touch `prefix`, with what they changed there."""
        with self._connection.reading():
            present, oldest = self.stand()
            if since >= present:
                return Page([], present, oldest, is_last=True)
            rows = self._connection.rows(
                "SELECT revision, key, value, lease FROM changes WHERE revision > ? AND key >= ? AND key < ?"
                " ORDER BY revision, place",
                (since, *bounds(prefix)),
            )
            commits, is_last = _first_commits(rows)
            rows.close()  # It may have more to give.
        return Page(commits, present if is_last else commits[-1][0], oldest, is_last)

    # What follows runs in a write transaction, between `begin` and `end`.

    def begin(self) -> float | None:
        """See where the file stands, and when the first lease ends, if there is one."""
        row = self._connection.row("SELECT revision, oldest, (SELECT min(ends) FROM leases) FROM state")
        # Without a row, `stand` says what is wrong.
        present, oldest, first_end = cast("tuple[Revision, Revision, float | None]", row or (*self.stand(), None))
        self._batch = _Batch(present, present, oldest)
        return first_end

    @property
    def present(self) -> Revision:
        """The revision of the last commit, those of this transaction included."""
        return self._batch.present

    def add(self, revision: Revision, changes: Sequence[Change], rows: Sequence[Row]) -> None:
        """Add what the commit of the next revision has changed: as it is told, and as rows of `changes`; in these the
        lease 0 is none.
        """
        batch = self._batch
        batch.present = revision
        batch.commits.append((revision, changes))
        batch.rows.extend(rows)
        if revision - batch.oldest > self._kept + COMPACTED_AT_ONCE:
            self.compact(Revision(batch.oldest + COMPACTED_AT_ONCE + 1))

    def compact(self, before: Revision) -> None:
        """Forget the commits before `before`."""
        batch = self._batch
        oldest = Revision(min(before - 1, batch.present))
        if oldest > batch.oldest:
            self._write_rows()
            self._connection.execute("DELETE FROM changes WHERE revision <= ?", (oldest,))
            self._connection.execute("UPDATE state SET oldest = ?", (oldest,))
            batch.oldest = oldest

    def end(self) -> None:
        """Write down what was added."""
        batch = self._batch
        self._write_rows()
        if batch.present != batch.began:
            self._connection.execute("UPDATE state SET revision = ?", (batch.present,))

    def _write_rows(self) -> None:
        batch = self._batch
        if batch.rows:
            self._connection.execute_many("INSERT INTO changes VALUES (?, ?, ?, ?, nullif(?, 0))", batch.rows)
            batch.rows = []

    def told(self) -> tuple[Revision, Page]:
        """Where the file stood before the last write transaction, and what that has added."""
        batch = self._batch
        return batch.began, Page(batch.commits, batch.present, batch.oldest, is_last=True)


def bounds(prefix: str) -> tuple[bytes, bytes]:
    """The first key that begins with `prefix`, and the first one behind all that do."""
    low = prefix.encode(errors="surrogatepass")  # Any string is a prefix, if only of nothing.
    return low, low + b"\xff"  # No UTF-8 has this byte.


def _first_commits(rows: Iterator[Row]) -> tuple[list[tuple[Revision, Sequence[Change]]], bool]:
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
    return [(Revision(at), tuple(changes)) for at, changes in found.items()], is_last


def _change(key: bytes, value: bytes | None, lease: int | None) -> Change:
    if value is None:
        return Delete(key.decode())
    return Put(key.decode(), value, None if lease is None else LeaseId(lease))
