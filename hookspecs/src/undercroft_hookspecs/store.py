"""The Store contract: an ordered map of keys to bytes with transactions, watches and leases.

Every backend keeps all of it (the suite `undercroft_conformance.StoreConformance` checks each sentence).

* **Keys** are 1 to 1024 bytes of UTF-8 without NUL, ordered by their bytes. Parts of a key that come from outside are
  percent-quoted by whoever makes the key. `get` and `list` are linearizable.
* **A transaction** is one revision and one `Commit`, never split: `watch(prefix, commit.revision)` resumes exactly
  behind it. A key written twice in it: `NotValidError`. At most `MAX_OPERATIONS` checks and writes together, and
  `MAX_BYTES` of keys and values: `TooLarge` beyond.
* **A lease** outlives the connection; its owner renews it, not the backend. Its end shows as `Delete`s of its keys in
  one commit. A holder stops believing in its lease two thirds of the TTL after the last renewal that was acknowledged.
* **The backend reconnects by itself**; after a bounded wait it raises `StoreUnavailable`. No write is retried whose
  outcome is unknown.

    UndercroftError
    ├── Conflict               a check did not hold
    ├── Compacted              the revision asked for is no longer kept
    ├── LeaseLost              the lease has ended, or never was
    ├── TooLarge               the transaction would not fit every backend
    ├── StoreUnavailable       nobody answered in time
    └── StoreUnusable          damaged, or of a newer version: no waiting will help
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, NewType, Protocol, TypeAlias, runtime_checkable

import msgspec

from undercroft_hookspecs.errors import NotValidError, UndercroftError

if TYPE_CHECKING:
    from pathlib import Path

    from undercroft_hookspecs.worker import Clock

Revision = NewType("Revision", int)
LeaseId = NewType("LeaseId", int)

MAX_KEY_BYTES = 1024
MAX_OPERATIONS = 100
MAX_BYTES = 1024 * 1024


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A key's present value, the revision that wrote it, and the lease that it dies with."""

    key: str
    value: bytes
    revision: Revision
    lease: LeaseId | None = None


class Snapshot(msgspec.Struct, frozen=True):
    """All entries under a prefix, in the order of their keys, as they were at one revision."""

    entries: Sequence[Entry]
    revision: Revision


class Check(msgspec.Struct, frozen=True, gc=False):
    """The condition that `key` was last written at `revision`; 0: that it is absent."""

    key: str
    revision: Revision


class Put(msgspec.Struct, frozen=True, gc=False):
    """Write `value`; with a lease, the key goes when the lease ends."""

    key: str
    value: bytes
    lease: LeaseId | None = None


class Delete(msgspec.Struct, frozen=True, gc=False):
    """Remove the key; nothing if it is absent."""

    key: str


Change: TypeAlias = Put | Delete


class Commit(msgspec.Struct, frozen=True):
    """What one transaction changed under the watched prefix."""

    revision: Revision
    changes: Sequence[Change]


class Conflict(UndercroftError):
    """A check did not hold: `key` is at revision `actual` (0: absent), not at `expected`. Nothing was written."""

    def __init__(self, key: str, expected: Revision, actual: Revision) -> None:
        super().__init__(key, expected, actual)
        self.key, self.expected, self.actual = key, expected, actual

    def __str__(self) -> str:
        return f"{self.key!r} was changed meanwhile: expected revision {self.expected}, found {self.actual}"


class Compacted(UndercroftError):
    """The revision asked for is no longer kept; `oldest` is the oldest one to watch from. List again, then watch."""

    def __init__(self, oldest: Revision) -> None:
        super().__init__(oldest)
        self.oldest = oldest

    def __str__(self) -> str:
        return f"the revision asked for was compacted away; the oldest one kept is {self.oldest}"


class LeaseLost(UndercroftError):
    """The lease has ended, or never was."""

    def __init__(self, lease: LeaseId) -> None:
        super().__init__(lease)
        self.lease = lease

    def __str__(self) -> str:
        return f"lease {self.lease} has ended"


class TooLarge(UndercroftError):
    """The transaction has more operations or bytes than every backend can take."""


class StoreUnavailable(UndercroftError):
    """The store did not answer in time; with `outcome_unknown` a write may or may not have happened."""

    def __init__(self, message: str = "the store is not reachable", *, outcome_unknown: bool = False) -> None:
        super().__init__(message)
        self.outcome_unknown = outcome_unknown


class StoreUnusable(UndercroftError):
    """What is kept cannot be used as it is, and somebody has to see to it: the agent ends with this error."""


