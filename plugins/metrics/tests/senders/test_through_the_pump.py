"""The pump with a real receiver behind it, which has trouble with some batches: the others arrive."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import UUID

import msgspec
import pytest
from aiohttp import web
from plugins.metrics.tests.senders.receivers import Received, endpoint
from plugins.metrics.tests.sending.fakes import Stage

from undercroft.testing.agent import FakeAgent
from undercroft_hookspecs import MetricBatch
from undercroft_hookspecs.state import MeterStatus
from undercroft_metrics.senders import configured
from undercroft_metrics.senders.config import HttpConfig

REFUSED, BROKEN, LARGE, COUNT = 3, 5, 7, 40


class Troubled:
    """Refuses one batch, breaks at another, finds a third too large; begins with being busy, and being away."""

    def __init__(self) -> None:
        self.arrived: list[int] = []
        self._first = [
            web.Response(status=429, headers={"Retry-After": "30"}),
            web.Response(status=503),
            web.Response(status=301, headers={"Location": "/elsewhere"}),
        ]

    def __call__(self, received: Received) -> web.Response:
        numbers = [UUID(each.id).int for each in msgspec.json.decode(received.body, type=list[MetricBatch])]
        if self._first:
            return self._first.pop(0)
        for number, status in ((REFUSED, 400), (BROKEN, 500), (LARGE, 413)):
            if number in numbers:
                return web.Response(status=status, text=f"number {number}")
        self.arrived += numbers
        return web.Response(status=202)


async def test_whatever_a_receiver_answers_to_some_batches_the_others_arrive_once_and_in_order(tmp_path: Path) -> None:
    troubled = Troubled()
    async with endpoint(troubled) as receiver:
        (sender,) = configured(FakeAgent(), {"main": HttpConfig(url=receiver.url)}).values()
        async with Stage(tmp_path, main=sender) as stage:
            stage.queue.publish(*range(COUNT))
            await stage.until(lambda: not stage.queue.batches, step=5)

            assert sorted(stage.queue.dead) == [REFUSED, BROKEN, LARGE]
            assert {number: f"number {number}" in why for number, why in stage.queue.dead.items()} == dict.fromkeys(
                (REFUSED, BROKEN, LARGE), True
            )

    good = [number for number in range(COUNT) if number not in (REFUSED, BROKEN, LARGE)]
    assert sorted(troubled.arrived) == good
    # One is sent ahead of the one that breaks, to see whose fault it is.
    assert [number for number in troubled.arrived if number != BROKEN + 1] == [n for n in good if n != BROKEN + 1]


async def test_what_the_receiver_says_of_the_metering_reaches_the_model(tmp_path: Path) -> None:
    def say(received: Received) -> web.Response:
        ids = [each.id for each in msgspec.json.decode(received.body, type=list[MetricBatch])]
        status = {"specimen/0": {"code": "RED", "info": "unpaid"}}
        return web.Response(text=json.dumps({"accepted": ids, "statuses": status, "grace": 60}))

    async with endpoint(say) as receiver:
        (sender,) = configured(FakeAgent(), {"main": HttpConfig(url=receiver.url)}).values()
        async with Stage(tmp_path, main=sender) as stage:
            stage.queue.publish(1)
            await stage.until(lambda: bool(stage.meter.set), step=0.01)

            assert stage.meter.set == [MeterStatus(code="RED", info="unpaid")]
            assert stage.worker.healths.senders()[0].grace == 60.0


async def test_a_token_is_in_no_log_and_in_no_report(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    token = tmp_path / "token"
    token.write_text("s3cr3t")
    caplog.set_level("DEBUG")
    async with endpoint(lambda _: web.Response(status=401, text="bad token")) as receiver:
        config = HttpConfig(url=receiver.url, token_file=str(token))
        (sender,) = configured(FakeAgent(), {"main": config}).values()
        async with Stage(tmp_path, main=sender) as stage:
            stage.queue.publish(1)
            await stage.until(lambda: len(receiver.requests) == 2, step=0.5)
            report = str(stage.worker.report())

    assert receiver.requests[0].headers["Authorization"] == "Bearer s3cr3t"
    assert "401" in report
    assert "s3cr3t" not in report + caplog.text
