"""A bench for the dependency engine: parts whose workers the test holds, and an engine on a clock that stands still."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from undercroft import Context, FilterFunc, Manifold, OutputFunc, Worker, outcome
from undercroft.dependency import Engine, EngineConfig
from undercroft.testing import FakeClock

TURNS = 60


class Probe:
    """A worker of nobody's library, which lives until it is killed (unless it is stubborn) or the test ends it."""

    def __init__(self, *, stubborn: bool = False, error: BaseException | None = None) -> None:
        self.kills = 0
        self.stubborn = stubborn
        self.error = error
        self._ended = asyncio.Event()

    @property
    def ended(self) -> bool:
        """Whether it is dead."""
        return self._ended.is_set()

    def kill(self) -> None:
        """Die, unless stubborn."""
        self.kills += 1
        if not self.stubborn:
            self._ended.set()

    def end(self, error: BaseException | None = None) -> None:
        """Die of an error, or cleanly."""
        self.error = error or self.error
        self._ended.set()

    async def wait(self) -> None:
        """Wait for the death."""
        await self._ended.wait()
        if self.error is not None:
            raise self.error


class Part:
    """A manifold that needs all its inputs, keeps what its start was given, and whose workers the test holds."""

    def __init__(
        self,
        name: str,
        *inputs: str,
        start: Callable[[Context], Worker | Awaitable[Worker]] | None = None,
        output: OutputFunc | None = None,
        filter: FilterFunc | None = None,  # noqa: A002  # As the manifold's.
        stubborn: bool = False,
    ) -> None:
        self.name = name
        self.contexts: list[Context] = []
        self.probes: list[Probe] = []
        self.stubborn = stubborn
        self.do = start or self.new_probe
        self.manifold = Manifold(self._start, inputs, output, filter)

    @property
    def starts(self) -> int:
        """How often start was called."""
        return len(self.contexts)

    @property
    def probe(self) -> Probe:
        """The newest worker."""
        return self.probes[-1]

    def new_probe(self, context: Context) -> Probe:
        """Need all inputs, and give a new worker."""
        for name in self.manifold.inputs:
            context.get(name)
        return self.add_probe()

    def add_probe(self) -> Probe:
        """Give a new worker, whatever the inputs."""
        self.probes.append(Probe(stubborn=self.stubborn))
        return self.probes[-1]

    def _start(self, context: Context) -> Worker | Awaitable[Worker]:
        self.contexts.append(context)
        return self.do(context)


class Bench:
    """Engines without delays and jitter, unless the test wants some, and what tests ask about them."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.engines: list[Engine] = []
        self.parts: list[Part] = []

    def engine(self, *, name: str = "engine", **settings: Any) -> Engine:  # Any: EngineConfig checks them.
        """A new engine, which the bench takes down in the end."""
        defaults: dict[str, Any] = {"error_delay": 0, "bounce_delay": 0, "jitter": 0, "clock": self.clock}
        self.engines.append(Engine(EngineConfig(**(defaults | settings)), name=name))
        return self.engines[-1]

    async def install(self, engine: Engine, *parts: Part) -> None:
        """Install parts one after the other, and let the loop settle after each."""
        for part in parts:
            self.parts.append(part)
            await engine.install(part.name, part.manifold)
            await self.settle()

    async def settle(self) -> None:
        """Turn the loop until everything that can happen has happened."""
        for _ in range(TURNS):
            await asyncio.sleep(0)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Turn the loop until it is so, within bounds."""
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0)

    async def died(self, engine: Engine) -> BaseException | None:
        """Wait for an engine's end, and give its error."""
        async with asyncio.timeout(10):
            return await outcome(engine)

    def entry(self, engine: Engine, name: str) -> dict[str, Any]:  # Any: a report is for people.
        """One manifold's entry in the report."""
        manifolds: Any = engine.report()["manifolds"]
        return dict(manifolds[name])

    def states(self, engine: Engine) -> dict[str, str]:
        """The states of all manifolds."""
        manifolds: Any = engine.report()["manifolds"]  # Any: as above.
        return {name: entry["state"] for name, entry in manifolds.items()}

    async def close(self) -> None:
        """Take everything down, whatever the test has left."""
        for part in self.parts:
            part.stubborn = False
        for engine in self.engines:
            engine.kill()
        for probe in [probe for part in self.parts for probe in part.probes]:
            probe.stubborn = False
            probe.kill()
        for engine in self.engines:
            await self.died(engine)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """A bench, taken down after the test."""
    made = Bench()
    yield made
    await made.close()


@pytest.fixture
def new_part() -> type[Part]:
    """The class of parts."""
    return Part
