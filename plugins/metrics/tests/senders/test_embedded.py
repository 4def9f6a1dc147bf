"""The embedded store keeps each batch once, for as long as it is told to."""

from __future__ import annotations

import asyncio
import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest
from plugins.metrics.tests.sending.fakes import MODEL, START, batch

from undercroft.testing import FakeClock
from undercroft.testing.agent import FakeAgent
from undercroft_hookspecs import Accepted, MetricBatch, MetricGap, MetricSample
from undercroft_metrics.senders import configured
from undercroft_metrics.senders.config import STORE, StoreConfig
from undercroft_metrics.senders.embedded import FILE, StoreReader, StoreWriter
from undercroft_metrics.senders.samples import GAP_KEY

KEEP = timedelta(days=30)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store is."""
    return tmp_path / "folder" / FILE


def write(path: Path, *batches: MetricBatch, days: float = 0) -> list[bool]:
    """Open the store, write, and close it."""
    writer = StoreWriter(path, keep=KEEP)
    try:
        return list(writer.write(batches, START + timedelta(days=days)))
    finally:
        writer.close()


async def test_by_default_there_is_a_store_in_the_plugin_s_folder(tmp_path: Path) -> None:
    agent = FakeAgent(data_dir=tmp_path, clock=FakeClock(START))
    (sender,) = configured(agent, STORE).values()

    async with sender.open(MODEL, "specimen/0") as delivery:
        assert (await delivery.send([batch(1), batch(2)])).verdicts == {batch(n).id: Accepted() for n in (1, 2)}
        again = await delivery.send([batch(2), batch(3)])

    assert again.verdicts == {batch(2).id: Accepted(duplicate=True), batch(3).id: Accepted()}
    assert len(StoreReader(tmp_path / FILE).batches()) == 3


def test_a_batch_that_comes_again_is_stored_once(path: Path) -> None:
    assert write(path, batch(1), batch(1), batch(2)) == [True, False, True]
    assert write(path, batch(2)) == [False]

    (series,) = StoreReader(path).latest()
    assert [each.value for each in StoreReader(path).history(series.series, since=START)] == ["1", "1"]


def test_all_of_a_sample_comes_back(path: Path) -> None:
    sample = MetricSample(
        key="queue-depth", value="0.10", time=START, kind="counter", labels={"b": '"quoted"', "a": "\u202ex"}
    )
    told = MetricBatch(id="x", model="m", unit="a/0", charm="a-1", created=START, samples=[sample])
    write(path, told)

    (found,) = StoreReader(path).latest()
    assert (found.model, found.unit, found.key, found.kind, found.value, found.time) == (
        *("m", "a/0", "queue-depth", "counter", "0.10"),
        START,
    )
    assert found.labels == sample.labels


def test_the_latest_of_each_series_is_the_one_of_the_latest_time_whatever_the_order_of_arrival(path: Path) -> None:
    write(path, batch(5, value="new"), batch(3, value="old"), batch(4, key="other", value="else"))

    assert [(each.key, each.value) for each in StoreReader(path).latest()] == [("other", "else"), ("pings", "new")]
    assert StoreReader(path).latest(units=["absent/0"]) == []
    assert len(StoreReader(path).latest(model=MODEL, units=["specimen/0", "absent/0"])) == 2


def test_the_history_is_the_newest_and_the_oldest_of_it_first(path: Path) -> None:
    write(path, *(batch(n, value=str(n)) for n in range(10)))
    (series,) = StoreReader(path).latest()

    found = StoreReader(path).history(series.series, since=START + timedelta(seconds=3), limit=4)

    assert [each.value for each in found] == ["6", "7", "8", "9"]


def test_a_gap_is_stored_as_a_metric_that_says_how_much_was_dropped(path: Path) -> None:
    gap = MetricGap(first=START, last=START, batches=7, samples=70, reason="age")
    write(path, MetricBatch(id="x", model="m", unit="a/0", charm="a-1", created=START, samples=(), gap=gap))

    (found,) = StoreReader(path).latest()
    assert (found.key, found.value, found.labels) == (GAP_KEY, "7", {"reason": "age"})


def test_what_is_too_old_goes_but_its_batches_are_known_for_longer(path: Path) -> None:
    write(path, batch(1))
    writer = StoreWriter(path, keep=timedelta(days=2))
    assert writer.write([batch(2 * 86400)], START + timedelta(days=3)) == [True]
    assert writer.write([batch(1)], START + timedelta(days=3)) == [False]
    assert writer.write([], START + timedelta(days=20)) == []
    writer.close()

    (series,) = StoreReader(path).latest() or (None,)
    assert series is None
    assert StoreReader(path).batches() == {}


def test_a_store_that_is_not_there_yet_reads_as_empty(path: Path) -> None:
    assert StoreReader(path).latest() == []
    assert not path.exists()


def test_a_file_that_is_no_store_is_an_error_of_the_disk_with_its_remedy(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database" * 1000)

    with pytest.raises(OSError, match="move it away"):
        write(path, batch(1))


def test_a_failed_transaction_stores_nothing_and_the_next_goes_well(path: Path) -> None:
    writer = StoreWriter(path, keep=KEEP)
    bad = batch(2, value="x\udc80")
    with pytest.raises(UnicodeEncodeError):
        writer.write([batch(1), bad], START)
    assert writer.write([batch(1)], START) == [True]
    writer.close()

    (found,) = StoreReader(path).latest()
    assert found.value == "1"


def test_a_full_file_is_a_full_disk_and_writing_goes_on_when_there_is_room(path: Path) -> None:
    write(path, batch(1))
    writer = StoreWriter(path, keep=KEEP)
    limit = "PRAGMA max_page_count = {}"
    writer._connection.execute(limit.format(1))
    many = [batch(n, key=f"k{n}", value="9" * 30) for n in range(2, 2000)]

    with pytest.raises(OSError, match="full"):
        writer.write(many, START)
    writer._connection.execute(limit.format(10**6))
    assert all(writer.write(many, START))
    writer.close()


async def test_the_units_of_a_machine_share_the_store(tmp_path: Path) -> None:
    agent = FakeAgent(data_dir=tmp_path)
    (sender,) = configured(agent, {"store": StoreConfig(path=str(tmp_path / "s.db"))}).values()

    async def some(unit: int) -> None:
        async with sender.open(MODEL, f"a/{unit}") as delivery:
            for n in range(5):
                await delivery.send([batch(unit * 100 + n)])

    await asyncio.gather(*(some(unit) for unit in range(6)))

    assert len(StoreReader(tmp_path / "s.db").batches()) == 30
    with sqlite3.connect(tmp_path / "s.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
