from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import TypeVar

import pytest
from plugins.model.tests.conftest import HERE, MYSQL, World

from undercroft_hookspecs import HostId, NotFoundError, NotValidError
from undercroft_hookspecs.state import Action
from undercroft_model.actions import RESULT_BYTES, Task, cancel, enqueue, need_action
from undercroft_model.applications import remove_application
from undercroft_model.rows import Operation
from undercroft_model.transaction import Transaction
from undercroft_model.units import add_units_in_batches
from undercroft_model.unitside.host import OwnActions
from undercroft_model.unitside.standpoint import Standpoint

T = TypeVar("T")

BACKUP = Task(name="backup", parameters={"to": "/srv"})


def tasks_of(world: World, unit: str) -> OwnActions:
    """The facade of a unit."""
    here = Standpoint(
        store=world.store,
        model=world.model,
        unit=unit,
        host=HostId.parse(HERE.id),
        clock=world.clock,
        rng=world.rng,
    )
    return OwnActions(here)


async def ask(world: World, *units: str, task: Task = BACKUP) -> Operation:
    return await enqueue(world.store, world.model, units, task, summary="backup", clock=world.clock, rng=world.rng)


async def following(states: AsyncIterator[T]) -> T:
    async with asyncio.timeout(10):
        return await anext(states)


async def task(world: World, number: int) -> Action:
    return await need_action(Transaction(world.store), world.model, number)


def ids(actions: Sequence[Action]) -> list[int]:
    return [action.id for action in actions]


async def test_an_operation_has_a_task_for_each_unit_in_order(world: World) -> None:
    await world.deploy(MYSQL, units=2)

    operation = await ask(world, "mysql/1", "mysql/0")

    assert [(await task(world, number)).unit for number in operation.tasks] == ["mysql/1", "mysql/0"]
    assert operation.id not in operation.tasks


async def test_an_operation_on_many_units_takes_as_many_commits_as_it_needs(world: World) -> None:
    await world.deploy(MYSQL, units=0)
    units = await add_units_in_batches(
        world.store, world.model, "mysql", 130, here=HERE, clock=world.clock, rng=world.rng
    )

    operation = await ask(world, *(unit.name for unit in units))

    assert len({(await task(world, number)).unit for number in operation.tasks}) == 130


async def test_one_unit_that_is_not_there_keeps_all_from_being_asked(world: World) -> None:
    await world.deploy(MYSQL)
    keys = await world.keys()

    with pytest.raises(NotFoundError):
        await ask(world, "mysql/0", "mysql/7")

    assert await world.keys() == keys


async def test_a_unit_follows_what_it_has_not_finished(world: World) -> None:
    await world.deploy(MYSQL, units=2)
    facade = tasks_of(world, "mysql/0")
    async with facade.watch_pending() as states:
        assert await following(states) == ()

        await ask(world, "mysql/1")
        (first,) = (await ask(world, "mysql/0")).tasks
        assert ids(await following(states)) == [first]
        (second,) = (await ask(world, "mysql/0")).tasks
        assert ids(await following(states)) == [first, second]
        await facade.begin(first)
        await facade.finish(first, "completed")
        assert ids(await following(states)) == [second]


async def test_a_task_goes_from_pending_to_its_results(world: World) -> None:
    await world.deploy(MYSQL)
    (number,) = (await ask(world, "mysql/0")).tasks
    facade = tasks_of(world, "mysql/0")

    begun = await facade.begin(number)
    await facade.log(number, "half way")
    await facade.finish(number, "completed", message="done", results={"size": "3"})

    assert begun.parameters == {"to": "/srv"}
    ended = await task(world, number)
    assert (ended.status, ended.message, ended.results) == ("completed", "done", {"size": "3"})
    assert [line for _, line in ended.log] == ["half way"]
    assert ended.completed is not None


async def test_a_task_is_begun_once(world: World) -> None:
    await world.deploy(MYSQL)
    (number,) = (await ask(world, "mysql/0")).tasks
    await tasks_of(world, "mysql/0").begin(number)

    with pytest.raises(NotValidError, match="not pending but running"):
        await tasks_of(world, "mysql/0").begin(number)


async def test_a_task_that_has_ended_stays_as_it_was(world: World) -> None:
    await world.deploy(MYSQL)
    (number,) = (await ask(world, "mysql/0")).tasks
    facade = tasks_of(world, "mysql/0")
    await facade.begin(number)
    await facade.finish(number, "failed", message="no")

    await facade.finish(number, "completed")

    assert (await task(world, number)).status == "failed"
    with pytest.raises(NotValidError):
        await facade.log(number, "late")


async def test_a_unit_does_not_touch_another_s_tasks(world: World) -> None:
    await world.deploy(MYSQL, units=2)
    (number,) = (await ask(world, "mysql/0")).tasks

    with pytest.raises(NotFoundError):
        await tasks_of(world, "mysql/1").begin(number)


async def test_a_pending_task_that_is_cancelled_is_over(world: World) -> None:
    await world.deploy(MYSQL)
    (number,) = (await ask(world, "mysql/0")).tasks

    await world.run(cancel, number, now=world.clock.now())

    assert (await task(world, number)).status == "cancelled"
    async with tasks_of(world, "mysql/0").watch_pending() as states:
        assert await following(states) == ()


async def test_a_running_task_that_is_cancelled_is_told_to_stop(world: World) -> None:
    await world.deploy(MYSQL)
    (number,) = (await ask(world, "mysql/0")).tasks
    facade = tasks_of(world, "mysql/0")
    await facade.begin(number)
    async with facade.watch_pending() as states:
        await following(states)

        await world.run(cancel, number, now=world.clock.now())

        assert [action.status for action in await following(states)] == ["aborting"]
        await facade.finish(number, "aborted")
        assert await following(states) == ()


async def test_results_that_are_too_large_make_the_task_fail(world: World) -> None:
    await world.deploy(MYSQL)
    (number,) = (await ask(world, "mysql/0")).tasks
    facade = tasks_of(world, "mysql/0")
    await facade.begin(number)

    await facade.finish(number, "completed", results={"all": "x" * RESULT_BYTES})

    ended = await task(world, number)
    assert (ended.status, ended.results) == ("failed", {})


async def test_a_log_without_end_keeps_its_last_lines(world: World) -> None:
    await world.deploy(MYSQL)
    (number,) = (await ask(world, "mysql/0")).tasks
    facade = tasks_of(world, "mysql/0")
    await facade.begin(number)

    for index in range(30):
        await facade.log(number, f"{index} " + "x" * 20_000)

    log = (await task(world, number)).log
    assert len(log) < 30
    assert log[-1][1].startswith("29 ")


async def test_a_removed_application_leaves_no_task_behind(world: World) -> None:
    await world.deploy(MYSQL)
    await ask(world, "mysql/0")

    await world.run(remove_application, "mysql", force=True)
    await world.reap()

    assert not {key for key in await world.keys() if "action" in key or "operation" in key}
