"""A unit whose metering a test decides, and a charm that notes what it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

from undercroft_hookspecs import HookResult
from undercroft_hookspecs.state import MeterStatus

T = TypeVar("T")


class Shown(Generic[T]):
    """A value that is watched: nothing is seen before it is shown for the first time."""

    def __init__(self) -> None:
        self._values: list[T] = []
        self._changed = asyncio.Condition()

    async def show(self, value: T) -> None:
        async with self._changed:
            self._values.append(value)
            self._changed.notify_all()

    @asynccontextmanager
    async def watch(self) -> AsyncIterator[AsyncIterator[T]]:
        yield self._all()

    async def _all(self) -> AsyncIterator[T]:
        seen = max(0, len(self._values) - 1)
        while True:
            async with self._changed:
                while len(self._values) <= seen:
                    await self._changed.wait()
                seen = len(self._values)
                value = self._values[-1]
            yield value


class Metering:
    """The facades `MeterFacade` and `ConnectionFacade`."""

    def __init__(self) -> None:
        self.status, self.connected = Shown[MeterStatus](), Shown[bool]()

    async def meter_status(self) -> MeterStatus:
        async with self.status.watch() as states:
            return await anext(states)

    def watch_meter_status(self):  # type: ignore[no-untyped-def]
        return self.status.watch()

    def watch_connection(self):  # type: ignore[no-untyped-def]
        return self.connected.watch()


class Charm:
    """The facade `HookRunner`: notes what a charm is told; `answers` are how its next runs end."""

    def __init__(self, *answers: HookResult | Exception) -> None:
        self.told: list[tuple[str, str]] = []
        self.answers = list(answers)
        self._ran = asyncio.Condition()

    async def run(
        self, hook: str, *, tools: Collection[str], environment: Mapping[str, str], timeout: float
    ) -> HookResult:
        assert (hook, tuple(tools), timeout) == ("meter-status-changed", ("juju-log",), 60.0)
        assert set(environment) == {"JUJU_METER_STATUS", "JUJU_METER_INFO"}
        async with self._ran:
            self.told.append((environment["JUJU_METER_STATUS"], environment["JUJU_METER_INFO"]))
            self._ran.notify_all()
        answer = self.answers.pop(0) if self.answers else HookResult(returncode=0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def was_told(self, times: int) -> None:
        """Return when hooks were begun that often."""
        async with self._ran, asyncio.timeout(10):
            await self._ran.wait_for(lambda: len(self.told) >= times)
