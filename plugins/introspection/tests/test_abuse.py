"""What clients do that they should not, to real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from plugins.introspection.tests.fakes import PATIENCE, FakeInside, Running, plugin_folder, running

from undercroft.linux.sockets import short
from undercroft.testing import FakeAgent
from undercroft_introspection import server
from undercroft_introspection.door import MOST_CONNECTIONS
from undercroft_introspection.listening import ListenError
from undercroft_introspection.plugin import Config
from undercroft_introspection.worker import SOCKET, Introspection

HEAD = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"

STRANGER = """
import contextlib, os, socket, sys
os.setgid(65534); os.setuid(65534)
with socket.socket(socket.AF_UNIX) as client:
    client.settimeout(20)
    try:
        client.connect(sys.argv[1])
    except PermissionError:
        sys.exit("closed")
    with contextlib.suppress(BrokenPipeError):  # It may have been answered already.
        client.sendall(b"GET /report HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n")
    while piece := client.recv(4096):
        sys.stdout.buffer.write(piece)
"""


@pytest.fixture
async def serving(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path, listen="127.0.0.1:0") as up:
        yield up


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is silent or deaf is left soon."""
    monkeypatch.setattr(server, "IDLE_SECONDS", 0.3)
    monkeypatch.setattr(server, "SEND_SECONDS", 0.3)


def alone(folder: Path, *, listen: str = "") -> Introspection:
    """The worker, which need not come up."""
    inside = FakeInside()
    agent = FakeAgent(data_dir=plugin_folder(folder))
    return Introspection(agent, Config(listen=listen), control=inside, samples=inside)


async def until_gone(serving: Running) -> None:
    async with asyncio.timeout(PATIENCE):
        while serving.worker.report()["connections"]:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "data",
    [
        HEAD + b"X: " + b"x" * 20_000 + b"\r\n\r\n",
        HEAD + b"".join(b"X-%d: x\r\n" % number for number in range(1000)) + b"\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /health HTTP/9.9\r\n\r\n",
        HEAD + b"Content-Length: -1\r\n\r\n",
        HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
    ids=["long header", "many headers", "long path", "TLS", "no target", "version", "length", "smuggling"],
)
async def test_a_head_that_is_none_is_answered_in_json_and_left(serving: Running, data: bytes) -> None:
    async with serving.loopback() as client:
        reply = await client.send(data)
        assert await client.is_closed()

    assert (reply.status, reply.error) == (400, "NotValidError")
    assert b"Traceback" not in reply.body
    assert (await serving.get("/health")).status == 200


async def test_a_body_is_not_waited_for(serving: Running) -> None:
    async with serving.loopback() as client:
        reply = await client.send(HEAD + b"Content-Length: 1000000000\r\n\r\nabc")

        assert reply.status == 200
        assert await client.is_closed()


@pytest.mark.parametrize("data", [b"", b"GET /hea", HEAD], ids=["nothing", "half a line", "half a head"])
async def test_who_sends_half_a_request_is_left_in_the_end(impatient: None, serving: Running, data: bytes) -> None:
    async with serving.loopback() as client:
        client.writer.write(data)

        assert await client.is_closed()
    await until_gone(serving)


