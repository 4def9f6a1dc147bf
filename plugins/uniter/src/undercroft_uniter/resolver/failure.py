"""A hook that failed, or that the agent crashed in: tried again in time, or as an operator wants it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from undercroft_hookspecs import NotFoundError
from undercroft_uniter.hook.script import script_of

if TYPE_CHECKING:
    from undercroft_uniter.hook.info import HookInfo
    from undercroft_uniter.operation.rooms import Rooms
    from undercroft_uniter.operation.step import Operation
    from undercroft_uniter.remotestate.snapshot import Snapshot
    from undercroft_uniter.resolver.local import LocalState
    from undercroft_uniter.resolver.operations import Operations
    from undercroft_uniter.resolver.retry import HookRetry
    from undercroft_uniter.seams import RemoteState


class Failure:
    """The resolver of hooks that failed."""

    def __init__(self, rooms: Rooms, *, remote: RemoteState, retry: HookRetry) -> None:
        self._rooms = rooms
        self._remote = remote
        self._retry = retry

    async def next(
        self, hook: HookInfo, local: LocalState, snapshot: Snapshot, operations: Operations
    ) -> Operation | None:
        """Say that the unit is in error, and find a way out of it.

        `resolved` is cleared before what it asks for is done: another failure is another error.
        """
        await self._report(hook)
        if snapshot.force_charm and snapshot.charm != local.charm:
            return operations.upgrade(snapshot.charm)
        if snapshot.resolved:
            self._retry.reset()
            await self._remote.clear_resolved()
            if snapshot.resolved == "no-hooks":
                return operations.skip_hook(hook)
            return operations.run_hook(hook)
        if local.retry_hook_version != snapshot.retry_hook_version:
            self._retry.tried()
            return operations.run_hook(hook)
        if not self._retry.is_started and await self._is_retried():
            self._retry.start()
        return None

    async def _is_retried(self) -> bool:
        settings = await self._rooms.model.model.model_settings()
        return bool(settings.get("automatically-retry-hooks", True))

    async def _report(self, hook: HookInfo) -> None:
        data: dict[str, object] = {}
        try:
            name = shown = script_of(hook, self._rooms.relations.contexts())
        except NotFoundError as error:
            name, shown = str(hook.kind), f"{hook.kind}: {error}"
        data["hook"] = name
        if hook.relation is not None:
            data["relation-id"] = hook.relation
        if hook.remote_unit:
            data["remote-unit"] = hook.remote_unit
        if hook.secret:
            data["secret-uri"] = f"secret:{hook.secret}"
        await self._rooms.agent_status.set("error", f'hook failed: "{shown}"', data=data)
