"""Self manifold and value worker."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

import pytest

from undercroft import Context, NoOpWorker, Reporter, Worker
from undercroft.dependency import (
    Engine,
    Installer,
    Manifold,
    OutputError,
    ValueWorker,
    install,
    self_manifold,
    value_output,
)
from undercroft.testing import StubContext, check_alive, clean_kill
from undercroft_hookspecs import NotValidError

if TYPE_CHECKING:
    from core.tests.dependency.conftest import Bench, Part


async def test_a_self_manifold_has_no_inputs(bench: Bench) -> None:
    """juju: self TestInputs."""
    assert tuple(self_manifold(bench.engine()).inputs) == ()


async def test_a_self_manifold_starts_with_the_engine_itself(bench: Bench) -> None:
    """juju: self TestStart."""
    engine = bench.engine()

    assert self_manifold(engine).start(StubContext({})) is engine


async def test_another_engine_is_not_exposed(bench: Bench) -> None:
    """juju: self TestOutputBadInput."""
    output = self_manifold(bench.engine()).output
    assert output is not None

    with pytest.raises(OutputError):
        output(bench.engine(), Installer)


@pytest.mark.parametrize("kind", [Installer, Reporter, Engine])
async def test_the_kinds_of_an_engine(bench: Bench, kind: type) -> None:
    """juju: self TestOutputReporter, TestOutputInstaller."""
    engine = bench.engine()
    output = self_manifold(engine).output
    assert output is not None

    assert output(engine, kind) is engine


@pytest.mark.parametrize("kind", [Worker, object, int])
async def test_no_other_kind_is_exposed(bench: Bench, kind: type) -> None:
    """juju: self TestOutputBadOutput."""
    engine = bench.engine()
    output = self_manifold(engine).output
    assert output is not None

    with pytest.raises(OutputError):
        output(engine, kind)


async def test_an_engine_is_there_for_its_own_workers(bench: Bench, new_part: type[Part]) -> None:
    """juju: self TestActuallyWorks."""
    engine = bench.engine()
    late = new_part("late")

    async def start(context: Context) -> Worker:
        installer = context.get("self", Installer)
        await install(installer, {"late": late.manifold})
        return NoOpWorker()

    await bench.install(engine, new_part("b", "self", start=start))
    await engine.install("self", self_manifold(engine))
    await bench.settle()

    assert bench.states(engine) == {"b": "started", "self": "started", "late": "started"}
    await check_alive(engine, delay=0)
    await clean_kill(engine)
    assert set(bench.states(engine).values()) == {"stopped"}


async def test_an_engine_may_be_installed_under_many_names(bench: Bench) -> None:
    """juju: self TestStress."""
    engine = bench.engine()

    await asyncio.gather(*(engine.install(f"self{i}", self_manifold(engine)) for i in range(100)))
    await bench.settle()

    assert set(bench.states(engine).values()) == {"started"}
    await clean_kill(engine)


async def test_an_engine_leaves_itself_out_of_nested_reports(bench: Bench) -> None:
    """Checklist 18."""
    engine = bench.engine()
    await engine.install("self", self_manifold(engine))
    await bench.settle()

    assert "report" not in bench.entry(engine, "self")


async def test_uninstalling_itself_does_not_kill_the_engine(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine()
    b = new_part("b", "self", start=lambda _: NoOpWorker())
    await engine.install("self", self_manifold(engine))
    await bench.settle()
    await bench.install(engine, b)

    await engine.uninstall("self")
    await bench.settle()

    assert bench.states(engine) == {"b": "started"}
    assert b.starts == 2
    assert engine.report()["state"] == "started"


@pytest.mark.parametrize("shutdown", ["parallel", "reverse"])
async def test_an_engine_with_itself_and_dependents_dies(bench: Bench, new_part: type[Part], shutdown: str) -> None:
    engine = bench.engine(shutdown=shutdown)
    await engine.install("self", self_manifold(engine))
    b = new_part("b", "self", stubborn=True)
    await bench.install(engine, b)

    engine.kill()
    await bench.settle()
    assert engine.report()["state"] == "stopping"
    b.probe.end()

    assert await bench.died(engine) is None


async def test_itself_with_inputs_is_bounced_like_anybody(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine()
    own = self_manifold(engine)
    a, b = new_part("a"), new_part("b", "self")
    await engine.install("self", Manifold(own.start, ("a",), own.output))
    await bench.install(engine, b)

    await bench.install(engine, a)
    assert bench.entry(engine, "self")["start-count"] == 2
    a.probe.end(ValueError("again"))
    await bench.settle()

    assert bench.states(engine) == {"self": "started", "b": "started", "a": "started"}
    await clean_kill(engine)


async def test_itself_that_comes_too_late_is_not_killed(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine()

    async def start(_: Context) -> Worker:
        try:
            await asyncio.sleep(0 if part.starts > 1 else 1000)
        except asyncio.CancelledError:
            pass
        return engine

    part = new_part("self", "a", start=start)
    await bench.install(engine, part, new_part("a"))

    assert part.starts == 2
    assert bench.states(engine) == {"self": "started", "a": "started"}
    await clean_kill(engine)


async def test_a_value_is_held_until_the_worker_is_killed() -> None:
    worker = ValueWorker(42)

    assert worker.value == 42
    assert value_output(worker, int) == 42
    assert value_output(worker, object) == 42
    await check_alive(worker, delay=0)
    await clean_kill(worker)


async def test_a_value_is_something() -> None:
    with pytest.raises(NotValidError) as refused:
        ValueWorker(None)

    assert refused.value.field == "value"


class NotCheckable(Protocol):
    """A protocol that isinstance cannot ask about."""


@pytest.mark.parametrize("kind", [str, NotCheckable])
async def test_a_value_of_another_kind_is_not_given(kind: type) -> None:
    worker = ValueWorker(42)

    with pytest.raises(OutputError):
        value_output(worker, kind)
    await clean_kill(worker)


async def test_another_worker_holds_no_value() -> None:
    worker = NoOpWorker()

    with pytest.raises(OutputError):
        value_output(worker, int)
    await clean_kill(worker)


async def test_a_value_goes_from_manifold_to_manifold(bench: Bench, new_part: type[Part]) -> None:
    given: list[int] = []

    def start(context: Context) -> Worker:
        given.append(context.get("value", int))
        return NoOpWorker()

    engine = bench.engine()
    await engine.install("value", Manifold(lambda _: ValueWorker(42), output=value_output))
    await bench.settle()
    await bench.install(engine, new_part("b", "value", start=start))

    assert given == [42]


async def test_an_engine_is_an_installer(bench: Bench) -> None:
    assert isinstance(bench.engine(), Installer)