async def test_who_reads_nothing_is_left_in_the_end(impatient: None, serving: Running) -> None:
    serving.inside.answers["report"] = {"long": "x" * 2_000_000}
    async with serving.local() as client:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        client.writer.write(b"GET /report HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await client.writer.drain()
        async with asyncio.timeout(PATIENCE):
            while not serving.inside.asked:
                await asyncio.sleep(0.01)

        await until_gone(serving)


async def test_who_goes_away_in_between_harms_nobody(serving: Running, caplog: pytest.LogCaptureFixture) -> None:
    for door in (serving.loopback, serving.local) * 20:
        async with door() as client:
            client.writer.write((HEAD + b"\r\n") * 3)
    await until_gone(serving)

    assert (await serving.get("/health")).status == 200
    assert "failed" not in caplog.text


async def test_of_500_clients_the_first_are_served_and_the_others_told_so(serving: Running) -> None:
    host, _, port = str(serving.worker.report()["listen"]).rpartition(":")

    firsts = await asyncio.to_thread(all_at_once, (host, int(port)), 500)

    assert firsts.count(b"HTTP/1.1 200") == MOST_CONNECTIONS
    # Who had not sent its request before it was turned away may have lost the answer.
    assert set(firsts) <= {b"HTTP/1.1 200", b"HTTP/1.1 503", b""}
    assert b"HTTP/1.1 503" in firsts
    await until_gone(serving)
    assert (await serving.get("/health")).status == 200


def all_at_once(address: tuple[str, int], number: int) -> list[bytes]:
    """Connect so many, then have all ask: how their answers begin."""
    with contextlib.ExitStack() as opened:
        clients = [
            opened.enter_context(contextlib.closing(socket.create_connection(address, timeout=PATIENCE)))
            for _ in range(number)
        ]
        return [first_words(client) for client in clients]


def first_words(client: socket.socket) -> bytes:
    with contextlib.suppress(ConnectionError):
        client.sendall(HEAD + b"\r\n")
    try:
        return client.recv(12, socket.MSG_WAITALL)
    except ConnectionError:
        return b""


@pytest.mark.root
async def test_another_user_is_refused(serving: Running) -> None:
    # Beyond what the mode and the folders keep away, which is everybody: who comes is asked who it is.
    for folder in (serving.path, *serving.path.parents):
        if folder != Path("/") and not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o011)
    serving.path.chmod(0o666)

    def visit() -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "-c", STRANGER, serving.path], capture_output=True, timeout=60, check=False
        )

    done = await asyncio.to_thread(visit)

    assert done.stdout.startswith(b"HTTP/1.1 403 Forbidden"), done.stderr
    assert b"may not look at an agent of user 0" in done.stdout
    assert serving.inside.asked == []


async def test_the_socket_is_for_its_owner_alone(serving: Running) -> None:
    assert serving.path.stat().st_mode & 0o777 == 0o600


async def test_the_socket_goes_with_the_worker(tmp_path: Path) -> None:
    async with running(tmp_path) as serving:
        assert serving.path.is_socket()

    assert not serving.path.exists()
    assert list(plugin_folder(tmp_path).iterdir()) == []


async def test_what_dead_agents_have_left_is_replaced(tmp_path: Path) -> None:
    for path in (tmp_path / SOCKET, plugin_folder(tmp_path) / SOCKET):
        with socket.socket(socket.AF_UNIX) as dead, short(path) as address:
            dead.bind(address)
    stale = (tmp_path / SOCKET).stat().st_ino

    async with running(tmp_path) as serving:
        async with asyncio.timeout(PATIENCE):
            while serving.path.stat().st_ino == stale:
                await asyncio.sleep(0.01)

        assert (await serving.get("/health")).status == 200


async def test_a_file_in_place_of_the_socket_is_left_there_and_named(tmp_path: Path) -> None:
    (tmp_path / SOCKET).write_text("mine")
    worker = alone(tmp_path)

    with pytest.raises(ListenError, match="is none; move it away"):
        await worker.wait()

    assert (tmp_path / SOCKET).read_text() == "mine"


async def test_an_address_that_is_taken_is_named_with_the_setting(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        worker = alone(tmp_path, listen=address)

        with pytest.raises(ListenError, match=rf"cannot listen at {address}: .* in use; free it, or change `listen`"):
            await worker.wait()

    assert not (tmp_path / SOCKET).exists()


async def test_it_listens_on_ipv6_as_well(tmp_path: Path) -> None:
    if not Path("/proc/net/if_inet6").exists():
        pytest.skip("this machine has no IPv6")
    async with running(tmp_path, listen="[::1]:0") as serving, serving.loopback() as client:
        reply = await client.get("/health", host="[::1]:9160")

    assert reply.status == 200


async def test_a_stop_ends_connections_at_once(tmp_path: Path) -> None:
    async with running(tmp_path) as serving, serving.local() as client:
        assert (await client.get("/health")).status == 200
        serving.worker.kill()

        assert await client.is_closed()
