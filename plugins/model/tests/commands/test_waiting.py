from __future__ import annotations

import asyncio
import io
import random
import sys
from pathlib import Path

import pytest
from plugins.model.tests.conftest import HERE

from undercroft.clock import SystemClock
from undercroft.testing import FakeClock
from undercroft.testing.store import MemoryStore
from undercroft_hookspecs.identity import HostId
from undercroft_model.blobs import Blobs
from undercroft_model.commands.frame import Refusal
from undercroft_model.commands.progress import progress
from undercroft_model.commands.waiting import model_gone, seconds_of, until
from undercroft_model.encryption import Keyring
from undercroft_model.machines import machine_for
from undercroft_model.models import destroy_model
from undercroft_model.operator import Desk, Operator
from undercroft_model.rows import Presence
from undercroft_model.tables import MODEL, PRESENCE
from undercroft_model.transaction import Transaction


class Terminal(io.StringIO):
    """A stderr that is a terminal."""

    def isatty(self) -> bool:
        """It is."""
        return True


@pytest.fixture
async def desk(tmp_path: Path) -> Desk:
    """A desk at a new model in memory, on whose one machine an agent is running."""
    store = MemoryStore()
    operator = Operator(
        store=store,
        host=HostId.parse(HERE.id),
        data_dir=tmp_path,
        clock=SystemClock(),
        rng=random.Random(7),
        blobs=Blobs(str(tmp_path / "blobs")),
        keyring=Keyring(store, default=tmp_path / "secrets.key"),
    )
    desk = await operator.desk()
    now = operator.clock.now()

    async def present(tx: Transaction) -> None:
        from undercroft_model.hosts import register_host

        await register_host(tx, HERE)
        await machine_for(tx, desk.model, HERE.id, now=now)
        tx.put(PRESENCE, HERE.id, "presence", record=Presence(since=now))

    await operator.change(present)
    return desk


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90.0), ("1.5", 1.5), ("90s", 90.0), ("1.5s", 1.5), ("1h30m", 5400.0), ("100ms", 0.1)]
)
def test_durations_are_read_as_juju_writes_them(text: str, seconds: float) -> None:
    assert seconds_of(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "soon", "-1s", "1 m", "s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(Refusal, match="is not a duration"):
        seconds_of(text)


async def test_what_agents_take_away_is_noticed_at_once(desk: Desk) -> None:
    await desk.run(destroy_model)
    waiting = asyncio.create_task(model_gone(desk, seconds=30))
    await asyncio.sleep(0)

    await desk.reap()

    assert await waiting == "Model default destroyed"


async def test_waiting_ends_when_the_time_is_over(desk: Desk) -> None:
    with pytest.raises(Refusal, match="timed out: model default is still being destroyed"):
        await model_gone(desk, seconds=0.01)


async def test_who_does_not_wait_is_told_how_it_stands(desk: Desk) -> None:
    assert await model_gone(desk, seconds=0) == "Model default is being destroyed"


async def test_a_change_that_is_not_it_goes_on_waiting(desk: Desk) -> None:
    prefix = MODEL.of(desk.model).prefix
    looks = 0

    async def third() -> bool:
        nonlocal looks
        looks += 1
        if looks < 3:
            await desk.run(destroy_model, force=looks == 2)
            record = desk.record
            tx = Transaction(desk.store)
            tx.put(MODEL.of(desk.model), "other", record=record)
            await tx.commit()
        return looks == 3

    assert await until(desk, prefix, third, seconds=30)


async def test_nothing_is_said_of_what_is_done_within_a_second(capsys: pytest.CaptureFixture[str]) -> None:
    clock = FakeClock()

    async with progress("Working", clock=clock):
        await clock.advance(0.9)

    await clock.advance(5)
    assert capsys.readouterr().err == ""


async def test_what_takes_longer_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    clock = FakeClock()

    async with progress("Working", clock=clock):
        await clock.advance(5)

    assert capsys.readouterr().err == "Working...\n"


async def test_on_a_terminal_the_seconds_are_counted_and_wiped_out(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, terminal = FakeClock(), Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)

    async with progress("Working", clock=clock):
        await clock.advance(1)
        await clock.advance(1)

    assert terminal.getvalue() == "\r\x1b[KWorking... 1 s\r\x1b[KWorking... 2 s\r\x1b[K"
