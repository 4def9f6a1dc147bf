"""The worker of a unit's spool: commits that share a file, queues that wake who sends, and what is asked of it."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from plugins.metrics.tests.spool.bench import batch, numbers

from undercroft import DeadError, NoOpWorker
from undercroft.dependency import OutputError
from undercroft.testing.agent import FakeUnitAgent
from undercroft_hookspecs import HookRunner
from undercroft_metrics.seams import SpoolFullError, SpoolReader, SpoolWriter
from undercroft_metrics.sockets import ask
from undercroft_metrics.spool.limits import Limits
from undercroft_metrics.spool.worker import SOCKET, MetricSpool, spool_output, start_spool

UNLIMITED = Limits(free_megabytes=0)


@asynccontextmanager
async def running(folder: Path, *senders: str, limits: Limits = UNLIMITED) -> AsyncIterator[MetricSpool]:
    """A spool of a unit, and its end."""
    unit = FakeUnitAgent(data_dir=folder / "metrics", unit_dir=folder)
    worker = await start_spool(unit, limits, senders or ("store",))
    assert isinstance(worker, MetricSpool)
    try:
        yield worker
    finally:
        worker.kill()
        await worker.wait()


async def test_concurrent_publications_share_files_and_all_arrive(tmp_path: Path) -> None:
    async with running(tmp_path) as spool:
        await asyncio.gather(*(spool.publish([batch(number)]) for number in range(1, 101)))
        folder = tmp_path / "metrics" / "spool" / "queue" / "store"
        files = [path for path in await asyncio.to_thread(lambda: list(folder.iterdir())) if path.suffix == ".b"]
        async with spool.queue("store") as queue:
            assert numbers(list(await queue.claim(max_batches=1000, max_bytes=1 << 20))) == list(range(1, 101))
        assert len(files) < 50, "the faster the disk, the fewer share one"


async def test_whoever_waits_is_woken_by_a_publication_and_waits_again_once_it_is_taken(tmp_path: Path) -> None:
    async with running(tmp_path) as spool, spool.queue("store") as queue:
        waiting = asyncio.create_task(queue.wait())
        await asyncio.sleep(0.05)
        assert not waiting.done()
        await spool.publish([batch(1)])
        await waiting
        found = await queue.claim(max_batches=10, max_bytes=1 << 20)
        await queue.acknowledge([each.id for each in found])
        waiting = asyncio.create_task(queue.wait())
        await asyncio.sleep(0.05)
        assert not waiting.done()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert queue.stats().batches == 0


async def test_queue_that_nobody_knew_gets_what_is_published_from_then_on(tmp_path: Path) -> None:
    async with running(tmp_path) as spool:
        await spool.publish([batch(1)])
        async with spool.queue("late") as queue:
            await spool.publish([batch(2)])
            assert numbers(list(await queue.claim(max_batches=10, max_bytes=1 << 20))) == [2]


async def test_publication_that_is_refused_is_refused_to_who_published(tmp_path: Path) -> None:
    async with running(tmp_path, limits=Limits(free_megabytes=0, batches=1, when_full="block")) as spool:
        await spool.publish([batch(1)])
        with pytest.raises(SpoolFullError):
            await spool.check_room()
        with pytest.raises(SpoolFullError):
            await spool.publish([batch(2)])


async def test_spool_that_has_ended_takes_nothing_and_lets_another_have_it(tmp_path: Path) -> None:
    async with running(tmp_path) as spool:
        await spool.publish([batch(1)])
    with pytest.raises(DeadError):
        await spool.publish([batch(2)])
    async with running(tmp_path) as spool:
        report = spool.report()["store"]
        assert isinstance(report, dict)
        assert (report["batches"], report["bytes"]) == (1, 4096)
        assert 0 <= report["oldest_seconds"] < 60


async def test_dead_letters_are_shown_requeued_and_purged_over_the_socket(tmp_path: Path) -> None:
    async def asked(**request: object) -> dict[str, object]:
        return msgspec.json.decode(await ask(tmp_path / SOCKET, msgspec.json.encode(request) + b"\n"), type=dict)

    async with running(tmp_path) as spool, spool.queue("store") as queue:
        for number in (1, 2, 3):
            await spool.publish([batch(number)])
        await queue.claim(max_batches=10, max_bytes=1 << 20)
        for number in (1, 2):
            await queue.bury(batch(number).id, f"reason {number}")
        shown = (await asked(op="inspect"))["store"]
        assert isinstance(shown, dict)
        assert [(each["id"], each["reason"]) for each in shown["dead-letters"]] == [
            (batch(1).id, "reason 1"),
            (batch(2).id, "reason 2"),
        ]
        assert await asked(op="requeue", ids=[batch(2).id]) == {"requeued": 1}
        assert await asked(op="purge") == {"purged": 1}
        assert numbers(list(await queue.claim(max_batches=10, max_bytes=1 << 20))) == [3, 2]
        assert "no sender" in str((await asked(op="purge", sender="nobody"))["error"])
        assert "error" in await asked(op="vanish")


async def test_output_is_the_spool_for_who_records_and_who_sends_and_nothing_else(tmp_path: Path) -> None:
    async with running(tmp_path) as spool:
        assert spool_output(spool, SpoolWriter) is spool_output(spool, SpoolReader) is spool
        with pytest.raises(OutputError, match="HookRunner"):
            spool_output(spool, HookRunner)
    other = NoOpWorker()
    with pytest.raises(OutputError, match="NoOpWorker"):
        spool_output(other, SpoolReader)
    other.kill()
    await other.wait()


async def test_disk_that_hangs_keeps_nobody_else_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    is_back = threading.Event()
    async with running(tmp_path) as spool, spool.queue("store") as queue:
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(os, "fsync", lambda _: is_back.wait(30))
        publishing = asyncio.create_task(spool.publish([batch(1)]))
        claiming = asyncio.create_task(queue.claim(max_batches=10, max_bytes=1 << 20))
        late = []
        for _ in range(30):
            before = loop.time()
            await asyncio.sleep(0.01)
            late.append(loop.time() - before - 0.01)
        assert sorted(late)[len(late) // 2] < 0.05
        assert not publishing.done()
        is_back.set()
        await publishing
        assert numbers(list(await claiming)) == [1]
