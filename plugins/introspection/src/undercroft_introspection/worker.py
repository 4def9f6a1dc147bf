"""The worker `introspection`: it listens, and has the rest imported when somebody comes for the first time.

An HTTP server takes longer to import than the agent to start, and most agents are never asked.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

from undercroft import SimpleWorker
from undercroft.files import in_thread
from undercroft_introspection.door import Door
from undercroft_introspection.listening import listen_at, loopback, unix

if TYPE_CHECKING:
    import socket

    from undercroft import Stop
    from undercroft_hookspecs import Agent, Control, Samples
    from undercroft_introspection.plugin import Config
    from undercroft_introspection.server import Servers

SOCKET: Final = "introspection.sock"


class Introspection:
    """Serves HTTP on `<data>/introspection.sock`, and on a loopback address if the config has one, until killed."""

    def __init__(self, agent: Agent, config: Config, *, control: Control, samples: Samples) -> None:
        # The agent's folder, where its control socket is too, has the plugins' folders in it.
        self._private, self._path = agent.data_dir / SOCKET, agent.data_dir.parent.parent / SOCKET
        self._config, self._control, self._samples = config, control, samples
        self._address = ""
        self._doors: list[Door] = []
        self._servers: Servers | None = None
        self._loading = asyncio.Lock()
        self._worker = SimpleWorker(self._work, name="introspection", clock=agent.clock)

    def kill(self) -> None:
        """Ask for a stop, and return at once."""
        self._worker.kill()

    async def wait(self) -> None:
        """Return when the worker is dead, or raise the error that it died of."""
        await self._worker.wait()

    def report(self) -> dict[str, object]:
        """Where it listens, and how many are connected."""
        return {
            "socket": str(self._path),
            "listen": self._address,
            "connections": sum(door.connections for door in self._doors),
        }

    async def _work(self, stop: Stop) -> None:
        async with AsyncExitStack() as opened:
            listener = opened.enter_context(unix(self._path, private=self._private))
            await self._open(listener, opened, is_local=True)
            if self._config.listen:
                listener = opened.enter_context(loopback(self._config.listen))
                self._address = listen_at(listener)
                await self._open(listener, opened, is_local=False)
            await stop.wait()

    async def _open(self, listener: socket.socket, opened: AsyncExitStack, *, is_local: bool) -> None:
        door = Door(listener, self._load, is_local=is_local)
        self._doors.append(door)
        await opened.enter_async_context(door)

    async def _load(self) -> Servers:
        async with self._loading:
            if self._servers is None:
                make = await in_thread(_imported)
                self._servers = make(self._control, self._samples)
            return self._servers


def _imported() -> type[Servers]:
    from undercroft_introspection.server import Servers  # noqa: PLC0415 - See the top.

    return Servers
