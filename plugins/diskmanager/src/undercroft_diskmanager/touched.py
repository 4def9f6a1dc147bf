"""What has to be read again: gathered from every source of events, taken all at once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Touched:
    """What may have changed: these devices, what is mounted or swapped to, or everything."""

    names: frozenset[str] = frozenset()
    claims: bool = False
    everything: bool = False


EVERYTHING = Touched(everything=True)


class Pending:
    """Gathers until somebody takes: a burst of a thousand events of one device is one touch."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._claims = self._everything = False
        self._error: Exception | None = None
        self._any = asyncio.Event()

    def touch(self, name: str) -> None:
        """This device may have changed; nodes in folders may be named with `/`."""
        self._names.add(name.replace("/", "!"))
        self._any.set()

    def touch_claims(self) -> None:
        """A mount or a swap may have come or gone."""
        self._claims = True
        self._any.set()

    def touch_everything(self) -> None:
        """Nothing that is known can be relied on."""
        self._everything = True
        self._any.set()

    def fail(self, error: Exception) -> None:
        """A source of events is broken for good: the next `take` raises this."""
        self._error = self._error or error
        self._any.set()

    async def take(self) -> Touched:
        """Wait until there is something, and take it all."""
        await self._any.wait()
        if self._error is not None:
            raise self._error
        taken = Touched(frozenset(self._names), self._claims, self._everything)
        self._names.clear()
        self._claims = self._everything = False
        self._any.clear()
        return taken
