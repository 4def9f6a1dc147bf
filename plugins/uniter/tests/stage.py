"""One unit's charm code on a real model in SQLite, with the real server of hook tools: what is around it is by hand."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

import pytest
from plugins.model.tests.conftest import HERE, MYSQL, World, charm, endpoints

from undercroft.clock import SystemClock
from undercroft.process import SystemProcess
from undercroft.testing.agent import FakeUnitAgent
from undercroft_hookspecs import HostId, MachineId, NotFoundError, UnitName
from undercroft_hookspecs.charm import ActionSpec, Charm, OptionSpec, StorageSpec
from undercroft_hookspecs.facades import BlobFacade
from undercroft_hookspecs.hook_tools import RelationContext
from undercroft_hookspecs.relation_facades import LeadershipFacade, RelationFacade
from undercroft_hookspecs.state import Action
from undercroft_hookspecs.storage_facades import UnitStorage, UnitStorageFacade
from undercroft_model.actions import Task, enqueue, need_action
from undercroft_model.encryption import Keyring
from undercroft_model.hosts import register_host
from undercroft_model.sqlite_store import open_sqlite
from undercroft_model.unitside.facades import UnitFacades
from undercroft_model.unitside.standpoint import Standpoint
from undercroft_uniter.context.facades import Facades
from undercroft_uniter.context.factory import UnitSide
from undercroft_uniter.hook.info import HookInfo, HookKind
from undercroft_uniter.jujuc.server import ToolServer
from undercroft_uniter.jujuc.toolfolder import fill_tool_folder
from undercroft_uniter.jujuc.tools.catalogue import builtin_tools
from undercroft_uniter.paths import UnitPaths
from undercroft_uniter.runner.executions import UnitExecutions
from undercroft_uniter.runner.hook import HookExecution
from undercroft_uniter.seams import Commands, CommandsEnding, Ending

T = TypeVar("T")

UNIT = "shop/0"
SHOP = charm(
    "shop",
    endpoints("requirer", "db:mysql"),
    endpoints("peer", "cluster"),
    options={"colour": OptionSpec(default="red"), "size": OptionSpec(type="int")},
    storage={"data": StorageSpec(maximum=None, minimum=0)},
    actions={
        "backup": ActionSpec(
            parameters={
                "type": "object",
                "properties": {
                    "where": {"type": "string", "default": "/var", "required": True},
                    "level": {"type": "integer"},
                    "deep": {"type": "object", "properties": {"er": {"type": "string", "default": "x"}}},
                },
                "required": ["level"],
            }
        ),
        "plain": ActionSpec(parameters={"type": "object", "properties": {}}),
    },
)


class Log:
    """`UnitLog`: `lines` has (level, module, message)."""

    def __init__(self) -> None:
        self.lines: list[tuple[int, str, str]] = []

    def write(self, level: int, module: str, message: str) -> None:
        self.lines.append((level, module, message))

    def write_own(self, level: int, room: str, message: str) -> None:
        self.lines.append((level, f"own {room}", message))

    def said(self, level: int, module: str) -> list[str]:
        """What was said there."""
        return [message for at, where, message in self.lines if (at, where) == (level, module)]

    @property
    def errors(self) -> str:
        """All that went wrong."""
        return "\n".join(message for level, _, message in self.lines if level == logging.ERROR)


class Blobs:
    """`BlobFacade`: `content` by SHA-256; `fetched` counts."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}
        self.fetched: list[str] = []

    async def fetch(self, sha256: str, to: Path) -> None:
        if sha256 not in self.content:
            raise NotFoundError(sha256)
        self.fetched.append(sha256)
        to.write_bytes(self.content[sha256])


