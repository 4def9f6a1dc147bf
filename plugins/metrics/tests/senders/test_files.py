"""Senders to files and to the agent's own instruments."""

from __future__ import annotations

import gzip
import importlib.machinery
import json
import os
import re
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from plugins.metrics.tests.sending.fakes import MODEL, START, batch

from undercroft.testing.agent import FakeAgent, FakeUnitAgent
from undercroft_hookspecs import Accepted, MetricBatch, MetricSample
from undercroft_metrics.plugin import Config, undercroft_check
from undercroft_metrics.senders import LibraryMissingError, configured
from undercroft_metrics.senders.check import missing
from undercroft_metrics.senders.config import (
    FileConfig,
    HttpConfig,
    MeterConfig,
    RemoteWriteConfig,
    StoreConfig,
    TextfileConfig,
)
from undercroft_metrics.senders.ndjson import BatchFile
from undercroft_metrics.senders.textfile import Newest


def labelled(value: str, **labels: str) -> MetricBatch:
    """A batch with one sample that has labels."""
    sample = MetricSample(key="http-requests", value=value, time=START, labels=labels)
    return MetricBatch(id="x", model="m", unit="a/0", charm="a-1", created=START, samples=[sample])


def lines(path: Path) -> list[str]:
    """The ids in a file, in their order."""
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        return [json.loads(line)["id"] for line in file]


async def test_a_text_file_has_the_newest_of_each_series_and_when_they_were(tmp_path: Path) -> None:
    (sender,) = configured(FakeAgent(), {"t": TextfileConfig(folder=str(tmp_path / "d"))}).values()
    async with sender.open("m", "a/0") as delivery:
        await delivery.send([labelled("1", path="/"), labelled("2", path='/a"\n\\')])
        await delivery.send([labelled("3", path="/", unit="theirs", empty="")])
        await delivery.send([labelled("4", path="/")])

    (file,) = (tmp_path / "d").iterdir()
    text = file.read_text()
    assert file.name == "undercroft-a-0-m.prom"
    assert not sender.keeps_history
    assert 'http_requests{model="m",path="/",unit="a/0"} 4.0' in text
    assert 'http_requests{model="m",path="/a\\"\\n\\\\",unit="a/0"} 2.0' in text
    assert 'http_requests{exported_unit="theirs",model="m",path="/",unit="a/0"} 3.0' in text
    last = re.search(r'^undercroft_last_batch_timestamp_seconds{model="m",unit="a/0"} (.*)$', text, re.MULTILINE)
    assert last is not None
    assert float(last[1]) == START.timestamp()
    assert text.endswith("\n")
    assert file.stat().st_mode & 0o777 == 0o644


def test_hostile_names_cannot_break_out_of_the_text_format() -> None:
    newest = Newest("m", "a/0")
    hostile = MetricSample(key='x{y="1"} 5\n# TYPE', value="1", time=START, labels={"__name__": "other", "le": "\x00"})
    newest.take([MetricBatch(id="x", model="m", unit="a/0", charm="", created=START, samples=[hostile])])

    samples = [line for line in newest.text().decode().splitlines() if not line.startswith("#")]

    assert len(samples) == 2
    assert samples[0].startswith("x_y__1___5___TYPE{_name__=")


@pytest.mark.parametrize("top", [True, False])
async def test_the_agent_s_own_instruments_have_the_newest_values(top: bool) -> None:
    agent = FakeAgent() if top else FakeUnitAgent()
    (sender,) = configured(agent, {"m": MeterConfig()}).values()
    async with sender.open("m", "a/0") as delivery:
        await delivery.send([labelled("1", b="2", a="1"), labelled("5", b="2", a="1")])

    own = ("m", "a/0") if top else ()
    assert agent.meter.values("charm_value") == {(*own, "http-requests", "a=1,b=2"): 5.0}
    assert agent.meter.values("charm_last_batch_seconds") == {own: START.timestamp()}


async def test_a_file_has_a_line_for_each_batch_and_none_twice(tmp_path: Path) -> None:
    (sender,) = configured(FakeAgent(), {"f": FileConfig(folder=str(tmp_path))}).values()
    async with sender.open(MODEL, "a/0") as delivery:
        await delivery.send([batch(1), batch(2)])
    async with sender.open(MODEL, "a/0") as delivery:
        report = await delivery.send([batch(2), batch(3)])

    assert report.verdicts == {batch(2).id: Accepted(duplicate=True), batch(3).id: Accepted()}
    (file,) = tmp_path.iterdir()
    assert lines(file) == [batch(n).id for n in (1, 2, 3)]


