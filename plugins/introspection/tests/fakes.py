"""An agent's inside, as the manifold `agent` puts it out, and a client that speaks bare HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from undercroft.linux.sockets import short
from undercroft.testing import FakeAgent
from undercroft_hookspecs import Sample
from undercroft_introspection.plugin import Config
from undercroft_introspection.worker import SOCKET, Introspection

PATIENCE = 20.0
HOSTILE = "<img src=x onerror=alert(1)>"

SAMPLES = (
    Sample(name="undercroft_a_bytes", kind="gauge", summary='how "much"\nthere\\is', value=1.5),
    Sample(name="undercroft_a_calls", kind="counter", summary="calls", value=3.0, labels={"name": 'a"b\\c\nd'}),
    Sample(name="undercroft_a_calls", kind="counter", summary="calls", value=4.0, labels={"name": "ü"}),
    Sample(name="undercroft_a_fails_total", kind="counter", summary="failures", value=float("inf")),
)


def entry(state: str = "started", error: str | None = None, missing: Sequence[str] = ()) -> dict[str, object]:
    """A manifold in the graph."""
    return {"plugin": "acme", "state": state, "inputs": list(missing), "missing": list(missing), "error": error}


class FakeInside:
    """A `Control` and `Samples`; it notes what is asked, and answers what it was told to."""

    def __init__(self) -> None:
        self.asked: list[Mapping[str, object]] = []
        self.answers: dict[str, Mapping[str, object]] = {
            "report": {"state": "started", "manifolds": {}},
            "graph": {"manifolds": {"a": entry(), "done": entry("stopped")}},
            "transitions": {"transitions": []},
            "plugins": {"plugins": [{"name": HOSTILE}]},
        }
        self.values: Sequence[Sample] = SAMPLES

    async def ask(self, request: Mapping[str, object]) -> Mapping[str, object]:
        self.asked.append(request)
        if request["request"] == "explain":
            name = request["name"]
            if name != "mysql/0/uniter":
                return {"error": {"kind": "NotFoundError", "message": f"there is no worker {name!r}"}}
            return {"name": name, "state": "started", "sentences": ["It is up."]}
        return self.answers[str(request["request"])]

    def samples(self) -> Sequence[Sample]:
        return self.values


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server has answered; `status` is 0 if it closed the connection instead."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def json(self) -> Any:  # Any: JSON.
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The kind of the error."""
        kind: str = self.json["error"]["kind"]
        return kind


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def get(self, target: str, *headers: str, method: str = "GET", host: str = "localhost") -> Reply:
        """Ask, and read the answer."""
        lines = [f"{method} {target} HTTP/1.1", *([f"Host: {host}"] if host else []), *headers]
        return await self.send("\r\n".join([*lines, "", ""]).encode())

    async def send(self, data: bytes) -> Reply:
        """Send something, and read the answer."""
        try:
            self.writer.write(data)
            return await self.reply()
        except ConnectionError:
            return Reply(0)

    async def reply(self) -> Reply:
        """Read an answer."""
        async with asyncio.timeout(PATIENCE):
            try:
                head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            except asyncio.IncompleteReadError:
                return Reply(0)
            first, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
            body = await self.reader.readexactly(int(headers["content-length"]))
        return Reply(int(first.split()[1]), headers, body)

    async def is_closed(self) -> bool:
        """Wait until the other end has closed."""
        async with asyncio.timeout(PATIENCE):
            try:
                return await self.reader.read(1) == b""
            except ConnectionError:
                return True


class Running:
    """The worker, up."""

    def __init__(self, worker: Introspection, inside: FakeInside, folder: Path) -> None:
        self.worker, self.inside, self.path = worker, inside, folder / SOCKET

    @asynccontextmanager
    async def local(self) -> AsyncIterator[Client]:
        """A connection to the unix socket."""
        with short(self.path) as address:
            reader, writer = await asyncio.open_unix_connection(address)
        async with _closing(reader, writer) as client:
            yield client

    @asynccontextmanager
    async def loopback(self) -> AsyncIterator[Client]:
        """A connection to the loopback address."""
        host, _, port = str(self.worker.report()["listen"]).rpartition(":")
        async with _closing(*await asyncio.open_connection(host.strip("[]"), int(port))) as client:
            yield client

    async def get(self, target: str, *headers: str, method: str = "GET") -> Reply:
        """Ask at the unix socket, on a connection of its own."""
        async with self.local() as client:
            return await client.get(target, *headers, method=method)


@asynccontextmanager
async def _closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> AsyncIterator[Client]:
    try:
        yield Client(reader, writer)
    finally:
        writer.transport.abort()


def plugin_folder(folder: Path) -> Path:
    """The plugin's own folder in a data folder."""
    own = folder / "plugins" / "introspection"
    own.mkdir(parents=True, exist_ok=True)
    return own


@asynccontextmanager
async def running(folder: Path, *, listen: str = "") -> AsyncIterator[Running]:
    """The worker with `folder` as the agent's data folder."""
    agent, inside = FakeAgent(data_dir=plugin_folder(folder)), FakeInside()
    worker = Introspection(agent, Config(listen=listen), control=inside, samples=inside)
    try:
        async with asyncio.timeout(PATIENCE):
            while not (folder / SOCKET).exists() or (listen and not worker.report()["listen"]):
                await asyncio.sleep(0.005)
        yield Running(worker, inside, folder)
    finally:
        worker.kill()
        async with asyncio.timeout(PATIENCE):
            await worker.wait()