class Attachments:
    """`UnitStorageFacade`, of which only `attachments` is asked."""

    def __init__(self) -> None:
        self.present: list[UnitStorage] = []

    async def attachments(self) -> Sequence[UnitStorage]:
        return self.present

    @asynccontextmanager
    async def watch_attachments(self) -> AsyncIterator[AsyncIterator[Sequence[UnitStorage]]]:
        raise NotImplementedError
        yield  # Makes it what it is to be.

    async def destroy_attachments(self) -> None:
        raise NotImplementedError

    async def remove_attachment(self, storage: str) -> None:
        raise NotImplementedError


class Relations:
    """`RelationTracker`, of which only `contexts` is asked; `present` is what hooks see."""

    def __init__(self) -> None:
        self.present: dict[int, RelationContext] = {}

    def contexts(self, hook: HookInfo | None = None) -> Mapping[int, RelationContext]:
        del hook
        return dict(self.present)

    def __getattr__(self, name: str) -> Any:  # Nothing else is to be asked.
        raise AssertionError(name)


class Storage:
    """`StorageTracker`, of which only `announced` is asked."""

    def __init__(self) -> None:
        self.ids: frozenset[str] = frozenset()

    def announced(self) -> frozenset[str]:
        return self.ids

    def __getattr__(self, name: str) -> Any:  # Nothing else is to be asked.
        raise AssertionError(name)


class Leading:
    """`Leadership`: `leads` says whether."""

    def __init__(self) -> None:
        self.leads = False
        self.asked = 0

    def is_leader(self) -> bool:
        return self.leads

    async def guarantee(self) -> bool:
        self.asked += 1
        return self.leads

    async def changed(self) -> None:
        raise NotImplementedError


class Scene:
    """The unit shop/0, whose charm is written by the test, beside shop/1 and two of mysql."""

    def __init__(self, world: World, folder: Path, server: ToolServer) -> None:
        self.world, self.server = world, server
        self.log, self.blobs, self.attachments = Log(), Blobs(), Attachments()
        self.relations, self.storage, self.leading = Relations(), Storage(), Leading()
        self._keyring = Keyring(world.store, default=folder / "secrets.key")
        self._facades: dict[str, UnitFacades] = {}
        unit_dir = folder / "unit"
        self.agent = FakeUnitAgent(
            unit=UnitName.parse(UNIT),
            model=world.model,
            machine=MachineId.parse("0"),
            unit_dir=unit_dir,
            data_dir=unit_dir / "uniter",
            clock=SystemClock(),
            process=SystemProcess(),
        )
        self.paths = UnitPaths.of(self.agent)
        self.side = UnitSide(
            agent=self.agent,
            paths=self.paths,
            facades=Facades.found(self._find),
            leadership=self.leading,
            relations=self.relations,
            storage=self.storage,
            log=self.log,
        )
        self.tools = builtin_tools(clock=SystemClock())
        self.executions = UnitExecutions(self.side, server, self.tools)

    def of(self, unit: str, kind: type[T]) -> T:
        """A facade of a unit."""
        if unit not in self._facades:
            here = Standpoint(
                store=self.world.store,
                model=self.world.model,
                unit=unit,
                host=HostId.parse(HERE.id),
                clock=self.world.clock,
                rng=self.world.rng,
            )
            self._facades[unit] = UnitFacades(here, self._keyring, dict)
        found = self._facades[unit].get(kind)
        assert isinstance(found, kind)
        return found

    def _find(self, kind: type[T], /) -> T:
        own: dict[type, object] = {BlobFacade: self.blobs, UnitStorageFacade: self.attachments}
        found = own.get(kind) or self.of(UNIT, kind)
        assert isinstance(found, kind)
        return found

    async def begin(self, shop: Charm = SHOP) -> Self:
        """Deploy, and make the charm's folder."""
        await self.world.change(lambda tx: register_host(tx, HERE))
        await self.world.deploy(shop, units=2)
        await self.world.deploy(MYSQL, units=2)
        await self.world.start("shop/0", "shop/1", "mysql/0", "mysql/1")
        self.paths.charm.mkdir(parents=True)
        (self.paths.charm / "metadata.yaml").write_text("name: shop\n")
        await fill_tool_folder(self.paths.tools, self.tools)
        return self

    async def related(self) -> int:
        """Relate shop to mysql, all units in scope; hooks see both units of mysql."""
        relation = await self.world.integrate("shop:db", "mysql:server")
        for unit in ("shop/0", "shop/1", "mysql/0", "mysql/1"):
            await self.of(unit, RelationFacade).enter_scope(relation.id)
        self.see(relation.id, "db", "mysql", "mysql/0", "mysql/1")
        return relation.id

    def see(self, relation: int, endpoint: str, remote: str, *members: str, **fields: Any) -> None:
        """Have hooks see a relation."""
        self.relations.present[relation] = RelationContext(
            id=relation, endpoint=endpoint, remote_application=remote, members=members, **fields
        )

    def keep(self, relation: int, *members: str) -> None:
        """Have hooks see these members of it."""
        self.relations.present[relation] = dataclasses.replace(self.relations.present[relation], members=members)

    async def lead(self) -> None:
        """Let the unit lead."""
        assert await self.of(UNIT, LeadershipFacade).claim()
        self.leading.leads = True

    def script(self, name: str, text: str, *, first: str = "#!/bin/bash\n", mode: int = 0o755) -> Path:
        """Write a script of the charm."""
        path = self.paths.charm / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(first + text + "\n")
        path.chmod(mode)
        return path


