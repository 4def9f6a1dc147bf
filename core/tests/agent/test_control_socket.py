from __future__ import annotations

import asyncio
import json
import os
import resource
import socket
import stat
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from undercroft.agent.control_socket import LONGEST_REQUEST, MOST_CLIENTS, serve
from undercroft.agent.host import DataFolderError
from undercroft.linux.sockets import short

Until = Callable[[Callable[[], object]], Awaitable[None]]

# Becomes another user, connects to the path given, and prints the answer.
STRANGER = """
import os, socket, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
s = socket.socket(socket.AF_UNIX)
s.settimeout(5)
s.connect(sys.argv[1])
try:
    s.sendall(b'{"request": "report"}\\n')
except BrokenPipeError:
    pass
print(s.makefile().readline())
"""


class Echo:
    """A Control that answers with the request."""

    def __init__(self) -> None:
        self.blocked: asyncio.Event | None = None
        self.asked = 0

    async def ask(self, request: Mapping[str, object]) -> Mapping[str, object]:
        self.asked += 1
        if self.blocked is not None:
            await self.blocked.wait()
        if request.get("size"):
            return {"blob": "x" * int(str(request["size"]))}
        return {"asked": dict(request)}


@asynccontextmanager
async def client(folder: Path) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    with short(folder / "agent.sock") as address:
        reader, writer = await asyncio.open_unix_connection(address, limit=1 << 24)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionResetError):
            await writer.wait_closed()


async def ask(folder: Path, *lines: bytes) -> list[Any]:
    async with client(folder) as (reader, writer):
        writer.writelines(lines)
        async with asyncio.timeout(5):
            return [json.loads(await reader.readline()) for _ in lines]


async def test_one_request_a_line_is_one_answer_a_line(tmp_path: Path) -> None:
    async with serve(Echo(), tmp_path):
        answers = await ask(tmp_path, b'{"request":"report"}\n', b'{"request":"graph"}\n')

    assert answers == [{"asked": {"request": "report"}}, {"asked": {"request": "graph"}}]


async def test_the_socket_is_this_users_alone_and_goes_with_the_agent(tmp_path: Path) -> None:
    path = tmp_path / "agent.sock"

    async with serve(Echo(), tmp_path):
        mode = stat.S_IMODE(path.stat().st_mode)

    assert mode == 0o600
    assert not path.exists()


async def test_many_clients_are_served_at_once(tmp_path: Path) -> None:
    async with serve(Echo(), tmp_path), client(tmp_path):  # One that says nothing.
        answers = await asyncio.gather(*(ask(tmp_path, b'{"n":%d}\n' % number) for number in range(40)))

    assert [answer["asked"]["n"] for (answer,) in answers] == list(range(40))


async def test_more_clients_than_there_is_room_for_are_told_so(tmp_path: Path, until: Until) -> None:
    control = Echo()
    control.blocked = asyncio.Event()
    async with serve(control, tmp_path):
        waiting = [asyncio.ensure_future(ask(tmp_path, b"{}\n")) for _ in range(MOST_CLIENTS + 1)]
        await until(lambda: any(each.done() for each in waiting))
        control.blocked.set()
        answers = await asyncio.gather(*waiting)

    refused = [answer for (answer,) in answers if "error" in answer]
    assert len(refused) == 1
    assert "try again later" in refused[0]["error"]["message"]


@pytest.mark.parametrize("line", [b"\n", b"report\n", b"[1]\n", b"\xff\xfe\n", b'{"a":\n', b"[" * 20_000 + b"\n"])
async def test_what_is_no_json_object_is_answered_with_an_error(tmp_path: Path, line: bytes) -> None:
    async with serve(Echo(), tmp_path):
        first, second = await ask(tmp_path, line, b'{"request":"report"}\n')

    assert first["error"]["kind"] == "NotValidError"
    assert second == {"asked": {"request": "report"}}


async def test_an_overlong_line_ends_the_conversation_with_an_error(tmp_path: Path) -> None:
    async with serve(Echo(), tmp_path), client(tmp_path) as (reader, writer):
        writer.write(b"x" * (LONGEST_REQUEST * 2))
        answer = json.loads(await reader.readline())
        rest = await reader.read()

    assert "longer than" in answer["error"]["message"]
    assert rest == b""


async def test_a_large_answer_arrives_whole(tmp_path: Path) -> None:
    async with serve(Echo(), tmp_path):
        (answer,) = await ask(tmp_path, b'{"size": 5000000}\n')

    assert len(answer["blob"]) == 5_000_000


async def test_a_client_that_is_silent_for_too_long_is_left(tmp_path: Path) -> None:
    async with serve(Echo(), tmp_path, idle_seconds=0.05), client(tmp_path) as (reader, _):
        async with asyncio.timeout(5):
            assert await reader.read() == b""


