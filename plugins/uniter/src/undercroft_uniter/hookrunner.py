"""The worker of the manifold `hook-runner`: runs a unit's restricted hooks for other plugins."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from undercroft import DeadError, SimpleWorker
from undercroft.dependency import OutputError
from undercroft_hookspecs import HookRunner, NotFoundError
from undercroft_uniter.assembly import all_tools
from undercroft_uniter.hook.info import HookKind
from undercroft_uniter.jujuc.server import ToolServer
from undercroft_uniter.jujuc.toolfolder import fill_tool_folder
from undercroft_uniter.paths import UnitPaths
from undercroft_uniter.runner.executions import surroundings_of
from undercroft_uniter.runner.restricted import RestrictedHooks

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from undercroft import Stop
    from undercroft_hookspecs import HookResult, UnitAgent, Worker
    from undercroft_hookspecs.hook_tools import HookTool
    from undercroft_uniter.context.facades import Facades
    from undercroft_uniter.seams import UnitLock, UnitLog


class HookRunnerWorker:
    """Runs until killed; it listens from the first hook on."""

    def __init__(self, agent: UnitAgent, *, facades: Facades, lock: UnitLock, log: UnitLog) -> None:
        self._agent, self._facades, self._lock, self._log = agent, facades, lock, log
        self._tools: Mapping[str, HookTool] = {}
        self._stack = AsyncExitStack()
        self._hooks: RestrictedHooks | None = None
        self._is_over = False
        self._worker = SimpleWorker(self._run, name="hook-runner", grace=5, clock=agent.clock)

    def kill(self) -> None:
        """Ask for a stop, and return at once."""
        self._worker.kill()

    async def wait(self) -> None:
        """Return when the worker is dead."""
        await self._worker.wait()

    async def run(
        self, hook: str, *, tools: Collection[str], environment: Mapping[str, str], timeout: float
    ) -> HookResult:
        """Run a hook in the restricted context, with `tools` alone; see `HookRunner`.

        Raises:
            NotFoundError: there is no such tool, or no such unit any more.
            TimeoutError: the hook ran for longer than `timeout`, and was killed.
            DeadError: the worker has been killed.
        """
        if self._is_over or self._hooks is None:
            raise DeadError("the hook runner is not running")
        for name in tools:
            if name not in self._tools:
                raise NotFoundError(name, f"there is no hook tool {name!r}")
        chosen = {name: self._tools[name] for name in tools}
        is_alone = hook == HookKind.COLLECT_METRICS
        async with self._lock.alone() if is_alone else self._lock.held(str(self._agent.unit), hook):
            return await self._hooks.run(hook, tools=chosen, environment=environment, timeout=timeout)

    async def open(self) -> None:
        """Listen, and be ready to run hooks."""
        agent, paths, facades = self._agent, UnitPaths.of(self._agent), self._facades
        self._tools = all_tools(agent)
        await fill_tool_folder(paths.tools, self._tools.keys())
        server = await self._stack.enter_async_context(ToolServer(paths.restricted_socket, clock=agent.clock))
        self._hooks = RestrictedHooks(
            surroundings=await surroundings_of(agent, paths, facades),
            server=server,
            log=self._log,
            config=facades.config,
            network=facades.network,
            clock=agent.clock,
        )

    async def _run(self, stop: Stop) -> None:
        try:
            await stop.wait()
        finally:
            self._is_over = True
            await self._stack.aclose()


def hook_runner_output(worker: Worker, kind: type) -> object:
    """The output function of the manifold `hook-runner`: HookRunner alone."""
    if not isinstance(worker, HookRunnerWorker):
        raise OutputError(f"{type(worker).__name__} is not the hook runner")
    if kind is not HookRunner:
        raise OutputError(f"hook-runner puts out HookRunner, not {kind.__name__}")
    return worker
