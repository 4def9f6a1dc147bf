"""What the server does with its contexts, their calls and its socket, whoever the clients are."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import socket
import stat
import sys
from collections.abc import Coroutine, Iterable, Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path

import pytest
from plugins.uniter.tests.jujuc.bench import PATIENCE, Bench, FakeContext, Raw, Tools, benched, until, within

from undercroft.clock import SystemClock
from undercroft.process import SystemProcess
from undercroft.testing import FakeClock
from undercroft_hookspecs import AlreadyExistsError
from undercroft_uniter.jujuc.connection import REQUEST_SECONDS, SEND_SECONDS
from undercroft_uniter.jujuc.server import MOST_CLIENTS, ToolServer, new_context_id
from undercroft_uniter.jujuc.serving import GUARD_SECONDS
from undercroft_uniter.jujuc.wire import (
    LARGEST_REQUEST,
    MAGIC,
    MESSAGE_HEADER,
    REQUEST_HEADER,
    encode_message,
    encode_result,
)

OVER = b"ERROR start has ended, and wait with it\n"


async def call(bench: Bench, tool: str, *arguments: str, context: str | None = None) -> bytes:
    """Make a call, and give all of the server's answer."""
    async with Raw(bench.path) as client:
        await client.send(bench.request(tool, *arguments, context=context))
        return await client.receive()


async def started(calls: Iterable[Coroutine[object, object, bytes]]) -> list[asyncio.Task[bytes]]:
    """Tasks of them, not all in one turn of the loop."""
    tasks = []
    for one in calls:
        tasks.append(asyncio.create_task(one))
        await asyncio.sleep(0)
    return tasks


def refused(message: bytes) -> bytes:
    """The answer that a call is refused with."""
    return encode_result(1, b"", b"ERROR " + message + b"\n")


async def test_the_environment_tells_where_the_socket_is(clientless: Bench, tmp_path: Path) -> None:
    assert clientless.server.environment() == {
        "JUJU_AGENT_SOCKET_ADDRESS": str(tmp_path / "agent.socket"),
        "JUJU_AGENT_SOCKET_NETWORK": "unix",
    }


async def test_ids_of_contexts_cannot_be_guessed() -> None:
    one, other = new_context_id("shop/0", "start"), new_context_id("shop/0", "start")

    assert one != other
    assert one.startswith("shop/0-start-")
    assert len(one) == len("shop/0-start-") + 32


async def test_the_socket_is_its_users_alone(clientless: Bench) -> None:
    mode = clientless.path.stat().st_mode

    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


async def test_a_socket_that_was_left_behind_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "agent.socket"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(path))

    async with benched(path, tmp_path) as bench:
        answer = await call(bench, "say", "x")

    assert answer == encode_result(0, b"x\n", b"")


async def test_a_file_in_the_place_of_the_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "agent.socket"
    path.write_text("precious")

    with pytest.raises(FileExistsError, match=r"agent\.socket is in the place of the socket"):
        async with ToolServer(path, clock=SystemClock()):
            pass

    assert path.read_text() == "precious"


async def test_the_socket_is_removed_in_the_end(tmp_path: Path) -> None:
    path = tmp_path / "agent.socket"

    async with benched(path, tmp_path):
        assert path.exists()

    assert not path.exists()


async def test_the_socket_of_the_next_server_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "agent.socket"

    async with benched(path, tmp_path):
        async with benched(path, tmp_path) as bench:
            answer = await call(bench, "say", "x")
            inode = path.stat().st_ino
            kept = path.with_name("kept")
            kept.hardlink_to(path)
        kept.rename(path)

    assert answer == encode_result(0, b"x\n", b"")
    assert path.stat().st_ino == inode


async def test_a_context_is_served_but_once(clientless: Bench) -> None:
    with pytest.raises(AlreadyExistsError):
        async with clientless.server.serving(clientless.context, {}):
            pass

    assert await call(clientless, "say", "x") == encode_result(0, b"x\n", b"")


