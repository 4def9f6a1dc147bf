"""What would be done is told in order, and nothing is done; with and without an agent."""

from __future__ import annotations

import json
from collections.abc import Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar

from click.testing import CliRunner
from plugins.model.tests.conftest import HERE
from plugins.storageprovisioner.tests.ground import KEEPER, Ground
from plugins.storageprovisioner.tests.test_plan import Machine

from undercroft_hookspecs import HostId, NotFoundError, PlacementFacade
from undercroft_hookspecs.storage_facades import ProvisionerFacade
from undercroft_model.placement import Placement
from undercroft_storageprovisioner.command import storage_plan
from undercroft_storageprovisioner.foresight import foresee
from undercroft_storageprovisioner.plan import Actual

T = TypeVar("T")


def test_the_whole_way_is_foreseen_in_stages() -> None:
    machine = Machine()
    machine.add("0/0", "on a volume")
    machine.add("0/1", "folder")

    found = [(each.stage, str(each.step)) for each in foresee(machine.wanted(), Actual())]

    assert found == [
        (1, "create filesystem 0/1"),
        (1, "create volume 0/0"),
        (2, "attach filesystem 0/1"),
        (2, "attach volume 0/0"),
        (3, "create filesystem 0/0"),
        (4, "attach filesystem 0/0"),
    ]


def test_the_way_down_is_foreseen_as_far_as_it_is_decided() -> None:
    machine = Machine()
    machine.add("0/0", "on a volume")
    while steps := machine.plan():
        machine.take(steps[0])
    machine.doom("0/0")
    seen = Actual(volumes=frozenset({"0/0"}), filesystems=frozenset({"0/0"}))

    assert [str(each.step) for each in foresee(machine.wanted(), seen)] == ["detach filesystem 0/0"]


class FakeSession:
    """A session over the ground's store, with an agent that reports something, or none."""

    def __init__(self, ground: Ground, report: Mapping[str, object] | None) -> None:
        self._ground, self._report = ground, report
        self.answer: object = None

    def ask(self, request: Mapping[str, object]) -> Mapping[str, object]:
        assert request == {"request": "report"}
        if self._report is None:
            raise NotFoundError("agent")
        return {"manifolds": {"storage-provisioner": {"state": "started", "report": self._report}}}

    def open(self, name: str, kind: type[T]) -> AbstractAsyncContextManager[Any]:  # Any: what `kind` says.
        assert name == "model"
        world = self._ground.world
        placement = Placement(world.store, HostId.parse(HERE.id), clock=world.clock, rng=world.rng)
        found = {PlacementFacade: placement, ProvisionerFacade: self._ground.facade}

        @asynccontextmanager
        async def opened() -> Any:  # as above
            yield found[kind]

        return opened()

    def run(self, main: Coroutine[object, object, T]) -> Any:  # The task is awaited by the test.
        self.main = main
        raise Paused

    def emit(self, document: object, *, table: object = None) -> None:
        self.answer = document


class Paused(Exception):
    """The command wants a loop, and the test has one."""


async def rows(ground: Ground, report: Mapping[str, object] | None) -> list[dict[str, object]]:
    """What the command answers."""
    session = FakeSession(ground, report)
    CliRunner().invoke(storage_plan, obj=session)
    answer: list[dict[str, object]] = json.loads(json.dumps(await session.main))
    return answer


async def test_without_an_agent_it_looks_for_itself(ground: Ground) -> None:
    await ground.world.deploy(KEEPER, storage={"data": "loop,64M"})
    await ground.world.start("keeper/0")
    await ground.of("keeper/0").attachments()

    found = await rows(ground, None)

    assert [(row["stage"], row["deed"], row["kind"], row["when"]) for row in found] == [
        (1, "create", "volume", "next"),
        (2, "attach", "volume", "then"),
        (3, "create", "filesystem", "then"),
        (4, "attach", "filesystem", "then"),
    ]
    assert {(row["entity"], row["storage"], row["pool"], row["size"]) for row in found} == {
        ("0/0", "data/0", "loop", 64)
    }
    wanted = await ground.wanted()
    assert wanted.volumes["0/0"].info is None, "nothing was done"


async def test_agent_is_asked_what_there_is_and_what_has_failed(ground: Ground) -> None:
    await ground.world.deploy(KEEPER, storage={"data": "directory,900T"})
    await ground.world.start("keeper/0")
    async with ground.provisioning() as provisioner:
        await ground.of("keeper/0").attachments()
        await ground.refusal()
        (first, *_) = await rows(ground, provisioner.report())

    assert first["when"] == "when something else is wanted"
    assert "has room for" in str(first["reason"])
