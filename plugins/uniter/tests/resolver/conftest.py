"""A chain of resolvers over fakes, and states to begin from."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeAlias

import msgspec
import pytest
from plugins.uniter.tests.fakemodel import OLD
from plugins.uniter.tests.fakes import FakeRooms

from undercroft.testing import FakeClock
from undercroft_uniter.operation.state import OperationKind, OperationState, Step
from undercroft_uniter.operation.step import Operation
from undercroft_uniter.resolver.chain import Chain
from undercroft_uniter.resolver.local import LocalState
from undercroft_uniter.resolver.operations import Operations
from undercroft_uniter.resolver.retry import HookRetry

BLANK = OperationState(kind=OperationKind.CONTINUE, step=Step.PENDING)
INSTALLED = msgspec.structs.replace(BLANK, installed=True)
STARTED = msgspec.structs.replace(INSTALLED, started=True, boot_id="boot-1")


class Bench:
    """What a resolver is asked with, and what it answers as text."""

    def __init__(self, state: OperationState) -> None:
        self.fakes = FakeRooms()
        self.fakes.deployer.holds = OLD
        self.fakes.remote.snapshot()
        self.clock = FakeClock()
        self.local = LocalState(state=state, charm=OLD)
        self.rings = 0
        self.retry = HookRetry(self._ring, clock=self.clock, rng=random.Random(1))
        self.chain = self.new_chain()
        self._next: Operation | None = None

    def new_chain(self, *, is_new: bool = False) -> Chain:
        """A chain that knows nothing yet."""
        return Chain(self.fakes.rooms, remote=self.fakes.remote, retry=self.retry, is_new=is_new)

    def operations(self) -> Operations:
        """What makes operations for the present snapshot."""
        fakes = self.fakes
        return Operations(fakes.rooms, remote=fakes.remote, local=self.local, snapshot=fakes.remote.now)

    async def next(self, **wanted: Any) -> str:  # as Snapshot's fields
        """The next operation, by its name; empty: nothing."""
        self.fakes.remote.be(**wanted)
        self._next = await self.chain.next(self.local, self.fakes.remote.snapshot())
        return str(self._next or "")

    async def run(self) -> None:
        """Take the next operation through its steps, as an executor does, but in memory."""
        operation, self._next = self._next, None
        if operation is None:
            operation = await self.chain.next(self.local, self.fakes.remote.snapshot())
        assert operation is not None
        outcome = await operation.prepare(self.local.state)
        for step in (() if outcome.is_all else (operation.execute,)) + (operation.commit,):
            if outcome.state is not None:
                self.local.state = outcome.state
            outcome = await step(self.local.state)
            if outcome.error is not None:
                raise outcome.error
        self.local.state = outcome.state or self.local.state

    def _ring(self) -> None:
        self.rings += 1
        self.fakes.remote.retry_hook()


Make: TypeAlias = Callable[[OperationState], Bench]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    """Makes benches, and stops their timers."""
    benches: list[Bench] = []

    def made(state: OperationState) -> Bench:
        benches.append(Bench(state))
        return benches[-1]

    yield made
    for bench in benches:
        bench.retry.reset()
        await bench.clock.advance(0)


@pytest.fixture
def blank(make: Make) -> Bench:
    """A unit that has a charm, and nothing else."""
    return make(BLANK)


@pytest.fixture
def installed(make: Make) -> Bench:
    """A unit that has run install."""
    return make(INSTALLED)


@pytest.fixture
def started(make: Make) -> Bench:
    """A unit that runs."""
    return make(STARTED)
