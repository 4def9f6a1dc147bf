"""Those of etcd's requests and answers that the store needs, with those of their fields that it needs.

Field numbers are those of etcd's `rpc.proto` and `kv.proto`, which never change.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from undercroft_etcd.wire import chunk, fields, number

RANGE = "/etcdserverpb.KV/Range"
TXN = "/etcdserverpb.KV/Txn"
COMPACT = "/etcdserverpb.KV/Compact"
WATCH = "/etcdserverpb.Watch/Watch"
LEASE_GRANT = "/etcdserverpb.Lease/LeaseGrant"
LEASE_REVOKE = "/etcdserverpb.Lease/LeaseRevoke"
LEASE_KEEP_ALIVE = "/etcdserverpb.Lease/LeaseKeepAlive"
LEASE_TIME_TO_LIVE = "/etcdserverpb.Lease/LeaseTimeToLive"
AUTHENTICATE = "/etcdserverpb.Auth/Authenticate"

_TARGET_MOD = 2
_EVENT_DELETE = 1
_HEADER_REVISION = 3 << 3


class KeyValue(NamedTuple):
    """A key as it was written at a revision; the lease is 0 if there is none."""

    key: bytes
    revision: int
    value: bytes
    lease: int


class Event(NamedTuple):
    """A key was written, or deleted, at the revision of `kv`."""

    is_delete: bool
    kv: KeyValue


@dataclass(frozen=True, slots=True)
class RangeAnswer:
    """Keys in their order, as they were at `revision` (of the store, if none was asked for)."""

    revision: int
    kvs: Sequence[KeyValue]
    has_more: bool


@dataclass(frozen=True, slots=True)
class TxnAnswer:
    """Whether the comparisons held, and what the branch that was taken has read, one list for each range."""

    revision: int
    succeeded: bool
    ranges: Sequence[Sequence[KeyValue]]


@dataclass(frozen=True, slots=True)
class LeaseAnswer:
    """A lease, and how long it has to live: 0 or less if it has ended."""

    lease: int
    ttl: int


@dataclass(frozen=True, slots=True)
class WatchAnswer:
    """What a watch says. `compacted` is not 0 if the revision that was asked for is no longer kept."""

    revision: int
    is_created: bool
    is_cancelled: bool
    compacted: int
    reason: str
    is_fragment: bool
    events: Sequence[Event]


def range_request(key: bytes, end: bytes = b"", *, limit: int = 0, revision: int = 0, keys_only: bool = False) -> bytes:
    """Read a key, or the keys from one on to another; linearizable unless a revision is named."""
    return (
        chunk(1, key)
        + (chunk(2, end) if end else b"")
        + number(3, limit)
        + number(4, revision)
        + number(8, int(keys_only))
    )


def put_operation(key: bytes, value: bytes, lease: int) -> bytes:
    """Write a key, as an operation of a transaction."""
    return chunk(2, chunk(1, key) + chunk(2, value) + number(3, lease))


def delete_operation(key: bytes) -> bytes:
    """Delete a key, as an operation of a transaction."""
    return chunk(3, chunk(1, key))


def look_operation(key: bytes) -> bytes:
    """Read a key's revision, as an operation of a transaction."""
    return chunk(1, range_request(key, keys_only=True))


def comparison(key: bytes, revision: int) -> bytes:
    """The condition that a key was last written at a revision; 0: that it is absent."""
    # The revision is written even if it is 0: it is a choice of several fields, and an absent one is none of them.
    return number(2, _TARGET_MOD) + chunk(3, key) + (number(6, revision) or b"\x30\x00")


def txn_request(comparisons: Iterable[bytes], then: Iterable[bytes], otherwise: Iterable[bytes]) -> bytes:
    """Carry out the operations of `then` if all comparisons hold, else those of `otherwise`."""
    parts = [chunk(1, part) for part in comparisons]
    parts += [chunk(2, part) for part in then]
    parts += [chunk(3, part) for part in otherwise]
    return b"".join(parts)