async def test_a_client_that_does_not_read_is_left(tmp_path: Path) -> None:
    async with serve(Echo(), tmp_path, send_seconds=0.05), client(tmp_path) as (reader, writer):
        writer.write(b'{"size": 9000000}\n')
        reader._transport.pause_reading()  # type: ignore[attr-defined]  # There is no other way not to read.
        async with asyncio.timeout(5):
            await asyncio.sleep(0.2)
            reader._transport.resume_reading()  # type: ignore[attr-defined]
            assert not (await reader.read()).endswith(b"\n")


async def test_a_client_that_leaves_in_the_middle_disturbs_nobody(tmp_path: Path) -> None:
    async with serve(Echo(), tmp_path):
        async with client(tmp_path) as (_, writer):
            writer.write(b'{"request": "rep')
        async with client(tmp_path) as (_, writer):
            writer.write(b'{"size": 5000000}\n')
        answers = await ask(tmp_path, b"{}\n")

    assert answers == [{"asked": {}}]


async def test_the_end_of_the_agent_ends_every_conversation(tmp_path: Path, until: Until) -> None:
    control = Echo()
    control.blocked = asyncio.Event()
    async with AsyncExitStack() as clients:
        async with serve(control, tmp_path):
            reader, writer = await clients.enter_async_context(client(tmp_path))
            writer.write(b"{}\n")
            await until(lambda: control.asked)
        async with asyncio.timeout(5):
            assert await reader.read() == b""


async def test_a_client_that_comes_as_the_agent_ends_is_left(tmp_path: Path) -> None:
    async with AsyncExitStack() as clients:
        async with serve(Echo(), tmp_path):
            reader, writer = await clients.enter_async_context(client(tmp_path))
            writer.write(b"{}\n")
        async with asyncio.timeout(5):
            with suppress(ConnectionResetError):
                await reader.read()


async def test_a_dead_agents_socket_is_replaced(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "agent.sock"))

    async with serve(Echo(), tmp_path):
        answers = await ask(tmp_path, b"{}\n")

    assert answers == [{"asked": {}}]


async def test_another_agents_socket_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "agent.sock"

    async with serve(Echo(), tmp_path):
        path.unlink()
        path.write_text("somebody else's")

    assert path.read_text() == "somebody else's"


async def test_a_socket_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "agent.sock").mkdir()

    with pytest.raises(DataFolderError, match=r"agent\.sock"):
        async with serve(Echo(), tmp_path):
            pass


async def test_a_folder_deeper_than_a_sockets_address_is_long_will_do(tmp_path: Path) -> None:
    folder = tmp_path.joinpath(*["a" * 50] * 4)
    folder.mkdir(parents=True)

    async with serve(Echo(), folder):
        answers = await ask(folder, b"{}\n")

    assert answers == [{"asked": {}}]


@pytest.mark.root
async def test_another_user_is_refused_even_where_the_file_would_let_them_in(tmp_path: Path) -> None:
    # The folders above tmp_path are closed to others, so the stranger is let in through a descriptor of its own.
    async with serve(Echo(), tmp_path):
        (tmp_path / "agent.sock").chmod(0o666)
        tmp_path.chmod(0o755)
        answer = await asyncio.to_thread(run_stranger, tmp_path)

    assert "may not control" in answer["error"]["message"]


def run_stranger(folder_path: Path) -> Any:
    import subprocess

    folder = os.open(folder_path, os.O_PATH | os.O_DIRECTORY)
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-c", STRANGER, f"/proc/self/fd/{folder}/agent.sock"],
            capture_output=True,
            check=True,
            timeout=20,
            pass_fds=(folder,),
        )
    finally:
        os.close(folder)
    return json.loads(done.stdout)


async def test_a_client_that_comes_while_descriptors_are_out_is_served_later(
    tmp_path: Path, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with serve(Echo(), tmp_path):
        with socket.socket(socket.AF_UNIX) as waiting:
            # Blocking and without yielding: the connection lies in the queue, and the next descriptor is the last.
            waiting.connect(str(tmp_path / "agent.sock"))
            waiting.sendall(b"{}\n")
            with open_descriptor() as next_free:
                pass
            resource.setrlimit(resource.RLIMIT_NOFILE, (next_free, before[1]))
            try:
                await until(lambda: "takes no clients for a moment" in caplog.text)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, before)
            waiting.setblocking(False)
            async with asyncio.timeout(5):
                answer = await asyncio.get_running_loop().sock_recv(waiting, 4096)

    assert json.loads(answer) == {"asked": {}}


async def test_an_agent_that_ends_while_it_takes_no_clients_ends(
    tmp_path: Path, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket(socket.AF_UNIX) as waiting:
        async with serve(Echo(), tmp_path):
            waiting.connect(str(tmp_path / "agent.sock"))
            with open_descriptor() as next_free:
                pass
            resource.setrlimit(resource.RLIMIT_NOFILE, (next_free, before[1]))
            try:
                await until(lambda: "takes no clients for a moment" in caplog.text)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, before)


@contextmanager
def open_descriptor() -> Iterator[int]:
    descriptor = os.open(os.devnull, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