class Stage(Scene):
    """The scene, and its charm code as it is run."""

    async def execution(self, name: str = "install", **fields: Any) -> HookExecution:  # as HookInfo's own
        """A hook that is about to run; `kind` where it is not its name."""
        info = HookInfo(kind=HookKind(fields.pop("kind", name)), **fields)
        return await self.executions.hook(info, name)

    async def hook(self, text: str = "", name: str = "install", **fields: Any) -> Ending:  # as HookInfo's own
        """Run a hook with this text, or as it was written before."""
        if text:
            self.script(f"hooks/{name}", text)
        return await (await self.execution(name, **fields)).run()

    async def printed(self, text: str, name: str = "install", **fields: Any) -> str:  # as HookInfo's own
        """What a hook prints, which has to succeed."""
        begun = len(self.log.lines)
        ending = await self.hook(text, name, **fields)
        assert not ending.failure, (ending, self.log.lines)
        return "\n".join(line for level, _, line in self.log.lines[begun:] if level == logging.DEBUG)

    async def task(self, name: str, **parameters: object) -> Action:
        """A task for the unit, pending."""
        task = Task(name=name, parameters={key.replace("_", "-"): value for key, value in parameters.items()})
        made = await enqueue(
            self.world.store, self.world.model, [UNIT], task, clock=self.world.clock, rng=self.world.rng
        )
        return await self.ended(made.tasks[0])

    async def act(self, name: str, **parameters: object) -> Action:
        """Run an action to its end, as its operation does, and give its record."""
        action = await self.task(name, **parameters)
        execution = await self.executions.action(action)
        await self.side.facades.action.begin(action.id)
        await execution.run()
        return await self.ended(action.id)

    async def ended(self, number: int) -> Action:
        """A task's record."""
        return await self.world.change(lambda tx: need_action(tx, self.world.model, number))

    async def commands(self, text: str, **fields: Any) -> CommandsEnding:  # as Commands' own
        """Run commands."""
        execution = await self.executions.commands(Commands(text=text, **fields))
        await execution.run()
        assert execution.answer is not None
        return execution.answer


@asynccontextmanager
async def open_stage(folder: Path) -> AsyncIterator[Stage]:
    """A stage on a new model."""
    async with open_sqlite("sqlite:", data_dir=folder, clock=SystemClock()) as store:
        world = await World(store).begin()
        async with ToolServer(folder / "agent.socket", clock=SystemClock()) as server:
            yield await Stage(world, folder, server).begin()


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """The unit, ready to run hooks."""
    async with open_stage(tmp_path) as made:
        yield made
