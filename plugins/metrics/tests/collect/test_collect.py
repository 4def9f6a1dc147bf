"""Collecting: when it is done, what becomes of what the hook adds, and of what a killed agent has left."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import accumulate, pairwise, takewhile
from pathlib import Path
from uuid import UUID

import pytest
from plugins.metrics.tests.collect.fakes import World, adds, nothing, world

from undercroft import AbortedError
from undercroft.testing import FakeClock
from undercroft_hookspecs import HookResult, MetricSample
from undercroft_hookspecs.charm import MetricSpec
from undercroft_metrics.collect import recording
from undercroft_metrics.collect.worker import SOCKET, MetricCollect, NothingToCollectError, pauses
from undercroft_metrics.seams import SpoolFullError
from undercroft_metrics.sockets import ask

PINGS = MetricSpec(description="Pings")


@asynccontextmanager
async def collecting(at: World, **config: object) -> AsyncIterator[MetricCollect]:
    """A collector, and its end."""
    worker = at.collector(**config)
    try:
        yield worker
    finally:
        worker.kill()
        await worker.wait()


async def test_unit_count_alone_is_collected_where_the_hook_adds_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as at, collecting(at) as worker:
        at.metrics = {"juju-units": MetricSpec()}
        assert await worker.collect() == 1
        ((batch,),) = at.published
        assert (batch.charm, batch.unit, batch.hook_status) == ("mysql-3", "specimen/0", 0)
        assert at.samples() == [("juju-units", "1")]


async def test_what_the_hook_adds_follows_the_unit_count(tmp_path: Path) -> None:
    async with world(tmp_path) as at, collecting(at) as worker:
        at.metrics = {"pings": PINGS, "juju-units": MetricSpec()}
        at.script = adds("pings", "3", "4")
        await worker.collect()
        assert at.samples() == [("juju-units", "1"), ("pings", "3"), ("pings", "4")]
        assert not at.file.exists()


async def test_nothing_at_all_is_done_for_a_charm_without_metrics(tmp_path: Path) -> None:
    async with world(tmp_path) as at, collecting(at) as worker:
        at.metrics = {}
        with pytest.raises(NothingToCollectError):
            await worker.collect()
        assert (at.runs, at.published) == ([], [])


async def test_collection_without_samples_is_not_published(tmp_path: Path) -> None:
    async with world(tmp_path) as at, collecting(at) as worker:
        assert await worker.collect() == 0
        assert at.published == []


async def test_hook_is_given_its_tools_and_never_runs_longer_than_a_period(tmp_path: Path) -> None:
    async with world(tmp_path) as at, collecting(at, period_seconds=20) as worker:
        await worker.collect()
        (run,) = at.runs
        assert (run["hook"], run["timeout"], run["JUJU_UNIT_TAG"]) == ("collect-metrics", 20, "unit-specimen-0")
        assert "add-metric" in run["tools"]
        assert "status-set" not in run["tools"]


async def test_locked_workload_is_waited_for_and_its_end_is_no_error(tmp_path: Path) -> None:
    async with world(tmp_path, is_open=False) as at, collecting(at) as worker:
        stop = asyncio.Event()
        task = asyncio.create_task(worker.collect(stop))  # type: ignore[arg-type]
        await asyncio.sleep(0.05)
        assert at.runs == []
        stop.set()
        with pytest.raises(AbortedError):
            await task
        assert not at.file.exists()


async def test_charm_is_read_anew_each_time(tmp_path: Path) -> None:
    async with world(tmp_path) as at, collecting(at) as worker:
        await worker.collect()
        first = at.charms_read
        await worker.collect()
        assert at.charms_read == 2 * first


@pytest.mark.parametrize(("policy", "expected"), [("publish", [("pings", "3")]), ("discard", [])])
async def test_hook_that_fails_has_its_metrics_published_or_discarded(
    tmp_path: Path, policy: str, expected: list[tuple[str, str]]
) -> None:
    async with world(tmp_path) as at, collecting(at, on_failure=policy) as worker:
        at.script = adds("pings", "3", status=1)
        await worker.collect()
        assert at.samples() == expected
        assert [batch.hook_status for batches in at.published for batch in batches] == [1] * len(expected)


async def test_hook_that_is_missing_leaves_the_unit_count(tmp_path: Path) -> None:
    async def absent(_: Path) -> HookResult:
        return HookResult(returncode=0, missing=True)

    async with world(tmp_path) as at, collecting(at) as worker:
        at.metrics, at.script = {"juju-units": MetricSpec()}, absent
        await worker.collect()
        ((batch,),) = at.published
        assert batch.hook_status is None


async def test_hook_that_hangs_is_published_as_killed_and_the_next_runs(tmp_path: Path) -> None:
    async def hangs(file: Path) -> HookResult:
        await adds("pings", "3")(file)
        raise TimeoutError("hook collect-metrics of unit specimen/0 ran for more than 60 s")

    async with world(tmp_path) as at, collecting(at) as worker:
        at.script = hangs
        await worker.collect()
        at.script = adds("pings", "4")
        await worker.collect()
        assert [(b.hook_status, b.samples[0].value) for (b,) in at.published] == [(137, "3"), (0, "4")]


async def test_large_collection_is_split_into_parts_published_together(tmp_path: Path) -> None:
    async def many(file: Path) -> HookResult:
        def add() -> None:
            now = recording.header_of(file).created
            recording.append(file, [MetricSample(key="pings", value=str(each), time=now) for each in range(100_000)])

        await asyncio.to_thread(add)
        return HookResult(returncode=0)

    async with world(tmp_path) as at, collecting(at) as worker:
        at.script = many
        await worker.collect()
        (parts,) = at.published
        assert [(each.part, each.parts) for each in parts] == [(n, len(parts)) for n in range(1, len(parts) + 1)]
        assert sum(len(each.samples) for each in parts) == 100_000
        assert max(len(each.samples) for each in parts) <= 10_000
        assert len({each.id for each in parts}) == len(parts)


async def test_labels_without_end_cost_one_metric_its_newest_series_and_others_nothing(tmp_path: Path) -> None:
    async def bomb(file: Path) -> HookResult:
        await adds("pings", *map(str, range(10)), label="id")(file)
        return await adds("pongs", "1")(file)

    async with world(tmp_path) as at, collecting(at, max_series=4) as worker:
        at.metrics = {"pings": PINGS, "pongs": PINGS}
        at.script = bomb
        await worker.collect()
        await worker.collect()
        assert at.samples() == [("pings", "0"), ("pings", "1"), ("pings", "2"), ("pings", "3"), ("pongs", "1")] * 2
        assert worker.report()["over_budget"] == {"pings": 12}


async def test_full_spool_that_blocks_runs_no_hook(tmp_path: Path) -> None:
    async with world(tmp_path) as at, collecting(at) as worker:
        at.is_full = True
        with pytest.raises(SpoolFullError):
            await worker.collect()
        assert at.runs == []


async def test_disk_that_fails_costs_nothing_what_was_recorded_goes_first_next_time(tmp_path: Path) -> None:
    async with world(tmp_path) as at, collecting(at) as worker:
        at.script = adds("pings", "1")
        at.failure = OSError(5, "Input/output error")
        with pytest.raises(OSError, match="Input"):
            await worker.collect()
        at.failure, at.script = None, adds("pings", "2")
        await worker.collect()
        assert at.samples() == [("pings", "1"), ("pings", "2")]


@pytest.mark.parametrize(("policy", "expected"), [("publish", [("pings", "3")]), ("discard", [])])
async def test_what_a_killed_agent_had_recorded_is_published_under_its_id_or_discarded(
    tmp_path: Path, policy: str, expected: list[tuple[str, str]]
) -> None:
    async with world(tmp_path) as at:
        header = recording.Header(
            id="018f0000-0000-7000-8000-000000000000",
            charm="mysql-2",
            created=at.unit.clock.now(),
            metrics={"pings": "gauge"},
        )
        recording.begin(at.file, header, [])
        await adds("pings", "3")(at.file)
        with at.file.open("ab") as file:
            file.write(b'deadbeef [{"key":"pi')
        async with collecting(at, on_failure=policy):
            while at.file.exists():
                await asyncio.sleep(0.01)
        assert at.samples() == expected
        if expected:
            ((batch,),) = at.published
            assert (batch.id, batch.charm, batch.hook_status) == (header.id, "mysql-2", 137)


async def test_kill_while_the_hook_runs_leaves_the_recording_for_the_next_start(tmp_path: Path) -> None:
    async def hangs(file: Path) -> HookResult:
        await adds("pings", "3")(file)
        running.set()
        await asyncio.Event().wait()
        raise AssertionError

    running = asyncio.Event()
    async with world(tmp_path) as at:
        at.script = hangs
        worker = at.collector(period_seconds=10)
        clock = at.unit.clock
        assert isinstance(clock, FakeClock)
        while not running.is_set():
            await clock.advance(1)
            await asyncio.sleep(0.01)
        worker.kill()
        await worker.wait()
        assert at.published == []
        async with collecting(at):
            await asyncio.wait_for(at.came.wait(), 5)
        assert at.samples() == [("pings", "3")]


async def test_periods_begin_at_the_units_own_phase_and_keep_to_their_jitter(tmp_path: Path) -> None:
    async with world(tmp_path) as at, collecting(at, period_seconds=100):
        clock = at.unit.clock
        assert isinstance(clock, FakeClock)
        times: list[float] = []

        async def note(_: Path) -> HookResult:
            times.append(clock.monotonic())
            return HookResult(returncode=0)

        at.script = note
        while len(times) < 5:
            await clock.advance(1)
            await asyncio.sleep(0.001)
        pauses = [later - earlier for earlier, later in pairwise(times)]
        assert 0 <= times[0] <= 121
        assert all(79 <= pause <= 125 for pause in pauses)
        assert len(set(pauses)) > 1


def test_a_thousand_units_that_start_together_collect_spread_evenly_over_each_hour() -> None:
    minutes = Counter[int]()
    for number in range(1000):
        moments = accumulate(pauses(f"{UUID(int=0)} mysql/{number}", 300.0, 0.2, random.Random(number)))
        minutes.update(int(moment // 60) for moment in takewhile(lambda moment: moment < 3600, moments))
    assert len(minutes) == 60
    assert all(0.8 * 200 <= number <= 1.2 * 200 for number in minutes.values()), minutes


async def test_whoever_connects_to_the_socket_is_answered_ok_when_it_is_done(tmp_path: Path) -> None:
    async with world(tmp_path) as at, collecting(at):
        at.script = adds("pings", "3")
        while not (tmp_path / SOCKET).exists():
            await asyncio.sleep(0.01)
        assert (tmp_path / SOCKET).stat().st_mode & 0o777 == 0o600
        assert await ask(tmp_path / SOCKET, b"") == b"ok\n"
        assert at.samples() == [("pings", "3")]
        at.metrics = {}
        answer = await ask(tmp_path / SOCKET, b"")
        assert answer == b"error: the charm of unit specimen/0 declares no metrics\n"
    assert not (tmp_path / SOCKET).exists()


async def test_client_that_goes_away_costs_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as at, collecting(at):
        at.script = nothing
        while not (tmp_path / SOCKET).exists():
            await asyncio.sleep(0.01)
        for _ in range(3):
            _, writer = await asyncio.open_unix_connection(tmp_path / SOCKET)
            writer.close()
            await writer.wait_closed()
        assert await ask(tmp_path / SOCKET, b"") == b"ok\n"