async def test_calls_of_one_context_wait_for_one_another_in_their_order(clientless: Bench) -> None:
    calls = [asyncio.ensure_future(call(clientless, "wait", "0"))]
    await within(clientless.tools.begun.wait())
    for number in range(1, 4):
        clients = len(clientless.server._clients)
        calls.append(asyncio.ensure_future(call(clientless, "wait", str(number))))
        await until(lambda clients=clients: len(clientless.server._clients) > clients)  # type: ignore[misc]

    before = list(clientless.journal)
    clientless.tools.gate.set()
    await within(asyncio.gather(*calls))

    assert before == ["begin 0"]
    assert clientless.journal == [f"{what} {number}" for number in range(4) for what in ("begin", "end")]


async def test_contexts_are_served_side_by_side(clientless: Bench) -> None:
    other, tools = FakeContext(hook="backup"), Tools()
    async with clientless.server.serving(other, tools.mapping()):
        waiting = asyncio.ensure_future(call(clientless, "wait"))
        await within(clientless.tools.begun.wait())

        answer = await within(call(clientless, "say", "x", context=other.id))

        assert not waiting.done()
        clientless.tools.gate.set()
        await within(waiting)
    assert answer == encode_result(0, b"x\n", b"")


async def test_a_client_that_dies_in_the_queue_is_forgotten(clientless: Bench) -> None:
    waiting = asyncio.ensure_future(call(clientless, "wait"))
    await within(clientless.tools.begun.wait())
    async with Raw(clientless.path) as client:
        await client.send(clientless.request("say", "never"))
        await until(lambda: len(clientless.server._clients) == 2)

    clientless.tools.gate.set()
    await within(waiting)
    await within(call(clientless, "say", "last"))

    assert clientless.journal == ["begin", "end", "say last"]


async def test_a_client_that_dies_while_its_tool_runs_does_not_end_the_tool(clientless: Bench) -> None:
    async with Raw(clientless.path) as client:
        await client.send(clientless.request("wait"))
        await within(clientless.tools.begun.wait())

    clientless.tools.gate.set()
    await until(lambda: clientless.journal == ["begin", "end"])


async def test_a_client_that_dies_while_it_is_read_from_ends_the_tool(clientless: Bench) -> None:
    async with Raw(clientless.path) as client:
        await client.send(clientless.request("cat"))
        await within(clientless.tools.begun.wait())

    answer = await within(call(clientless, "say", "x"))

    assert answer == encode_result(0, b"x\n", b"")
    await until(lambda: not clientless.server._clients)
    assert clientless.journal == ["say x"]


async def test_others_have_their_turn_while_a_tool_reads(clientless: Bench) -> None:
    async with Raw(clientless.path) as reader:
        await reader.send(clientless.request("cat"))
        await within(clientless.tools.begun.wait())
        answer = await within(call(clientless, "say", "x"))
        await reader.send(encode_message(b"D", b"abc"))
        await reader.send(encode_message(b"D"))
        read = await reader.receive()

    assert answer == encode_result(0, b"x\n", b"")
    assert read == encode_message(b"R", b"-") + encode_message(b"M") + encode_result(0, b"abc", b"")
    assert clientless.journal == ["say x", "cat 3"]


async def test_a_tool_has_its_turn_again_before_it_goes_on(clientless: Bench) -> None:
    async with Raw(clientless.path) as reader:
        await reader.send(clientless.request("cat"))
        await within(clientless.tools.begun.wait())
        clientless.tools.begun.clear()
        waiting = asyncio.ensure_future(call(clientless, "wait"))
        await within(clientless.tools.begun.wait())
        await reader.send(encode_message(b"D"))
        await until(lambda: len(clientless.server._clients) == 2)
        clientless.tools.gate.set()
        await within(waiting)
        await reader.receive()

    assert clientless.journal == ["begin", "end", "cat 0"]


async def test_after_its_hook_a_tool_is_refused(clientless: Bench) -> None:
    ended = FakeContext(hook="ended")
    tools = Tools()
    async with clientless.server.serving(ended, tools.mapping()):
        pass

    answer = await call(clientless, "say", "x", context=ended.id)

    assert b"no hook of this JUJU_CONTEXT_ID is running; say works in a hook, while it runs" in answer
    assert tools.journal == []


