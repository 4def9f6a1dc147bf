"""The Store's leases in SQLite. All but `first_end` and `left_behind` runs inside a batch of `Database.write`."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from undercroft_hookspecs.store import Delete, LeaseId, LeaseLost

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from undercroft_hookspecs.store import Change, Revision
    from undercroft_model.sqlite import Connection

_LARGEST = 2**63 - 1


class Leases:
    """The leases of a file. `now` gives seconds since the boot; `boot` names the boot that they count from."""

    __slots__ = ("_boot", "_commit", "_connection", "_flush", "_now")

    def __init__(
        self,
        connection: Connection,
        *,
        commit: Callable[[Sequence[Change]], Revision],
        flush: Callable[[], None],
        now: Callable[[], float],
        boot: str,
    ) -> None:
        self._connection, self._commit, self._flush = connection, commit, flush
        self._now, self._boot = now, boot

    def first_end(self) -> float | None:
        """When the first lease ends, if there is one."""
        found = self._connection.row("SELECT min(ends) FROM leases")
        return None if found is None else cast("float | None", found[0])

    def left_behind(self) -> bool:
        """Whether there is any lease to end, one of another boot included."""
        return len(self._over()) > 0

    def grant(self, ttl: float) -> LeaseId:
        """A new lease."""
        lease = self._connection.number("UPDATE state SET lease = lease + 1 RETURNING lease")
        self._connection.execute("INSERT INTO leases VALUES (?, ?, ?, ?)", (lease, ttl, self._now() + ttl, self._boot))
        return LeaseId(lease)

    def require(self, lease: LeaseId) -> None:
        """See that a lease has not ended.

        Raises:
            LeaseLost: it has, or never was.
        """
        if not _is_one(lease):
            raise LeaseLost(lease)
        found = self._connection.row(
            "SELECT 1 FROM leases WHERE id = ? AND ends > ? AND boot = ?", (lease, self._now(), self._boot)
        )
        if found is None:
            raise LeaseLost(lease)

    def renew(self, lease: LeaseId) -> None:
        """Let the lease's time begin anew."""
        self.require(lease)
        self._connection.execute("UPDATE leases SET ends = ? + ttl WHERE id = ?", (self._now(), lease))

    def revoke(self, lease: LeaseId) -> None:
        """End the lease, and delete its keys in one commit."""
        if _is_one(lease) and self._connection.execute("DELETE FROM leases WHERE id = ?", (lease,)):
            self._flush()
            keys = list(self._connection.rows("SELECT key FROM entries WHERE lease = ? ORDER BY key", (lease,)))
            self._commit([Delete(cast("bytes", key).decode()) for (key,) in keys])

    def end_over(self, first: float | None) -> None:
        """End every lease whose time has come, given when the first one's does."""
        if first is not None and first <= self._now():
            self.end_left_behind()

    def end_left_behind(self) -> None:
        """End every lease whose time has come, or that another boot has left behind."""
        for lease in self._over():
            self.revoke(lease)

    def _over(self) -> Sequence[LeaseId]:
        rows = self._connection.rows(
            "SELECT id FROM leases WHERE ends <= ? OR boot <> ? ORDER BY ends, id", (self._now(), self._boot)
        )
        return [LeaseId(cast("int", lease)) for (lease,) in rows]


def _is_one(lease: object) -> bool:
    """Whether it can be the number of a lease: SQLite takes no larger ones."""
    return isinstance(lease, int) and 0 < lease <= _LARGEST