@runtime_checkable
class Store(Protocol):
    """The state that agents and commands share. See the module for what every backend promises."""

    async def get(self, key: str) -> Entry | None:
        """The entry of `key`, or None."""
        ...

    async def list(self, prefix: str) -> Snapshot:
        """All entries whose key begins with `prefix` (any string; empty: all)."""
        ...

    async def transact(self, checks: Sequence[Check], writes: Sequence[Put | Delete]) -> Revision:
        """Write all of `writes` if all of `checks` hold, else nothing; durable when it returns.

        Returns the commit's revision; a transaction that changes nothing makes no commit and gives the present
        revision.

        Raises:
            Conflict: a check did not hold.
            LeaseLost: a `Put` names a lease that has ended.
            NotValidError: a malformed key, or a key written twice.
            TooLarge: too many operations, or too many bytes.
        """
        ...

    def watch(self, prefix: str, since: Revision) -> AbstractAsyncContextManager[AsyncIterator[Commit]]:
        """Every commit after `since` that touches `prefix`, in order, none lost and none doubled.

        Raises:
            Compacted: from entering or from iterating, when `since` is no longer kept.
        """
        ...

    async def lease(self, ttl: float) -> LeaseId:
        """Grant a lease that ends `ttl` seconds after its last renewal."""
        ...

    async def renew(self, lease: LeaseId) -> None:
        """Let the lease's time begin anew. Raises LeaseLost."""

    async def revoke(self, lease: LeaseId) -> None:
        """End the lease and delete its keys in one commit; nothing if it has ended."""

    async def compact(self, before: Revision) -> None:
        """Forget the history before `before`; present entries stay."""


class StoreFactory(Protocol):
    """What an entry point of the group `undercroft.stores` names: opens the store behind a URL of its scheme.

    Options are the URL's query; secrets are given as file names (`?password_file=`).
    """

    def __call__(self, url: str, *, data_dir: Path, clock: Clock) -> AbstractAsyncContextManager[Store]: ...


def check_key(key: str) -> int:
    """How many bytes a key has.

    Raises:
        NotValidError: it is not a key.
    """
    try:
        size = len(key.encode())
    except (UnicodeEncodeError, AttributeError):
        raise NotValidError(f"{key!r} is not a key: keys are UTF-8", field="key") from None
    if not 1 <= size <= MAX_KEY_BYTES:
        raise NotValidError(f"a key has 1 to {MAX_KEY_BYTES} bytes, not {size}: {key[:80]!r}", field="key")
    if "\0" in key:
        raise NotValidError(f"a key has no NUL: {key[:80]!r}", field="key")
    return size


def check_transaction(checks: Sequence[Check], writes: Sequence[Put | Delete]) -> None:
    """Refuse a transaction that not every backend can take.

    Raises:
        NotValidError: a malformed key, or a key written twice.
        TooLarge: too many operations, or too many bytes.
    """
    size = 0
    for check in checks:
        size += check_key(check.key)
    for write in writes:
        size += check_key(write.key)
        if isinstance(write, Put):
            size += _check_value(write)
    if len(writes) > 1:
        _check_once(writes)
    if len(checks) + len(writes) > MAX_OPERATIONS:
        raise TooLarge(f"a transaction has at most {MAX_OPERATIONS} operations, not {len(checks) + len(writes)}")
    if size > MAX_BYTES:
        raise TooLarge(f"a transaction has at most {MAX_BYTES} bytes, not {size}")


def _check_once(writes: Sequence[Put | Delete]) -> None:
    written: set[str] = set()
    for write in writes:
        if write.key in written:
            raise NotValidError(f"{write.key!r} is written twice in one transaction", field="writes")
        written.add(write.key)


def _check_value(write: Put) -> int:
    # Callers that no type checker has seen: `len` alone would count the characters of a string.
    value: object = write.value
    if type(value) is bytes:
        return len(value)
    if not isinstance(value, bytes | bytearray | memoryview):
        kind = type(value).__name__
        raise NotValidError(f"the value of {write.key!r} has to be bytes, and is {kind}", field="writes")
    return memoryview(value).nbytes


def check_ttl(ttl: float) -> None:
    """Refuse a lease that does not last for some seconds.

    Raises:
        NotValidError: it lasts for no time, or for ever.
    """
    if not 0 < ttl < float("inf"):
        raise NotValidError(f"a lease lasts for some seconds, not {ttl}", field="ttl")