async def test_with_the_hook_those_who_wait_are_refused_and_the_one_that_runs_may_end(tmp_path: Path) -> None:
    async with ToolServer(tmp_path / "agent.socket", clock=SystemClock()) as server:
        bench = Bench(server, FakeContext(), Tools(), tmp_path)
        async with server.serving(bench.context, bench.tools.mapping()):
            running = asyncio.ensure_future(call(bench, "wait"))
            await within(bench.tools.begun.wait())
            waiting = [asyncio.ensure_future(call(bench, "say", "late")) for _ in range(3)]
            await until(lambda: len(server._clients) == 4)
            asyncio.get_running_loop().call_soon(bench.tools.gate.set)
        answers = await within(asyncio.gather(*waiting))

        assert bench.journal == ["begin", "end"]
        assert await within(running) == encode_result(0, b"", b"")
        assert set(answers) == {refused(b"start has ended, and say with it")}


async def test_a_tool_that_outlives_its_hook_is_ended(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    async with ToolServer(tmp_path / "agent.socket", clock=clock) as server:
        bench = Bench(server, FakeContext(), Tools(), tmp_path)
        serving = server.serving(bench.context, bench.tools.mapping())
        async with serving:
            running = asyncio.ensure_future(call(bench, "wait"))
            await within(bench.tools.begun.wait())
            later = asyncio.ensure_future(clock.wait_advance(GUARD_SECONDS))
        await later

        assert bench.journal == ["begin", "cancelled"]
        assert await within(running) == encode_result(1, b"", OVER)
    assert "a hook tool still ran when start of shop/0 had ended" in caplog.text


async def test_a_tool_that_does_not_let_itself_be_ended_is_left_behind(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = FakeClock()
    async with ToolServer(tmp_path / "agent.socket", clock=clock) as server:
        bench = Bench(server, FakeContext(), Tools(), tmp_path)
        bench.tools.is_stubborn = True
        async with server.serving(bench.context, bench.tools.mapping()):
            running = asyncio.ensure_future(call(bench, "wait"))
            await within(bench.tools.begun.wait())

            async def twice() -> None:
                await clock.wait_advance(GUARD_SECONDS)
                await clock.wait_advance(GUARD_SECONDS)

            later = asyncio.ensure_future(twice())
        await later
        await within(running)

    assert "a hook tool does not end, start of shop/0 goes on" in caplog.text


async def test_a_tool_that_waits_to_read_ends_with_its_hook_at_once(tmp_path: Path) -> None:
    async with ToolServer(tmp_path / "agent.socket", clock=FakeClock()) as server:
        bench = Bench(server, FakeContext(), Tools(), tmp_path)
        async with Raw(bench.path) as reader:
            async with server.serving(bench.context, bench.tools.mapping()):
                await reader.send(bench.request("cat"))
                await within(bench.tools.begun.wait())
            answer = await reader.receive()

    assert answer == encode_message(b"R", b"-") + refused(b"start has ended, and cat with it")
    assert bench.journal == []


async def test_leaving_under_a_cancellation_ends_the_calls_too(tmp_path: Path) -> None:
    async with ToolServer(tmp_path / "agent.socket", clock=FakeClock()) as server:
        bench = Bench(server, FakeContext(), Tools(), tmp_path)

        async def hook() -> None:
            async with server.serving(bench.context, bench.tools.mapping()):
                await asyncio.Event().wait()

        running = asyncio.ensure_future(hook())
        await asyncio.sleep(0)
        calling = asyncio.ensure_future(call(bench, "wait"))
        await within(bench.tools.begun.wait())
        running.cancel()
        await until(lambda: not server._contexts)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

        assert await within(calling) == encode_result(1, b"", OVER)
    assert bench.journal == ["begin", "cancelled"]


async def test_the_end_of_the_server_ends_all_calls(tmp_path: Path) -> None:
    async with benched(tmp_path / "agent.socket", tmp_path) as bench, Raw(bench.path) as half:
        await half.send(MAGIC)
        running = asyncio.ensure_future(call(bench, "wait"))
        await within(bench.tools.begun.wait())
        await until(lambda: len(bench.server._clients) == 2)

        await bench.server.__aexit__(None, None, None)

        assert await within(running) == b""
        assert await half.receive() == b""
        assert bench.journal == ["begin", "cancelled"]


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"bad request: it does not begin as one of a hook tool does"),
        (b"\0" * 100, b"bad request: it does not begin as one of a hook tool does"),
        (REQUEST_HEADER.pack(MAGIC, 0), b"bad request: it does not end as it should"),
        (REQUEST_HEADER.pack(MAGIC, 3) + b"abc", b"bad request: it does not end as it should"),
        (REQUEST_HEADER.pack(MAGIC, 2) + b"a\0", b"bad request: it is incomplete"),
        (REQUEST_HEADER.pack(MAGIC, 6) + b"\0a\0/b\0", b"bad request: no context id"),
        (REQUEST_HEADER.pack(MAGIC, 6) + b"a\0\0/b\0", b"bad request: no command"),
        (REQUEST_HEADER.pack(MAGIC, 6) + b"a\0b\0c\0", b"bad request: the folder is not absolute"),
        (REQUEST_HEADER.pack(MAGIC, 5) + b"a\0b\0\0", b"bad request: the folder is not absolute"),
        (REQUEST_HEADER.pack(MAGIC, 2) + b"a\0more", b"bad request: more follows than it said"),
        (REQUEST_HEADER.pack(MAGIC, 0xFFFFFFFF), b"bad request: its 4294967295 bytes are more than"),
    ],
)
async def test_a_request_that_is_none_is_refused(clientless: Bench, request_: bytes, message: bytes) -> None:
    async with Raw(clientless.path) as client:
        await client.send(request_)
        answer = await client.receive()

    assert b"ERROR " + message in answer
    assert await call(clientless, "say", "x") == encode_result(0, b"x\n", b"")


