"""A start attempt, and what it sees of its inputs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from undercroft import Context, NoOpWorker, StartError, Worker, caused_by
from undercroft.dependency import ExpiredError, Missing

if TYPE_CHECKING:
    from core.tests.dependency.conftest import Bench, Part


def value(_: Worker, kind: type) -> object:
    return kind()


async def test_an_input_can_be_asked_whether_it_is_there(bench: Bench, new_part: type[Part]) -> None:
    """juju: TestStartGetExistenceOnly."""
    engine = bench.engine()
    a, b = new_part("a"), new_part("b", "a")

    await bench.install(engine, a, b)

    assert (a.starts, len(b.probes)) == (1, 1)


async def missing_of(bench: Bench, part: Part, name: str, kind: type | None) -> Missing:
    """What a start finds when it asks for an input."""
    found: list[Missing] = []

    def start(context: Context) -> Worker:
        with pytest.raises(Missing) as raised:
            context.get(name) if kind is None else context.get(name, kind)
        found.append(raised.value)
        raise raised.value

    part.do = start
    await bench.install(bench.engines[-1], part)
    return found[-1]


async def test_an_undeclared_name_is_missing(bench: Bench, new_part: type[Part]) -> None:
    """juju: TestStartGetUndeclaredName."""
    await bench.install(bench.engine(), new_part("a"))

    missing = await missing_of(bench, new_part("b"), "a", None)

    assert (missing.resource, missing.reason) == ("a", "undeclared")
    assert "declared" in str(missing)


async def test_a_name_that_is_not_running_is_missing(bench: Bench, new_part: type[Part]) -> None:
    bench.engine()

    missing = await missing_of(bench, new_part("b", "a"), "a", int)

    assert (missing.resource, missing.reason) == ("a", "stopped")


async def test_an_input_without_an_output_function_is_missing(bench: Bench, new_part: type[Part]) -> None:
    await bench.install(bench.engine(), new_part("a"))

    missing = await missing_of(bench, new_part("b", "a"), "a", int)

    assert (missing.resource, missing.reason) == ("a", "unexposed")


async def test_an_output_function_is_given_the_worker_and_the_kind(bench: Bench, new_part: type[Part]) -> None:
    """juju: TestStartGetAccept."""
    seen: list[tuple[Worker, type]] = []
    given: list[object] = []

    def output(worker: Worker, kind: type) -> object:
        seen.append((worker, kind))
        return 42

    def start(context: Context) -> Worker:
        given.append(context.get("a", int))
        return NoOpWorker()

    engine = bench.engine()
    a = new_part("a", output=output)

    await bench.install(engine, a, new_part("b", "a", start=start))

    assert seen == [(a.probe, int)]
    assert given == [42]


async def test_what_an_output_function_raises_passes_unchanged(bench: Bench, new_part: type[Part]) -> None:
    """juju: TestStartGetReject."""
    error = ValueError("not for you")
    caught: list[Exception] = []

    def output(worker: Worker, kind: type) -> object:
        raise error

    def start(context: Context) -> Worker:
        try:
            context.get("a", int)
        except ValueError as raised:
            caught.append(raised)
        return NoOpWorker()

    await bench.install(bench.engine(), new_part("a", output=output), new_part("b", "a", start=start))

    assert caught == [error]


async def test_a_start_is_made_whether_or_not_its_inputs_are_running(bench: Bench, new_part: type[Part]) -> None:
    """Checklist 9: Missing is the start function's answer."""
    engine = bench.engine()

    await bench.install(engine, new_part("b", "a", start=lambda _: NoOpWorker()))

    assert bench.states(engine) == {"b": "started"}


