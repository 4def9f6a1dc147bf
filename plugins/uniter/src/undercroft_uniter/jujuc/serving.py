"""The calls from one hook: who has its turn, who waits, and how they end with the hook."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final

from undercroft_hookspecs import UndercroftError
from undercroft_uniter.jujuc.command import refused, run
from undercroft_uniter.jujuc.connection import deadline

if TYPE_CHECKING:
    from collections.abc import Mapping

    from undercroft_hookspecs import Clock
    from undercroft_hookspecs.hook_tools import HookContext, HookTool
    from undercroft_uniter.jujuc.command import Answer
    from undercroft_uniter.jujuc.connection import Connection
    from undercroft_uniter.jujuc.wire import Request

_log = logging.getLogger(__name__)

GUARD_SECONDS: Final = 2.0
"""How long a tool that runs when its hook has ended may take to end by itself; and then, once it is cancelled."""


class Serving:
    """Runs the tools of one context, one at a time, in the order in which they are called."""

    def __init__(self, context: HookContext, tools: Mapping[str, HookTool], *, clock: Clock) -> None:
        self._context = context
        self._tools = tools
        self._clock = clock
        self._lock = asyncio.Lock()
        self._calls: set[asyncio.Task[object]] = set()
        self._running: asyncio.Task[object] | None = None
        self._folder = Path("/")
        self._is_over = False
        self._idle = asyncio.Event()

    async def call(self, request: Request, client: Connection) -> Answer:
        """Run what a client asks for, when it is its turn. To be called by a task that does nothing else.

        Raises:
            OSError: the client went away before its turn had come.
        """
        task = asyncio.current_task()
        assert task is not None
        self._calls.add(task)
        try:
            return await self._call(request, client, task)
        except asyncio.CancelledError:
            if not self._is_over:
                raise
            task.uncancel()
            return refused(f"{self._context.hook} has ended, and {request.tool} with it")
        finally:
            self._calls.discard(task)
            if not self._calls:
                self._idle.set()

    async def _call(self, request: Request, client: Connection, task: asyncio.Task[object]) -> Answer:
        context = self._context
        tool = self._tools.get(request.tool)
        if tool is None:
            return refused(f"{request.tool} is not available in {context.hook}")

        async def read(name: str) -> bytes:
            self._give_turn()
            try:
                content = await client.read(name)
            except UndercroftError:
                await self._take_turn(task)
                raise
            await self._take_turn(task)
            return content

        has_to_wait = self._lock.locked()
        await self._take_turn(task)
        try:
            if has_to_wait and client.is_gone():
                raise ConnectionResetError("the client went away before its turn had come")
            # Not the arguments: they may be secrets.
            _log.debug("%s calls %s in %s", context.unit, request.tool, context.hook)
            return await run(tool, context, request.arguments, folder=self._folder_of(request), read=read)
        finally:
            # One that ends while it reads a file has no turn to give.
            if self._running is task:
                self._give_turn()

    def _folder_of(self, request: Request) -> Path:
        # Mostly the charm's: calls come by the hundred.
        if str(self._folder) != request.folder:
            self._folder = Path(request.folder)
        return self._folder

    async def _take_turn(self, task: asyncio.Task[object]) -> None:
        await self._lock.acquire()
        self._running = task

    def _give_turn(self) -> None:
        self._running = None
        self._lock.release()

    async def end(self) -> None:
        """Take no more calls, refuse those that wait, and end the one that runs."""
        self._is_over = True
        try:
            await self._end()
        finally:
            for task in self._calls:
                task.cancel()

    async def _end(self) -> None:
        for task in self._calls - {self._running}:
            task.cancel()
        if await self._is_idle():
            return
        _log.warning("a hook tool still ran when %s of %s had ended", self._context.hook, self._context.unit)
        for task in self._calls:
            task.cancel()
        if not await self._is_idle():
            _log.error("a hook tool does not end, %s of %s goes on", self._context.hook, self._context.unit)

    async def _is_idle(self) -> bool:
        if self._calls:
            self._idle.clear()
            try:
                async with deadline(self._clock, GUARD_SECONDS):
                    await self._idle.wait()
            except TimeoutError:
                return False
        return True