def compact_request(revision: int) -> bytes:
    """Forget what was before a revision."""
    return number(1, revision)


def watch_request(key: bytes, end: bytes, start: int) -> bytes:
    """Watch the keys from one on to another, from a revision on."""
    is_progress_told, may_fragment = number(4, 1), number(8, 1)
    return chunk(1, chunk(1, key) + chunk(2, end) + number(3, start) + is_progress_told + may_fragment)


def grant_request(ttl: int) -> bytes:
    """Grant a lease, whose number etcd chooses."""
    return number(1, ttl)


def lease_request(lease: int) -> bytes:
    """Revoke or renew a lease, or ask how long it has to live."""
    return number(1, lease)


def authenticate_request(user: str, password: str) -> bytes:
    """Ask for a token."""
    return chunk(1, user.encode()) + chunk(2, password.encode())


def range_answer(message: bytes) -> RangeAnswer:
    """Read the answer to a range request."""
    revision, has_more = 0, False
    kvs: list[KeyValue] = []
    for field, value, data in fields(message):
        if field == 2:
            kvs.append(_key_value(data))
        elif field == 1:
            revision = _revision(data)
        elif field == 3:
            has_more = bool(value)
    return RangeAnswer(revision, kvs, has_more)


def txn_answer(message: bytes) -> TxnAnswer:
    """Read the answer to a transaction."""
    revision, succeeded = 0, False
    ranges: list[Sequence[KeyValue]] = []
    for field, value, data in fields(message):
        if field == 1:
            revision = _revision(data)
        elif field == 2:
            succeeded = bool(value)
        elif field == 3:
            ranges += [range_answer(part).kvs for kind, _, part in fields(data) if kind == 1]
    return TxnAnswer(revision, succeeded, ranges)


def lease_answer(message: bytes) -> LeaseAnswer:
    """Read the answer to a grant, a renewal, or a question for the time to live."""
    numbers = {field: value for field, value, _ in fields(message)}
    return LeaseAnswer(numbers.get(2, 0), numbers.get(3, 0))


def token_answer(message: bytes) -> str:
    """Read the token from the answer to an authentication."""
    return next((data.decode() for field, _, data in fields(message) if field == 2), "")


def watch_answer(message: bytes) -> WatchAnswer:
    """Read one message of a watch."""
    revision, reason = 0, ""
    numbers: dict[int, int] = {}
    events: list[Event] = []
    for field, value, data in fields(message):
        if field == 11:
            events.append(_event(data))
        elif field == 1:
            revision = _revision(data)
        elif field == 6:
            reason = data.decode("utf-8", "replace")
        else:
            numbers[field] = value
    return WatchAnswer(
        revision=revision,
        is_created=bool(numbers.get(3)),
        is_cancelled=bool(numbers.get(4)),
        compacted=numbers.get(5, 0),
        reason=reason,
        is_fragment=bool(numbers.get(7)),
        events=events,
    )


def _revision(header: bytes) -> int:
    """The revision in a header, which every answer has; two integers of ten bytes before it are passed over."""
    position, end = 0, len(header)
    while position < end and header[position] != _HEADER_REVISION:
        position += 1  # The tag, which is one byte; then all bytes of its integer, of which the last has no high bit.
        while header[position] & 0x80:
            position += 1
        position += 1
    return next((value for _, value, _ in fields(header[position:])), 0)


def _key_value(message: bytes) -> KeyValue:
    key = value = b""
    revision = lease = 0
    for field, figure, data in fields(message):
        if field == 1:
            key = data
        elif field == 3:
            revision = figure
        elif field == 5:
            value = data
        elif field == 6:
            lease = figure
    return KeyValue(key, revision, value, lease)


def _event(message: bytes) -> Event:
    kind, kv = 0, KeyValue(b"", 0, b"", 0)
    for field, value, data in fields(message):
        if field == 1:
            kind = value
        elif field == 2:
            kv = _key_value(data)
    return Event(kind == _EVENT_DELETE, kv)
