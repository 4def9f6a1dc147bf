"""JSON over HTTP: what is posted, and what the answer may say."""

from __future__ import annotations

import json

import msgspec
import pytest
from plugins.metrics.tests.senders.receivers import endpoint, status
from plugins.metrics.tests.senders.test_http_faults import sent
from plugins.metrics.tests.sending.fakes import batch

from undercroft_hookspecs import Accepted, Rejected, Retry
from undercroft_hookspecs.state import MeterStatus
from undercroft_metrics.senders.config import HttpConfig


@pytest.mark.parametrize("compression", ["none", "gzip"])
async def test_the_batches_are_posted_whole(compression: str) -> None:
    async with endpoint() as receiver:
        report = await sent(HttpConfig(url=receiver.url, compression=compression), 1, 2)  # type: ignore[arg-type]

    assert report.verdicts == {batch(1).id: Accepted(), batch(2).id: Accepted()}
    (request,) = receiver.requests
    assert request.body == msgspec.json.encode([batch(1), batch(2)])
    assert request.headers.get("Content-Encoding", "none") == compression
    assert request.headers["Content-Type"] == "application/json"


async def test_what_is_large_is_compressed_beside_the_loop() -> None:
    async with endpoint() as receiver:
        await sent(HttpConfig(url=receiver.url, compression="gzip"), *range(400))

    assert len(json.loads(receiver.requests[0].body)) == 400


async def test_the_idempotency_key_is_the_same_for_the_same_batches_and_a_batch_s_own_for_one() -> None:
    async with endpoint() as receiver:
        for numbers in ((1,), (1, 2), (1, 2), (2, 3)):
            await sent(HttpConfig(url=receiver.url), *numbers)

    one, two, again, other = (request.headers["Idempotency-Key"] for request in receiver.requests)
    assert one == batch(1).id
    assert two == again
    assert len({one, two, other}) == 3


async def test_a_conflict_means_that_all_were_there_before() -> None:
    async with endpoint(status(409)) as receiver:
        report = await sent(HttpConfig(url=receiver.url), 1)

    assert report.verdicts == {batch(1).id: Accepted(duplicate=True)}


async def test_the_answer_speaks_of_each_batch_and_of_the_metering() -> None:
    said = {
        "accepted": [batch(1).id],
        "duplicates": [batch(2).id],
        "retry": {batch(3).id: {"reason": "busy", "after": 5}},
        "rejected": {batch(4).id: "unknown charm"},
        "statuses": {"mysql/0": {"code": "RED", "info": "unpaid"}},
        "model_status": {"code": "GREEN"},
        "grace": 3600,
        "a field of a later version": 1,
    }
    async with endpoint(status(200, json.dumps(said))) as receiver:
        report = await sent(HttpConfig(url=receiver.url), 1, 2, 3, 4, 5)

    assert report.verdicts == {
        batch(1).id: Accepted(),
        batch(2).id: Accepted(duplicate=True),
        batch(3).id: Retry(reason="busy", after=5.0),
        batch(4).id: Rejected(reason="unknown charm"),
    }
    assert report.statuses == {"mysql/0": MeterStatus(code="RED", info="unpaid")}
    assert report.model_status == MeterStatus(code="GREEN")
    assert report.grace == 3600.0