async def test_ten_megabytes_of_arguments_are_refused(clientless: Bench) -> None:
    request = clientless.request("say", *["x" * 100_000] * 100)
    assert len(request) > LARGEST_REQUEST
    async with Raw(clientless.path) as client:
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            await client.send(request)
        answer = await client.receive()

    assert b"are more than the" in answer
    assert clientless.journal == []


async def test_megabytes_of_arguments_are_taken(clientless: Bench) -> None:
    answer = await call(clientless, "say", *["x" * 100_000] * 60)

    assert answer[MESSAGE_HEADER.size] == 0
    assert len(answer) > 6_000_000


async def test_a_request_in_single_bytes_is_taken(clientless: Bench) -> None:
    async with Raw(clientless.path) as client:
        for byte in clientless.request("say", "slow"):
            await client.send(bytes([byte]))
            await asyncio.sleep(0)
        answer = await client.receive()

    assert answer == encode_result(0, b"slow\n", b"")


async def test_half_a_request_is_given_up_in_time(tmp_path: Path) -> None:
    clock = FakeClock()
    async with benched(tmp_path / "agent.socket", tmp_path, clock=clock) as bench, Raw(bench.path) as client:
        await client.send(bench.request("say", "x")[:-1])

        await clock.wait_advance(REQUEST_SECONDS)

        assert await client.receive() == refused(b"no whole request came within 10 s")
        assert bench.journal == []


async def test_who_goes_on_slowly_has_no_more_time(tmp_path: Path) -> None:
    clock = FakeClock()
    async with benched(tmp_path / "agent.socket", tmp_path, clock=clock) as bench, Raw(bench.path) as client:
        for _ in range(4):
            await client.send(b"UCT1"[:1] if not bench.server._clients else b"")
            await clock.wait_advance(REQUEST_SECONDS / 4)

        assert await client.receive() == refused(b"no whole request came within 10 s")


async def test_who_does_not_take_the_answer_is_given_up(tmp_path: Path) -> None:
    clock = FakeClock()
    async with benched(tmp_path / "agent.socket", tmp_path, clock=clock) as bench, Raw(bench.path) as client:
        await client.send(bench.request("say", *["x" * 100_000] * 30))
        await until(lambda: len(bench.journal) == 1)

        await clock.wait_advance(SEND_SECONDS)

        await until(lambda: not bench.server._clients)
        # And nobody has waited for it.
        assert await call(bench, "say", "x") == encode_result(0, b"x\n", b"")


async def test_what_is_no_part_of_a_file_ends_the_tool(clientless: Bench) -> None:
    async with Raw(clientless.path) as client:
        await client.send(clientless.request("cat"))
        await within(clientless.tools.begun.wait())
        await client.send(b"nonsense")
        answer = await client.receive()

    assert answer == encode_message(b"R", b"-") + refused(b"bad request: the answer is no part of a file")


