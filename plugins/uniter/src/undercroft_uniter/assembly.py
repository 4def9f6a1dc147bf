"""One unit's worker `uniter`: all rooms of the unit agent, opened in order, for as long as it runs."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from undercroft import DeadError, SimpleWorker, outcome
from undercroft.files import in_thread
from undercroft_hookspecs import AgentSignal, NotFoundError, UndercroftError
from undercroft_uniter.agentstatus import DeduplicatedStatus
from undercroft_uniter.charm.deployer import ManifestDeployer
from undercroft_uniter.commandsqueue import SocketCommands
from undercroft_uniter.context.factory import UnitSide
from undercroft_uniter.jujuc.server import ToolServer
from undercroft_uniter.jujuc.toolfolder import fill_tool_folder
from undercroft_uniter.jujuc.tools.catalogue import builtin_tools, with_plugins
from undercroft_uniter.operation.rooms import Facades as OperationFacades
from undercroft_uniter.operation.rooms import Rooms
from undercroft_uniter.paths import UnitPaths
from undercroft_uniter.rebootdone import boot_id
from undercroft_uniter.relation.tracker import Relations
from undercroft_uniter.remotestate.secrets import SecretsDue
from undercroft_uniter.remotestate.watcher import RemoteStateWatcher
from undercroft_uniter.runner.executions import UnitExecutions
from undercroft_uniter.runner.leftover import end_leftover
from undercroft_uniter.storage.tracker import Attachments
from undercroft_uniter.worker import GRACE_SECONDS, Uniter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from undercroft import Stop
    from undercroft.fortress import Guard
    from undercroft_hookspecs import CharmArchiveFacade, UnitAgent
    from undercroft_hookspecs.hook_tools import HookTool
    from undercroft_uniter.context.facades import Facades
    from undercroft_uniter.remotestate.facades import Facades as WatchedFacades
    from undercroft_uniter.seams import Leadership, UnitLock, UnitLog

_log = logging.getLogger(__name__)


class UnitWorker:
    """The worker of the manifold `uniter`."""

    def __init__(
        self,
        agent: UnitAgent,
        *,
        facades: Facades,
        watched: WatchedFacades,
        archives: CharmArchiveFacade,
        guard: Guard,
        leadership: Leadership,
        lock: UnitLock,
        log: UnitLog,
    ) -> None:
        self._agent, self._paths = agent, UnitPaths.of(agent)
        self._facades, self._watched, self._archives = facades, watched, archives
        self._guard, self._leadership, self._lock, self._log = guard, leadership, lock, log
        self._uniter: Uniter | None = None
        # The uniter's own grace is for the hook that runs; this one only sees to it that the rooms are closed.
        self._worker = SimpleWorker(self._run, name="uniter", grace=GRACE_SECONDS + 10, clock=agent.clock)

    def kill(self) -> None:
        """Ask for a stop, and return at once: the hook that runs may end, for a while."""
        self._worker.kill()
        if self._uniter is not None:
            self._uniter.kill()

    async def wait(self) -> None:
        """Return when the worker is dead, or raise the error that it died of."""
        await self._worker.wait()

    def report(self) -> dict[str, object]:
        """What the unit is at."""
        return self._uniter.report() if self._uniter is not None else {"state": "initializing"}

    async def _run(self, stop: Stop) -> None:
        async with AsyncExitStack() as rooms:
            uniter = await self._assemble_or_say(rooms)
            if stop:
                uniter.kill()
            try:
                await uniter.wait()
            finally:
                uniter.kill()
                await outcome(uniter)
                self._uniter = None

    async def _assemble_or_say(self, stack: AsyncExitStack) -> Uniter:
        try:
            return await self._assemble(stack)
        except (AgentSignal, DeadError, NotFoundError):  # A wish, or what it is about is no more.
            raise
        except Exception as error:  # Not swallowed: people are told where they look first.
            try:
                await self._facades.status.set_agent_status("failed", str(error))
            except UndercroftError as problem:  # The error that it is about is what counts.
                _log.warning("%s: could not say that the agent has failed: %s", self._agent.unit, problem)
            raise

    async def _assemble(self, stack: AsyncExitStack) -> Uniter:
        agent, paths, facades, clock = self._agent, self._paths, self._facades, self._agent.clock
        tools = all_tools(agent)
        await end_leftover(paths.running)
        await fill_tool_folder(paths.tools, tools.keys())
        server = await stack.enter_async_context(ToolServer(paths.tool_socket, clock=clock))
        commands = await stack.enter_async_context(SocketCommands(paths.run_socket))
        relations = await Relations.open(
            paths.relations, relations=facades.relation, units=facades.unit, charms=facades.charm
        )
        storage = await Attachments.open(paths.storage, facade=facades.storage)
        secrets = await SecretsDue.open(paths.secrets, facade=facades.secret, clock=clock)
        side = UnitSide(
            agent=agent,
            paths=paths,
            facades=facades,
            leadership=self._leadership,
            relations=relations,
            storage=storage,
            log=self._log,
        )
        rooms = Rooms(
            unit=agent.unit,
            boot_id=await in_thread(boot_id, agent.unit_dir.parents[3]),
            model=OperationFacades(
                unit=facades.unit, model=facades.model, status=facades.status, actions=facades.action
            ),
            agent_status=DeduplicatedStatus(facades.status),
            deployer=ManifestDeployer(paths.charm, paths.deployer, self._archives),
            executions=UnitExecutions(side, server, tools),
            relations=relations,
            storage=storage,
            leadership=self._leadership,
            commands=commands,
            log=self._log,
        )

        def watch() -> RemoteStateWatcher:
            return RemoteStateWatcher(
                str(agent.unit),
                self._watched,
                leadership=self._leadership,
                commands=commands,
                secrets=secrets,
                clock=clock,
                rng=agent.rng,
            )

        self._uniter = Uniter(
            agent, rooms, application=facades.application, watch=watch, guard=self._guard, lock=self._lock
        )
        return self._uniter


def all_tools(agent: UnitAgent) -> Mapping[str, HookTool]:
    """The unit's hook tools by name: ours, and beside them those of other plugins."""
    return with_plugins(builtin_tools(clock=agent.clock), agent.collect("undercroft_hook_tools"))