def test_a_line_that_a_crash_has_torn_is_written_again_whole(tmp_path: Path) -> None:
    path = tmp_path / "f"
    file = BatchFile(path, rotate_bytes=10**6, keep=1)
    file.write([batch(1), batch(2)])
    file.close()
    os.truncate(path, path.stat().st_size - 7)

    file = BatchFile(path, rotate_bytes=10**6, keep=1)
    assert file.write([batch(1), batch(2)]) == [False, True]
    file.close()

    assert lines(path) == [batch(1).id, batch(2).id]


def test_files_are_rotated_and_compressed_and_the_oldest_go(tmp_path: Path) -> None:
    path = tmp_path / "f"
    file = BatchFile(path, rotate_bytes=700, keep=2)
    for n in range(30):
        file.write([batch(n)])
    file.close()

    assert sorted(each.name for each in tmp_path.iterdir()) == ["f", "f.1.gz", "f.2.gz"]
    kept = [*lines(tmp_path / "f.2.gz"), *lines(tmp_path / "f.1.gz"), *lines(path)]
    assert kept == [batch(n).id for n in range(30 - len(kept), 30)]
    assert path.stat().st_size <= 700


def test_what_was_rotated_is_known_after_a_restart(tmp_path: Path) -> None:
    file = BatchFile(tmp_path / "f", rotate_bytes=1, keep=2)
    file.write([batch(1)])
    file.write([batch(2)])
    file.close()

    file = BatchFile(tmp_path / "f", rotate_bytes=1, keep=2)
    assert file.write([batch(1), batch(2)]) == [False, False]
    file.close()


def test_what_several_rotations_have_taken_is_known_after_a_restart(tmp_path: Path) -> None:
    """A batch that is claimed again and again, and never acknowledged, while others are written."""
    file = BatchFile(tmp_path / "f", rotate_bytes=1, keep=20)
    for n in range(10):
        file.write([batch(n)])
    file.close()
    (tmp_path / "f.3.gz").rename(tmp_path / "f.4.gz")  # As a crash amid a rotation leaves it.

    file = BatchFile(tmp_path / "f", rotate_bytes=1, keep=20)
    assert file.write([batch(0), batch(9), batch(10)]) == [False, False, True]
    file.close()


def test_a_rotation_that_a_crash_interrupted_repeats_nothing(tmp_path: Path) -> None:
    file = BatchFile(tmp_path / "f", rotate_bytes=10**6, keep=2)
    file.write([batch(1), batch(2)])
    file.close()
    with gzip.open(tmp_path / "f.1.gz", "wb") as packed:
        packed.write((tmp_path / "f").read_bytes())

    file = BatchFile(tmp_path / "f", rotate_bytes=10**6, keep=2)
    assert file.write([batch(2), batch(3)]) == [False, True]
    file.close()

    assert lines(tmp_path / "f.1.gz") == [batch(1).id, batch(2).id]
    assert lines(tmp_path / "f") == [batch(3).id]


@contextmanager
def file_limit(size: int) -> Iterator[None]:
    """No file of this process may grow beyond this: writing more takes half, and fails."""
    import signal

    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_what_a_full_disk_has_taken_half_is_undone(tmp_path: Path) -> None:
    file = BatchFile(tmp_path / "f", rotate_bytes=10**6, keep=1)
    file.write([batch(1)])
    with file_limit((tmp_path / "f").stat().st_size + 100), pytest.raises(OSError):
        file.write([batch(2)])
    assert lines(tmp_path / "f") == [batch(1).id]

    file.write([batch(2)])
    file.close()

    assert lines(tmp_path / "f") == [batch(1).id, batch(2).id]


async def test_a_library_that_is_missing_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cramjam", None)
    monkeypatch.delitem(sys.modules, "undercroft_metrics.senders.remote_write", raising=False)
    (sender,) = configured(FakeAgent(), {"far": RemoteWriteConfig(url="http://x/")}).values()

    with pytest.raises(LibraryMissingError, match=r"'far' needs cramjam.*'undercroft-metrics\[remote-write\]'"):
        async with sender.open("m", "a/0"):
            pass


def test_the_check_names_files_that_are_missing(tmp_path: Path) -> None:
    config = Config(
        senders={
            "far": HttpConfig(url="http://x/", token_file=str(tmp_path / "absent")),
            "near": TextfileConfig(folder="/x"),
            "store": StoreConfig(),
        }
    )

    found = undercroft_check(FakeAgent(config=config))

    (line,) = found
    assert "'far'" in line
    assert "token_file" in line


def test_the_check_names_libraries_that_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "prometheus_client", raising=False)
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(sys, "meta_path", [importlib.machinery.PathFinder])

    (line,) = missing({"near": TextfileConfig(folder="/x"), "store": StoreConfig()})

    assert "pip install 'undercroft-metrics[prometheus]'" in line
