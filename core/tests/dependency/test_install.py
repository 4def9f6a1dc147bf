"""Installing and uninstalling manifolds."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from undercroft import Context, DeadError, NoOpWorker
from undercroft.dependency import CycleError, Manifold, Uninstall, install, validate
from undercroft_hookspecs import AlreadyExistsError, NotFoundError, NotValidError, Worker

if TYPE_CHECKING:
    from core.tests.dependency.conftest import Bench, Part


def new_worker(_: Context) -> Worker:
    return NoOpWorker()


async def test_install_helper_installs_everything(bench: Bench, new_part: type[Part]) -> None:
    """juju: TestInstallConvenienceWrapper."""
    engine = bench.engine()
    parts = [new_part(name) for name in "abc"]

    await install(engine, {part.name: part.manifold for part in parts})
    await bench.settle()

    assert [part.starts for part in parts] == [1, 1, 1]
    assert engine.manifold_names() == ["a", "b", "c"]


async def test_install_helper_stops_at_the_first_error_and_undoes_nothing(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine()
    parts = [new_part("a"), new_part("b", "b"), new_part("c")]

    with pytest.raises(CycleError):
        await install(engine, {part.name: part.manifold for part in parts})

    assert engine.manifold_names() == ["a"]


async def test_a_second_manifold_leaves_the_first_alone(bench: Bench, new_part: type[Part]) -> None:
    """juju: TestInstallNoInputs."""
    engine = bench.engine()
    a, b = new_part("a"), new_part("b")
    await bench.install(engine, a)

    await bench.install(engine, b)

    assert (a.starts, b.starts) == (1, 1)


async def test_inputs_may_name_what_is_not_installed_yet(bench: Bench, new_part: type[Part]) -> None:
    """juju: TestInstallUnknownInputs."""
    engine = bench.engine()
    a, b = new_part("a"), new_part("b", "a")
    await bench.install(engine, b)
    assert b.probes == []

    await bench.install(engine, a)

    assert (len(a.probes), len(b.probes)) == (1, 1)


async def test_a_name_is_taken_once(bench: Bench, new_part: type[Part]) -> None:
    """juju: TestDoubleInstall."""
    engine = bench.engine()
    a = new_part("a")
    await bench.install(engine, a)

    with pytest.raises(AlreadyExistsError) as refused:
        await engine.install("a", a.manifold)
    await bench.settle()

    assert refused.value.name == "a"
    assert a.starts == 1


async def test_a_cycle_is_refused_and_never_started(bench: Bench, new_part: type[Part]) -> None:
    """juju: TestInstallCycle."""
    engine = bench.engine()
    a, b = new_part("a", "b"), new_part("b", "a")
    await bench.install(engine, a)

    with pytest.raises(CycleError) as refused:
        await engine.install("b", b.manifold)
    await bench.settle()

    assert refused.value.cycle in (["a", "b", "a"], ["b", "a", "b"])
    assert b.starts == 0
    assert engine.manifold_names() == ["a"]


async def test_an_engine_that_is_dying_or_dead_takes_nothing(bench: Bench, new_part: type[Part]) -> None:
    """juju: TestInstallAlreadyStopped."""
    engine = bench.engine()
    a = new_part("a", stubborn=True)
    await bench.install(engine, a)
    engine.kill()

    with pytest.raises(DeadError):
        await engine.install("", a.manifold)
    a.probe.end()
    assert await bench.died(engine) is None
    with pytest.raises(DeadError):
        await engine.install("a", a.manifold)
    with pytest.raises(DeadError):
        await engine.install_all({})
    with pytest.raises(DeadError):
        await engine.uninstall("nobody")
    assert a.starts == 1


@pytest.mark.parametrize(
    ("field", "name", "arguments"),
    [
        ("name", "", {}),
        ("name", None, {}),
        ("start", "a", {"start": None}),
        ("inputs", "a", {"inputs": "abc"}),
        ("inputs", "a", {"inputs": ("b", "")}),
        ("inputs", "a", {"inputs": ("b", 1)}),
        ("inputs", "a", {"inputs": None}),
        ("output", "a", {"output": 1}),
        ("filter", "a", {"filter": 1}),
    ],
)
async def test_what_is_not_a_manifold_is_refused(
    bench: Bench,
    field: str,
    name: Any,
    arguments: dict[str, Any],  # Any: values of the wrong type are the point.
) -> None:
    engine = bench.engine()

    with pytest.raises(NotValidError) as refused:
        await engine.install(name, Manifold(**({"start": new_worker} | arguments)))

    assert refused.value.field == field
    assert engine.manifold_names() == []


async def test_inputs_are_copied_and_duplicates_collapsed(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine()
    inputs = ["a", "b", "a"]
    part = new_part("c")
    await engine.install("c", Manifold(part.manifold.start, inputs))

    inputs.clear()

    assert bench.entry(engine, "c")["inputs"] == ["a", "b"]


async def test_install_never_runs_start_inline_and_does_not_suspend(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine()
    a = new_part("a")

    with pytest.raises(StopIteration):
        engine.install("a", a.manifold).send(None)

    assert a.starts == 0
    await bench.settle()
    assert a.starts == 1


async def test_install_all_takes_all(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine()
    parts = [new_part("b", "a"), new_part("a")]

    await engine.install_all({part.name: part.manifold for part in parts})
    await bench.settle()

    assert bench.states(engine) == {"b": "started", "a": "started"}


@pytest.mark.parametrize("wrong", [Manifold(new_worker, ("b",)), Manifold(new_worker, "x"), Manifold(new_worker)])
async def test_install_all_takes_none_if_one_is_refused(bench: Bench, new_part: type[Part], wrong: Manifold) -> None:
    engine = bench.engine()
    a, b = new_part("a"), new_part("b", "taken", "wrong")
    taken = new_part("taken")
    await bench.install(engine, taken)
    manifolds = {"a": a.manifold, "b": b.manifold, "taken" if not wrong.inputs else "wrong": wrong}

    with pytest.raises((CycleError, NotValidError, AlreadyExistsError)):
        await engine.install_all(manifolds)
    await bench.settle()

    assert engine.manifold_names() == ["taken"]
    assert (a.starts, b.starts, taken.starts) == (0, 0, 1)
    await bench.install(engine, new_part("wrong", "b"))


async def test_uninstall_stops_the_worker_waits_and_forgets(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine()
    a = new_part("a", stubborn=True)
    await bench.install(engine, a)

    removal = asyncio.create_task(engine.uninstall("a"))
    await bench.settle()
    assert not removal.done()
    assert bench.states(engine) == {"a": "stopping"}
    with pytest.raises(AlreadyExistsError):
        await engine.install("a", a.manifold)
    a.probe.end(ValueError("logged, not raised"))
    await removal

    assert engine.manifold_names() == []
    assert a.starts == 1


async def test_uninstall_bounces_dependents_which_are_remembered(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine()
    a, b = new_part("a"), new_part("b", "a")
    await bench.install(engine, a, b)

    await engine.uninstall("a")
    await bench.settle()
    assert bench.states(engine) == {"b": "stopped"}
    again = new_part("a")
    await bench.install(engine, again)

    assert bench.states(engine) == {"b": "started", "a": "started"}
    assert len(b.probes) == 2


async def test_uninstall_of_a_stopped_manifold_takes_effect_at_once(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine(error_delay=10)
    waiting, delayed = new_part("waiting", "missing"), new_part("delayed", start=fail)
    await bench.install(engine, waiting, delayed)

    await engine.uninstall("waiting")
    await engine.uninstall("delayed")
    await bench.clock.advance(100)

    assert engine.manifold_names() == []
    assert delayed.starts == 1
    assert bench.clock.pending == 0


async def test_uninstall_before_the_first_turn_means_no_start(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine()
    a = new_part("a")
    await engine.install("a", a.manifold)

    await engine.uninstall("a")
    await bench.settle()

    assert a.starts == 0


async def test_all_callers_of_uninstall_return(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine()
    a = new_part("a", stubborn=True)
    await bench.install(engine, a)

    removals = [asyncio.create_task(engine.uninstall("a")) for _ in range(3)]
    await bench.settle()
    a.probe.end()

    assert await asyncio.gather(*removals) == [None, None, None]
    assert a.probe.kills == 1


async def test_an_accepted_uninstall_completes_while_the_engine_dies(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine()
    a = new_part("a", stubborn=True)
    await bench.install(engine, a)
    removal = asyncio.create_task(engine.uninstall("a"))
    await bench.settle()

    engine.kill()
    await bench.settle()
    assert not removal.done()
    a.probe.end()

    await removal
    assert await bench.died(engine) is None
    assert engine.manifold_names() == []


async def test_a_cancelled_uninstall_stays_asked_for(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine()
    a = new_part("a", stubborn=True)
    await bench.install(engine, a)
    removal = asyncio.create_task(engine.uninstall("a"))
    await bench.settle()

    removal.cancel()
    with pytest.raises(asyncio.CancelledError):
        await removal
    a.probe.end()
    await bench.settle()

    assert engine.manifold_names() == []
    assert a.starts == 1


async def test_a_fatal_error_of_an_uninstalled_worker_is_fatal(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine(is_fatal=lambda _: True)
    a = new_part("a", stubborn=True)
    await bench.install(engine, a)
    removal = asyncio.create_task(engine.uninstall("a"))
    await bench.settle()
    error = ValueError("fatal")

    a.probe.end(error)

    await removal
    assert await bench.died(engine) is error


async def test_uninstall_during_a_bounce_wins(bench: Bench, new_part: type[Part]) -> None:
    """Checklist 11: what the engine had asked for does not keep a manifold that is to go."""
    engine = bench.engine()
    a, b = new_part("a"), new_part("b", "a", stubborn=True)
    await bench.install(engine, a, b)
    a.probe.end(ValueError("bounces b"))
    await bench.settle()
    assert bench.states(engine)["b"] == "stopping"

    removal = asyncio.create_task(engine.uninstall("b"))
    await bench.settle()
    b.probe.end()
    await removal

    assert engine.manifold_names() == ["a"]
    assert b.starts == 1


async def test_uninstall_signal_during_a_bounce_wins_too(bench: Bench, new_part: type[Part]) -> None:
    """Upstream ignores ErrUninstall from a worker that is being bounced (DEFECT-11)."""
    engine = bench.engine()
    a, b = new_part("a"), new_part("b", "a", stubborn=True)
    await bench.install(engine, a, b)
    a.probe.end(ValueError("bounces b"))
    await bench.settle()

    b.probe.end(Uninstall())
    await bench.settle()

    assert engine.manifold_names() == ["a"]


async def test_nobody_of_that_name_to_uninstall(bench: Bench) -> None:
    with pytest.raises(NotFoundError) as refused:
        await bench.engine().uninstall("nobody")

    assert refused.value.name == "nobody"


def test_validate_takes_no_manifolds() -> None:
    """juju: TestValidateEmptyManifolds."""
    validate({})


def test_validate_finds_a_trivial_cycle() -> None:
    """juju: TestValidateTrivialCycle."""
    with pytest.raises(CycleError) as refused:
        validate({"a": Manifold(new_worker, ("a",))})

    assert refused.value.cycle == ["a", "a"]


def test_validate_looks_through_a_whole_graph() -> None:
    """juju: TestValidateComplexManifolds."""
    inputs = {"root1": (), "root2": (), "mid1": ("root1",), "mid2": ("root1", "root2"), "leaf1": ("root2", "mid1")}
    inputs |= {"leaf2": ("mid1",), "leaf3": ("mid1", "mid2", "unknown")}
    validate({name: Manifold(new_worker, needed) for name, needed in inputs.items()})

    inputs["root1"] = ("leaf1",)

    with pytest.raises(CycleError):
        validate({name: Manifold(new_worker, needed) for name, needed in inputs.items()})


def fail(_: Context) -> Worker:
    raise ValueError("no")
