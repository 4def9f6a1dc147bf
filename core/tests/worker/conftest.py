"""A bench for runners: start functions that the test steers, workers that it holds, and a clock that stands still."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Protocol

import pytest

from undercroft.testing import FakeClock
from undercroft.worker.lifecycle import TombWorker, outcome
from undercroft.worker.runner import Runner
from undercroft.worker.tomb import Tomb
from undercroft_hookspecs import Worker


class Held(Worker, Protocol):
    """A worker that the test holds."""

    kills: int
    stubborn: bool
    error: BaseException | None

    @property
    def is_dead(self) -> bool:
        """Whether it has ended."""
        ...

    def end(self, error: BaseException | None = None) -> None:
        """End of an error, or cleanly."""


class OwnWorker(TombWorker):
    """One of this library's kind. Ends when it is killed, with `error`, unless it is stubborn."""

    def __init__(self, *, stubborn: bool = False, error: BaseException | None = None) -> None:
        self.kills = 0
        self.stubborn, self.error = stubborn, error
        self._tomb = Tomb("own")
        self._tomb.hold()

    @property
    def is_dead(self) -> bool:
        return self._tomb.state == "dead"

    def kill(self) -> None:
        self.kills += 1
        if not self.stubborn:
            self.end(self.error)

    def end(self, error: BaseException | None = None) -> None:
        if self._tomb.state == "alive":
            self._tomb.kill(error)
            self._tomb.release()


class ForeignWorker:
    """One of nobody's kind, with the two methods and nothing else to go by."""

    def __init__(self, *, stubborn: bool = False, error: BaseException | None = None) -> None:
        self.kills = 0
        self.stubborn, self.error = stubborn, error
        self._ended = asyncio.Event()

    @property
    def is_dead(self) -> bool:
        return self._ended.is_set()

    def kill(self) -> None:
        self.kills += 1
        if not self.stubborn:
            self._ended.set()

    def end(self, error: BaseException | None = None) -> None:
        self.error = error
        self._ended.set()

    async def wait(self) -> None:
        await self._ended.wait()
        if self.error is not None:
            raise self.error


class Job:
    """A start function. It counts its calls, keeps its workers, and does what its attributes say."""

    def __init__(self, make: Callable[..., Held]) -> None:
        self.starts = 0
        self.cancels = 0
        self.workers: list[Held] = []
        self.gate: asyncio.Event | None = None  # What a start waits for.
        self.insists = False  # It carries on though it is cancelled.
        self.stubborn = False
        self.fails: BaseException | None = None
        self.error_at_kill: BaseException | None = None
        self._make = make

    @property
    def worker(self) -> Held:
        """The last of its workers."""
        return self.workers[-1]

    async def __call__(self) -> Worker:
        self.starts += 1
        while self.gate is not None and not self.gate.is_set():
            try:
                await self.gate.wait()
            except asyncio.CancelledError:
                self.cancels += 1
                if not self.insists:
                    raise
        if self.fails is not None:
            raise self.fails
        self.workers.append(self._make(stubborn=self.stubborn, error=self.error_at_kill))
        return self.workers[-1]

    def block(self) -> asyncio.Event:
        """Let starts wait until the answer is set."""
        self.gate = asyncio.Event()
        return self.gate


class Bench:
    """Makes runners and jobs, and ends what is left at the end of a test."""

    def __init__(self, make: Callable[..., Held]) -> None:
        self.clock = FakeClock()
        self.runners: list[Runner] = []
        self.jobs: list[Job] = []
        self._make = make

    def runner(self, **options: object) -> Runner:
        """A runner on the clock; nothing is fatal unless the test says so."""
        given: dict[str, object] = {"is_fatal": lambda _: False, "clock": self.clock, **options}
        self.runners.append(Runner(str(given.pop("name", "runner")), **given))  # type: ignore[arg-type]
        return self.runners[-1]

    def job(self, **attributes: object) -> Job:
        """A job with these attributes."""
        job = Job(self._make)
        for name, value in attributes.items():
            setattr(job, name, value)
        self.jobs.append(job)
        return job

    async def up(self, runner: Runner, id: str = "one", **attributes: object) -> Job:  # noqa: A002
        """A job that the runner has started under the id."""
        job = self.job(**attributes)
        await runner.start_worker(id, job)
        await settle()
        return job

    def entry(self, runner: Runner, id: str = "one") -> dict[str, object]:  # noqa: A002
        """What the runner reports of an id."""
        workers = runner.report()["workers"]
        assert isinstance(workers, dict)
        entry = workers[id]
        assert isinstance(entry, dict)
        return entry

    async def close(self) -> None:
        """End everything, however it was left."""
        for job in self.jobs:
            if job.gate is not None:
                job.gate.set()
            job.stubborn = False
        for runner in self.runners:
            runner.kill()
        await settle()
        for job in self.jobs:
            for worker in job.workers:
                worker.end()
        for runner in self.runners:
            await asyncio.wait_for(outcome(runner), 5)


async def settle() -> None:
    """Let the loop turn until nothing is left to be done."""
    for _ in range(30):
        await asyncio.sleep(0)


@pytest.fixture(name="settle")
def _settle() -> Callable[[], object]:
    return settle


@pytest.fixture(params=[OwnWorker, ForeignWorker])
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    """A bench whose jobs make workers of this library's kind, and one with foreign ones."""
    bench = Bench(request.param)
    yield bench
    await bench.close()
