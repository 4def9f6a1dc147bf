"""The plugin is judged by the conformance kit; what is its own is tried here."""

from __future__ import annotations

import logging
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import pytest
from undercroft_pressure import plugin
from undercroft_pressure.kernel import parse, read
from undercroft_pressure.plugin import Config

from undercroft.testing import FakeClock, StubContext, clean_kill
from undercroft.testing.agent import FakeAgent
from undercroft_conformance import Subject, WorkerConformance
from undercroft_hookspecs import Worker

SOME = "some avg10={:.2f} avg60=0.00 avg300=0.00 total=0\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A kernel's folder: the CPU is busy, the disks are not."""
    made = tmp_path / "pressure"
    made.mkdir()
    (made / "cpu").write_text(SOME.format(12.5))
    (made / "io").write_text(SOME.format(0.0))
    return made


class TestConformance(WorkerConformance):
    """Every rule of the contract."""

    plugin: ClassVar[str | ModuleType] = "pressure"

    @pytest.fixture
    def subject(self, folder: Path) -> Subject:
        """The plugin as the kit starts it."""
        return Subject(FakeAgent(config=Config(folder=str(folder))))


def test_parse_takes_the_short_average() -> None:
    assert parse(SOME.format(3.25)) == {"some": 3.25}


def test_a_kernel_without_pressure_has_none(tmp_path: Path) -> None:
    assert read(tmp_path / "absent") == {}


def test_check_names_the_kernel_parameter(tmp_path: Path) -> None:
    (sentence,) = plugin.undercroft_check(FakeAgent(config=Config(folder=str(tmp_path / "absent"))))

    assert "psi=1" in sentence


async def test_it_follows_the_kernel_and_warns_once(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    agent = FakeAgent(config=Config(folder=str(folder)), clock=clock)
    worker = plugin.undercroft_manifolds(agent)["pressure"].start(StubContext({}))
    assert isinstance(worker, Worker)

    with caplog.at_level(logging.WARNING):
        await clock.until(1)
        assert agent.meter.values("stalled_percent") == {("cpu",): 12.5, ("io",): 0.0}
        (folder / "io").write_text(SOME.format(50.0))
        await clock.wait_advance(10.0)
        await clock.until(1)
        await clock.wait_advance(10.0)
        await clock.until(1)

    assert agent.meter.values("stalled_percent") == {("cpu",): 12.5, ("io",): 50.0}
    assert [record.getMessage() for record in caplog.records] == ["work waits for io 50.0 % of the time"]
    await clean_kill(worker)
