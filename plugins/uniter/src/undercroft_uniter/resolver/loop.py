"""Resolves, runs, and resolves again, until something ends it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NoReturn, Protocol

from undercroft_hookspecs import UndercroftError
from undercroft_uniter.errors import UnitGone, Waiting
from undercroft_uniter.resolver.availability import is_available, set_available
from undercroft_uniter.stopping import unless_stopped

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from undercroft import Stop
    from undercroft.fortress import Guard
    from undercroft_uniter.operation.executor import Executor
    from undercroft_uniter.operation.step import Operation
    from undercroft_uniter.remotestate.snapshot import Snapshot
    from undercroft_uniter.resolver.local import LocalState
    from undercroft_uniter.seams import RemoteState


class Resolver(Protocol):
    """Says what is next."""

    async def next(self, local: LocalState, snapshot: Snapshot) -> Operation | None:
        """The next operation; None: nothing, the unit is idle. Raises Waiting: nothing, but it is not idle."""
        ...


class Loop:
    """The inner loop of a unit: one operation after the other, as long as there are any, then a wait for news."""

    def __init__(
        self,
        resolver: Resolver,
        *,
        executor: Executor,
        remote: RemoteState,
        local: LocalState,
        guard: Guard,
        stop: Stop,
        on_idle: Callable[[], Awaitable[None]],
    ) -> None:
        self._resolver = resolver
        self._executor = executor
        self._remote = remote
        self._local = local
        self._guard = guard
        self._stop = stop
        self._on_idle = on_idle

    async def run(self) -> NoReturn:
        """Go on for ever.

        Raises:
            Stopping: the agent is asked to stop.
            UndercroftError: what the resolver or an operation raised: the local state is as it was then.
        """
        await set_available(self._guard, is_available(self._executor.state), self._stop)
        while True:
            operation = await self._next()
            if operation.changes_charm:
                await set_available(self._guard, False, self._stop)
            try:
                async with self._forwarding(operation):
                    await self._executor.run(operation)
            finally:
                self._local.state = self._executor.state
            await set_available(self._guard, is_available(self._executor.state), self._stop)

    async def _next(self) -> Operation:
        while True:
            async with unless_stopped(self._stop):
                operation = await self._resolve()
                if operation is not None:
                    return operation
                await self._remote.changed()

    async def _resolve(self) -> Operation | None:
        try:
            operation = await self._resolver.next(self._local, self._remote.snapshot())
        except Waiting:
            return None
        if operation is None:
            await self._on_idle()
        return operation

    @asynccontextmanager
    async def _forwarding(self, operation: Operation) -> AsyncIterator[None]:
        """Tell the operation of changes while it runs.

        A watch that fails is only heard of when it has ended; if the unit has been removed, it is to end soon, and what
        becomes of it then does not matter.
        """
        forwarding = asyncio.create_task(self._forward(operation), name=f"forward to {operation}")
        try:
            yield
        except UndercroftError as error:
            gone = await _ended(forwarding)
            if isinstance(gone, UnitGone):
                raise gone from error
            raise
        finally:
            failure = await _ended(forwarding)
        if failure is not None:
            raise failure

    async def _forward(self, operation: Operation) -> NoReturn:
        try:
            while True:
                await self._remote.changed()
                operation.remote_changed(self._remote.snapshot())
        except UnitGone:
            operation.end()
            raise


async def _ended(task: asyncio.Task[NoReturn]) -> Exception | None:
    """Cancel a task, and give the error that it had ended with before."""
    task.cancel()
    (outcome,) = await asyncio.gather(task, return_exceptions=True)
    return outcome if isinstance(outcome, Exception) else None