async def test_a_part_that_is_too_large_ends_the_tool(clientless: Bench) -> None:
    async with Raw(clientless.path) as client:
        await client.send(clientless.request("cat"))
        await within(clientless.tools.begun.wait())
        await client.send(MESSAGE_HEADER.pack(b"D", 0xFFFFFFFF))
        answer = await client.receive()

    assert answer == encode_message(b"R", b"-") + refused(b"bad request: the answer is no part of a file")


async def test_thousands_of_idle_connections_do_not_keep_a_call_out(clientless: Bench) -> None:
    idle = [Raw(clientless.path) for _ in range(500)]
    most = 0
    try:
        for _ in range(4):  # 2,000 in all, as many at once as this process may have files open.
            for client in idle:
                await client.__aenter__()
                await asyncio.sleep(0)
                most = max(most, len(clientless.server._clients))
            answer = await within(call(clientless, "say", "x"))
            assert answer == encode_result(0, b"x\n", b"")
            for number, client in enumerate(idle):
                await client.__aexit__()
                idle[number] = Raw(clientless.path)
                await asyncio.sleep(0)
    finally:
        for client in idle:
            client.socket.close()

    assert most < MOST_CLIENTS + 10


async def test_more_calls_than_may_be_connected_are_all_answered(clientless: Bench) -> None:
    calls = await started(call(clientless, "say", str(number)) for number in range(MOST_CLIENTS + 50))

    answers = [await within(one) for one in calls]

    assert answers == [encode_result(0, f"{number}\n".encode(), b"") for number in range(MOST_CLIENTS + 50)]


async def test_calls_wait_at_the_door_while_all_places_wait_for_their_turn(clientless: Bench) -> None:
    calls = await started(call(clientless, "wait") for _ in range(MOST_CLIENTS + 5))
    await until(lambda: len(clientless.server._clients) == MOST_CLIENTS and not clientless.server._is_accepting)

    clientless.tools.gate.set()
    answers = [await within(one) for one in calls]

    assert set(answers) == {encode_result(0, b"", b"")}


async def test_too_much_announced_at_once_is_refused(clientless: Bench) -> None:
    announced = [Raw(clientless.path) for _ in range(9)]
    try:
        for client in announced:
            await client.__aenter__()
            await client.send(REQUEST_HEADER.pack(MAGIC, LARGEST_REQUEST))
        refusal = await announced[-1].receive()
    finally:
        for client in announced:
            client.socket.close()

    assert refusal == refused(b"bad request: too much is being asked at once; try again later")


@contextmanager
def no_descriptors() -> Iterator[None]:
    """This process has as many files open as it may, while the block runs."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(entry.name) for entry in Path("/proc/self/fd").iterdir())
    filled = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, limits[1]))
    try:
        with contextlib.suppress(OSError):
            while True:
                filled.append(os.dup(0))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for fd in filled:
            os.close(fd)


async def test_a_process_out_of_descriptors_takes_calls_again_when_it_has_some(tmp_path: Path) -> None:
    clock = FakeClock()
    late = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    late.setblocking(False)
    async with benched(tmp_path / "agent.socket", tmp_path, clock=clock) as bench:
        with no_descriptors():
            late.connect(str(bench.path))
            await until(lambda: not bench.server._is_accepting)

        await clock.wait_advance(1.0)
        await asyncio.get_running_loop().sock_sendall(late, bench.request("say", "late"))

        await until(lambda: bench.journal == ["say late"])
    late.close()


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
async def test_another_user_is_refused_even_where_the_file_lets_it_in(clientless: Bench) -> None:
    for folder in takewhile(lambda each: not each.stat().st_mode & stat.S_IXOTH, clientless.path.parents):
        folder.chmod(0o755)
    clientless.path.chmod(0o666)
    program = (
        "import os, socket, sys; os.setuid(65534)\n"
        "s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n"
        "sys.stdout.buffer.write(s.recv(1000))"
    )
    argv = [os.path.realpath(sys.executable), "-I", "-S", "-c", program, str(clientless.path)]

    done = await SystemProcess().run(argv, timeout=PATIENCE)

    assert done.stdout == refused(b"only the agent's user may call hook tools")
