"""The dependency engine: graphs installed and started, their root bounced, one leaf installed and bounced."""

from __future__ import annotations

import asyncio
import gc
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import uvloop
from tests.benchmarks.measure import Scale, Table, milliseconds
from tests.benchmarks.peers import raw_tasks, silent

from undercroft import SimpleWorker, Stop
from undercroft.dependency import Engine, EngineConfig, Manifold
from undercroft_hookspecs import Context

Graph = Mapping[str, Sequence[str]]
"""Inputs by name, in the order of installation; the first name is the root."""

LAYERS = 20
LIMIT = 0.060
BOUNCE_LIMIT = 0.025
LEAF_LIMIT = 200e-6


def chain(number: int) -> Graph:
    """Each manifold needs the one before it."""
    return {str(index): () if index == 0 else (str(index - 1),) for index in range(number)}


def fan_out(number: int) -> Graph:
    """All need the root."""
    return {str(index): () if index == 0 else ("0",) for index in range(number)}


def layered(number: int) -> Graph:
    """Twenty layers below a root; each manifold needs three of the layer above it."""
    rng = random.Random(number)
    width = max((number - 1) // LAYERS, 1)
    inputs: dict[str, Sequence[str]] = {"0": ()}
    above = ["0"]
    while len(inputs) < number:
        layer = [str(len(inputs) + index) for index in range(min(width, number - len(inputs)))]
        inputs |= {name: tuple(rng.sample(above, min(3, len(above)))) for name in layer}
        above = layer
    return inputs


SHAPES: Mapping[str, Callable[[int], Graph]] = {"chain": chain, "fan-out": fan_out, "layered": layered}


class Starts:
    """The engine's metrics: when a worker last came up, and how many have."""

    def __init__(self, timer: Callable[[], float]) -> None:
        self.number = 0
        self.last = 0.0
        self._timer = timer
        self._awaited: tuple[str, asyncio.Future[None]] | None = None

    def record_start(self, name: str) -> None:
        """A worker came up."""
        self.number += 1
        self.last = self._timer()
        if self._awaited is not None and self._awaited[0] == name and not self._awaited[1].done():
            self._awaited[1].set_result(None)

    def next_of(self, name: str) -> asyncio.Future[None]:
        """Done when that worker comes up."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._awaited = (name, future)
        return future


class Rig:
    """An engine with a graph, whose workers run until they are told to fail."""

    def __init__(self, graph: Graph, *, bounce_delay: float = 0.0) -> None:
        self.graph = graph
        # Nothing waits where there is no delay: then it is the processor's time that counts.
        self._timer = time.perf_counter if bounce_delay else time.process_time
        self.starts = Starts(self._timer)
        self._failing: dict[str, asyncio.Future[None]] = {}
        self.engine = Engine(
            EngineConfig(
                error_delay=0.0,
                bounce_delay=bounce_delay,
                backoff_factor=1.0,
                jitter=0.0,
                logger=silent(),
                metrics=self.starts,
                rng=random.Random(1),
            )
        )

    async def install(self, name: str, inputs: Sequence[str], *, can_fail: bool = False) -> None:
        """Install one manifold, whose worker heeds `fail` or only its stop."""

        async def start(context: Context) -> SimpleWorker:
            for needed in inputs:
                context.get(needed)
            return SimpleWorker(work if can_fail else until_stopped)

        async def until_stopped(stop: Stop) -> None:
            await stop.wait()

        async def work(stop: Stop) -> None:
            self._failing[name] = failing = asyncio.get_running_loop().create_future()
            stopped = asyncio.ensure_future(stop.wait())
            await asyncio.wait((stopped, failing), return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            if failing.done():
                raise OSError("the bounce")

        await self.engine.install(name, Manifold(start=start, inputs=inputs))

    async def converge(self) -> float:
        """Install the graph; seconds until the last worker is up."""
        began = self._timer()
        for name, inputs in self.graph.items():
            await self.install(name, inputs, can_fail=not inputs)
        return await self.settled(0) - began

    async def bounce(self, name: str = "0") -> float:
        """Have a worker fail; seconds until all that it brought down is up again."""
        before = self.starts.number
        began = self._timer()
        self.fail(name)
        return await self.settled(before) - began

    def fail(self, name: str) -> None:
        """Have the worker of that name fail."""
        self._failing[name].set_result(None)

    async def settled(self, before: int) -> float:
        """When the last worker came up; asked only when nothing has moved for a while, for a report takes its time."""
        expected = before + len(self.graph)
        while True:
            seen = self.starts.number
            await asyncio.sleep(0.02)
            if seen == self.starts.number >= expected and self._all_up():
                return self.starts.last

    def _all_up(self) -> bool:
        manifolds = self.engine.report()["manifolds"]
        assert isinstance(manifolds, dict)
        return all(manifold["state"] == "started" for manifold in manifolds.values())

    async def end(self) -> None:
        """Take everything down."""
        self.engine.kill()
        await self.engine.wait()


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds that one graph took: raw tasks to start, its convergence, each of its bounces."""

    raw: float
    up: float
    bounces: Sequence[float]

    @property
    def bounce(self) -> float:
        """A typical one."""
        return statistics.median(self.bounces)

    @property
    def slowing(self) -> float:
        """How much slower the last bounces are than the first."""
        few = max(len(self.bounces) // 6, 1)
        return statistics.median(self.bounces[-few:]) / statistics.median(self.bounces[:few])


async def _times(graph: Graph, rounds: int, bounces: int) -> Times:
    raws, ups = [], []
    found: list[Sequence[float]] = []
    warming = int(rounds > 1)
    for number in range(rounds + warming):
        gc.collect()
        raw = (await raw_tasks(len(graph)))[0]
        gc.collect()
        rig = Rig(graph)
        up = await rig.converge()
        gc.collect()
        each = [await rig.bounce() for _ in range(bounces)]
        await rig.end()
        if number >= warming:
            raws.append(raw)
            ups.append(up)
            found.append(each)
    return Times(
        statistics.median(raws),
        statistics.median(ups),
        [statistics.median(column) for column in zip(*found, strict=True)],
    )


def engine(scale: Scale, table: Table) -> None:
    """Three shapes, of 1,000 and of 10,000 manifolds, and 20 bounces of the root of each."""
    small, large = scale.size(1_000), scale.size(10_000)
    for shape, make in SHAPES.items():
        few = uvloop.run(_times(make(small), scale.rounds(5), scale.rounds(20)))
        many = uvloop.run(_times(make(large), 1, scale.rounds(20)))
        raw = f"raw tasks {milliseconds(few.raw)}"
        table.add(
            f"{shape}: {small:,} installed and started",
            milliseconds(few.up),
            peer=raw,
            result=milliseconds(few.up),
            target=f"<= {milliseconds(LIMIT)}",
            met=few.up <= LIMIT,
        )
        table.at_most(f"{shape}: {large:,} against {small:,}", many.up, few.up, 15.0, show=milliseconds, of="small")
        table.within(f"{shape}: root of {small:,} bounced", few.bounce, BOUNCE_LIMIT, show=milliseconds)
        table.within(f"{shape}: root of {large:,} bounced", many.bounce, None, show=milliseconds)
        for number, times in ((small, few), (large, many)):
            table.add(
                f"{shape}: last bounces of {number:,} against the first",
                milliseconds(times.bounces[-1]),
                peer=f"first {milliseconds(times.bounces[0])}",
                result=f"{times.slowing:.2f}x",
                target="<= 1.5x",
                met=times.slowing <= 1.5,
            )
    delayed = uvloop.run(_delayed_bounce(chain(small), scale.rounds(5)))
    table.within(f"chain: root of {small:,} bounced, bounce delay 10 ms", delayed, 0.050, show=milliseconds)


async def _delayed_bounce(graph: Graph, bounces: int) -> float:
    rig = Rig(graph, bounce_delay=0.010)
    await rig.converge()
    found = [await rig.bounce() for _ in range(bounces)]
    await rig.end()
    return statistics.median(found)


def leaf(scale: Scale, table: Table) -> None:
    """One manifold more on a layered graph of 1,000 and of 10,000: installed and started, then bounced."""
    small, large = scale.size(1_000), scale.size(10_000)
    few = uvloop.run(_leaves(layered(small), 10 if scale.short else 300))
    many = uvloop.run(_leaves(layered(large), 10 if scale.short else 300))
    for index, verb in enumerate(("installed and started", "bounced")):
        table.within(f"one leaf {verb}, on {small:,}", few[index], LEAF_LIMIT, show=milliseconds)
        table.at_most(
            f"one leaf {verb}, on {large:,} against {small:,}",
            many[index],
            few[index],
            3.0,
            show=milliseconds,
            of="small",
        )


async def _leaves(graph: Graph, number: int) -> tuple[float, float]:
    rig = Rig(graph)
    await rig.converge()
    names = list(graph)[-200:]
    rng = random.Random(number)
    gc.collect()
    installs, bounces = [], []
    for index in range(number):
        name, inputs = f"leaf-{index}", tuple(rng.sample(names, min(3, len(names))))
        began = time.perf_counter()
        up = rig.starts.next_of(name)
        await rig.install(name, inputs, can_fail=True)
        await up
        installs.append(time.perf_counter() - began)
        await asyncio.sleep(0)
        began = time.perf_counter()
        up = rig.starts.next_of(name)
        rig.fail(name)
        await up
        bounces.append(time.perf_counter() - began)
        await rig.engine.uninstall(name)
    await rig.end()
    return statistics.median(installs), statistics.median(bounces)
