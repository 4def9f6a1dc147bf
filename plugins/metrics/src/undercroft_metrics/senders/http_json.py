"""Batches as a JSON array, posted to a URL whose answer may speak of each batch, and of the unit's metering.

The answer's body may be empty, which stands for all having arrived. Else it is an object with any of: `accepted` and
`duplicates` (lists of ids), `retry` (by id, `{"reason", "after"}`), `rejected` (by id, the reason), `statuses` (by
unit, `{"code", "info"}`), `model_status` and `grace` (seconds). A batch that it does not name is sent again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import asynccontextmanager
from hashlib import sha1
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec

from undercroft.files import in_thread
from undercroft_hookspecs import Accepted, Rejected, Retry, RetryLaterError, SendReport
from undercroft_hookspecs.state import MeterStatus
from undercroft_metrics.senders.transport import packed, poster

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from undercroft_hookspecs import Agent, MetricBatch, MetricDelivery, MetricSenderOpener, Verdict
    from undercroft_metrics.senders.config import HttpConfig
    from undercroft_metrics.senders.transport import Poster

_KEYS = UUID("8c1f6a0e-6c5c-4f8e-9a1c-2f1d6a3e0b57")
_CONFLICT = 409
LARGE = 64 << 10


class Later(msgspec.Struct, frozen=True):
    """A batch that is to be sent again."""

    reason: str = "the receiver asks for it again"
    after: float | None = None


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """The answer's body."""

    accepted: Sequence[str] = ()
    duplicates: Sequence[str] = ()
    retry: Mapping[str, Later] = msgspec.field(default_factory=dict)
    rejected: Mapping[str, str] = msgspec.field(default_factory=dict)
    statuses: Mapping[str, MeterStatus] = msgspec.field(default_factory=dict)
    model_status: MeterStatus | None = None
    grace: float | None = None


class HttpDelivery:
    """The open sender of one unit."""

    def __init__(self, receiver: Poster, compression: str) -> None:
        self._receiver, self._compression = receiver, compression

    async def send(self, batches: Sequence[MetricBatch]) -> SendReport:
        """Post batches, and read what the answer says of each."""
        body = msgspec.json.encode(batches)
        if self._compression == "none" or len(body) < LARGE:
            body, headers = packed(body, self._compression)
        else:
            body, headers = await in_thread(packed, body, self._compression)
        every = {**headers, "Content-Type": "application/json", "Idempotency-Key": idempotency_key(batches)}
        answer = await self._receiver.post(body, every, passing=frozenset({_CONFLICT}))
        if answer.status == _CONFLICT:
            return _all(batches, duplicate=True)
        return _all(batches) if not answer.body.strip() else report_of(answer.body)


def idempotency_key(batches: Sequence[MetricBatch]) -> str:
    """A key that is the same whenever the same batches are sent together; one batch's is its id."""
    if len(batches) == 1:
        return batches[0].id
    # As uuid5 does it, but in small pieces: for a large one the interpreter's lock is let go, and waited for.
    digest = sha1(_KEYS.bytes, usedforsecurity=False)
    digest.update(batches[0].id.encode())
    for batch in batches[1:]:
        digest.update(b"," + batch.id.encode())
    return str(UUID(bytes=digest.digest()[:16], version=5))


def report_of(body: bytes) -> SendReport:
    """What the body of an answer says.

    Raises:
        RetryLaterError: it is not what it should be.
    """
    try:
        said = msgspec.json.decode(body, type=Said)
    except msgspec.MsgspecError as error:
        raise RetryLaterError(f"the receiver's answer cannot be read: {error}") from error
    verdicts: dict[str, Verdict] = {batch: Accepted() for batch in said.accepted}
    verdicts |= {batch: Accepted(duplicate=True) for batch in said.duplicates}
    verdicts |= {batch: Retry(reason=later.reason, after=later.after) for batch, later in said.retry.items()}
    verdicts |= {batch: Rejected(reason=reason) for batch, reason in said.rejected.items()}
    return SendReport(verdicts=verdicts, statuses=said.statuses, model_status=said.model_status, grace=said.grace)


def opener(agent: Agent, _name: str, config: HttpConfig) -> MetricSenderOpener:
    """A receiver of JSON as a sender."""

    @asynccontextmanager
    async def open_sender(_model: str, _unit: str, /) -> AsyncIterator[MetricDelivery]:
        async with poster(config, agent.clock) as receiver:
            yield HttpDelivery(receiver, config.compression)

    return open_sender


def _all(batches: Sequence[MetricBatch], *, duplicate: bool = False) -> SendReport:
    return SendReport(verdicts={batch.id: Accepted(duplicate=duplicate) for batch in batches})