async def test_a_context_expires_with_its_start(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine()
    a, b = new_part("a", output=value), new_part("b", "a")
    await bench.install(engine, a, b)

    for context in b.contexts:
        with pytest.raises(ExpiredError):
            context.get("a")
        assert context.name == "b"
    assert not b.contexts[-1].abort.is_set()


async def test_a_worker_cannot_use_the_context_of_the_start_that_made_it(bench: Bench, new_part: type[Part]) -> None:
    """The worker's first step comes before the engine has heard of the end of the start."""
    found: list[BaseException] = []

    async def use(context: Context) -> None:
        try:
            context.get("a")
        except ExpiredError as error:
            found.append(error)

    async def start(context: Context) -> Worker:
        tasks.append(asyncio.create_task(use(context)))
        return NoOpWorker()

    tasks: list[asyncio.Task[None]] = []
    await bench.install(bench.engine(), new_part("a"), new_part("b", "a", start=start))

    assert found


async def test_a_context_expires_when_its_start_fails(bench: Bench, new_part: type[Part]) -> None:
    part = new_part("b", "a")
    await bench.install(bench.engine(), part)

    with pytest.raises(ExpiredError):
        part.contexts[0].get("a")


async def test_a_start_that_carries_on_sees_what_was_running_when_it_was_asked_for(
    bench: Bench, new_part: type[Part]
) -> None:
    """Checklist 13."""
    engine = bench.engine()
    go_on = asyncio.Event()
    views: list[list[str]] = []

    async def start(context: Context) -> Worker:
        while not go_on.is_set():
            try:
                await go_on.wait()
            except asyncio.CancelledError:
                continue
        views.append([name for name in ("a", "c", "d") if is_there(context, name)])
        return NoOpWorker()

    a, c = new_part("a"), new_part("c")
    await bench.install(engine, a, new_part("b", "a", "c", "d", start=start))
    a.probe.end()
    await bench.install(engine, c, new_part("d"))
    c.probe.end()
    await bench.settle()

    go_on.set()
    await bench.settle()

    assert views == [["a"], ["d"]]


async def test_a_second_worker_of_an_input_is_not_shown_to_an_old_start(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine()
    go_on = asyncio.Event()
    seen: list[object] = []

    async def start(context: Context) -> Worker:
        while not go_on.is_set():
            try:
                await go_on.wait()
            except asyncio.CancelledError:
                continue
        seen.append(context.get("a", object))
        return NoOpWorker()

    a = new_part("a", output=lambda worker, _: worker)
    await bench.install(engine, a, new_part("b", "a", start=start))
    a.probe.end(ValueError("and again"))
    await bench.settle()
    assert len(a.probes) == 2

    go_on.set()
    await bench.settle()

    assert seen == [a.probes[0], a.probes[1]]


def is_there(context: Context, name: str) -> bool:
    try:
        context.get(name)
    except Missing:
        return False
    return True


async def test_a_start_is_released_when_the_engine_is_killed(bench: Bench, new_part: type[Part]) -> None:
    """juju: TestStartAbortOnEngineKill."""
    engine = bench.engine()
    aborted: list[bool] = []

    async def start(context: Context) -> Worker:
        try:
            await context.abort.wait()
        finally:
            aborted.append(context.abort.is_set())
        return NoOpWorker()

    part = new_part("a", start=start)
    await bench.install(engine, part)
    assert bench.states(engine) == {"a": "starting"}

    engine.kill()

    assert await bench.died(engine) is None
    assert aborted == [True]
    assert part.starts == 1


async def test_a_start_is_released_when_an_input_comes(bench: Bench, new_part: type[Part]) -> None:
    """juju: TestStartAbortOnDependencyChange."""
    engine = bench.engine()

    async def start(context: Context) -> Worker:
        await context.abort.wait()
        raise AssertionError("the task is cancelled as well")

    child = new_part("child", "parent", start=start)
    await bench.install(engine, child)
    assert child.starts == 1

    await bench.install(engine, new_part("parent"))
    assert child.starts == 2
    engine.kill()

    assert await bench.died(engine) is None
    assert child.starts == 2


async def test_a_start_is_cancelled_once(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine()
    cancellations: list[int] = []
    clean = asyncio.Event()

    async def start(context: Context) -> Worker:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await clean.wait()
            cancellations.append(1)
            raise
        raise AssertionError

    part = new_part("b", "a", "c", start=start)
    await bench.install(engine, part)
    await bench.install(engine, new_part("a"), new_part("c"))
    engine.kill()
    await bench.settle()

    clean.set()

    assert await bench.died(engine) is None
    assert cancellations == [1]


async def test_a_worker_that_comes_too_late_is_killed_awaited_and_shown_to_nobody(
    bench: Bench, new_part: type[Part]
) -> None:
    """Checklist 27."""
    engine = bench.engine()
    b = new_part("b", "a", stubborn=True)

    async def start(context: Context) -> Worker:
        if b.probes:
            return b.new_probe(context)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return b.add_probe()
        raise AssertionError

    b.do = start
    c = new_part("c", "b")
    await bench.install(engine, b, c)
    await bench.install(engine, new_part("a"))
    assert b.probe.kills == 1
    assert bench.entry(engine, "b")["state"] == "starting"
    assert "start-count" not in bench.entry(engine, "b")
    assert (b.starts, c.starts) == (1, 1)

    b.probe.end()
    await bench.settle()

    assert b.starts == 2
    assert bench.states(engine) == {"b": "started", "c": "started", "a": "started"}
    assert c.starts == 2


async def test_a_worker_made_in_the_last_step_of_a_cancelled_start_is_not_lost(
    bench: Bench, new_part: type[Part]
) -> None:
    """Checklist 26: asyncio throws away what a task returns if cancel() reaches it in its last step."""
    engine = bench.engine()
    loop = asyncio.get_running_loop()
    gate: asyncio.Future[None] = loop.create_future()
    a = new_part("a")

    async def start(_: Context) -> Worker:
        await gate
        engine.kill()
        return a.add_probe()

    a.do = start
    await bench.install(engine, a)

    gate.set_result(None)

    assert await bench.died(engine) is None
    assert a.probe.kills == 1
    assert a.probe.ended


async def test_what_is_no_worker_is_a_start_error(bench: Bench, new_part: type[Part]) -> None:
    errors: list[Exception] = []

    def is_fatal(error: Exception) -> bool:
        errors.append(error)
        return True

    engine = bench.engine(is_fatal=is_fatal)

    await bench.install(engine, new_part("a", start=lambda _: None))  # type: ignore[arg-type, return-value]

    assert caused_by(await bench.died(engine), StartError) is errors[0]
