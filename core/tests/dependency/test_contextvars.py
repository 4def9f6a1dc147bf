"""G10: every start runs in a copy of the context of its install."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import TYPE_CHECKING

import undercroft.dependency
from undercroft import Context, Event, NoOpWorker, SimpleWorker, Stop, Worker, current_worker
from undercroft.dependency import Bounce

if TYPE_CHECKING:
    from core.tests.dependency.conftest import Bench, Part

request: ContextVar[str] = ContextVar("request", default="none")


async def test_the_context_is_that_of_the_install_on_every_restart(bench: Bench, new_part: type[Part]) -> None:
    """Checklist 34."""
    seen: list[str] = []

    def start(_: Context) -> Worker:
        seen.append(request.get())
        request.set("leaked")
        return a.add_probe()

    a = new_part("a", start=start)
    engine = bench.engine()
    token = request.set("installing")
    await bench.install(engine, a)
    request.reset(token)

    a.probe.end(Bounce())
    await bench.settle()

    assert seen == ["installing", "installing"]


async def test_a_worker_knows_its_path(bench: Bench, new_part: type[Part]) -> None:
    paths: list[str | None] = []

    async def work(stop: Stop) -> None:
        paths.append(current_worker.get())
        await stop.wait()

    async def start(_: Context) -> Worker:
        await asyncio.sleep(0)
        paths.append(current_worker.get())
        return SimpleWorker(work)

    engine = bench.engine(name="top")
    await bench.install(engine, new_part("a", start=start))

    assert paths == ["top/a", "top/a"]
    assert current_worker.get() is None


async def test_observers_run_in_the_engines_own_context(bench: Bench, new_part: type[Part]) -> None:
    """A worker's death sets reactions off in the worker's context; none of that reaches what comes of them."""
    seen: set[tuple[str, str | None]] = set()

    def events(event: Event) -> None:
        seen.add((request.get(), current_worker.get()))

    async def work(stop: Stop) -> None:
        request.set("of the worker")
        raise ValueError

    engine = bench.engine(events=events, error_delay=100)
    token = request.set("installing")
    await bench.install(engine, new_part("a", start=lambda _: SimpleWorker(work)), new_part("b", "a"))
    request.reset(token)
    a = new_part("c", start=lambda _: NoOpWorker())
    await bench.install(engine, a)

    assert seen == {("none", None)}


async def test_a_worker_outlives_the_task_that_installed_it(bench: Bench, new_part: type[Part]) -> None:
    """G10: workers belong to their supervisor."""
    engine = bench.engine()
    a = new_part("a")

    async with asyncio.TaskGroup() as group:
        group.create_task(bench.install(engine, a))

    assert bench.states(engine) == {"a": "started"}


def test_the_module_exports_what_the_contract_says() -> None:
    module = undercroft.dependency

    assert sorted(module.__all__, key=str.lower) == [
        "Bounce", "Context", "CycleError", "Engine", "EngineConfig", "EngineSignal", "ExpiredError", "Explanation",
        "FilterFunc", "install", "Installer", "Manifold", "Missing", "OutputError", "OutputFunc", "self_manifold",
        "StartFunc", "Uninstall", "validate", "value_output", "ValueWorker",
    ]  # fmt: skip
    assert all(getattr(module, name) is not None for name in module.__all__)
    assert dir(module) == sorted(module.__all__)
