"""The socket at which juju-exec asks for commands to be run."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from undercroft_hookspecs import NotFoundError
from undercroft_uniter import commandsqueue
from undercroft_uniter.commandsqueue import SocketCommands
from undercroft_uniter.seams import Commands, CommandsEnding

PATIENCE = 30.0
DONE = CommandsEnding(returncode=3, stdout=b"out\xff", stderr=b"err")


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def listening(folder: Path) -> AsyncIterator[tuple[SocketCommands, Path]]:
    """A queue that listens, and where."""
    path = folder / "run.socket"
    async with SocketCommands(path) as commands:
        yield commands, path


async def ask(path: Path, request: bytes) -> dict[str, object]:
    """What is answered to a request; empty if nothing is."""
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_unix_connection(path, limit=1 << 26)
        try:
            writer.write(request)
            await writer.drain()
            line = await reader.readline()
        except ConnectionError:
            return {}
        finally:
            writer.close()
    answer = json.loads(line) if line else {}
    assert isinstance(answer, dict)
    return answer


def request(text: str = "true", **fields: object) -> bytes:
    """A request."""
    return json.dumps({"commands": text, **fields}).encode() + b"\n"


async def test_who_asks_is_told_the_status_and_the_output(tmp_path: Path) -> None:
    async with listening(tmp_path) as (commands, path):
        asking = asyncio.create_task(ask(path, request("ls", relation=4, remote_unit="db/0", force_remote_unit=True)))
        await until(lambda: bool(commands.numbers()))
        (number,) = commands.numbers()
        wanted = commands.get(number)
        commands.answer(number, DONE)
        answer = await asking

    assert wanted == Commands(text="ls", relation=4, remote_unit="db/0", force_remote_unit=True)
    assert answer == {"returncode": 3, "stdout": "b3V0/w==", "stderr": "ZXJy", "failure": ""}
    assert commands.numbers() == ()


async def test_the_unit_is_told_of_new_commands(tmp_path: Path) -> None:
    told = asyncio.Event()
    async with listening(tmp_path) as (commands, path):
        commands.on_change(told.set)
        asking = asyncio.create_task(ask(path, request()))
        async with asyncio.timeout(PATIENCE):
            await told.wait()
        commands.answer(commands.numbers()[0], DONE)
        await asking


async def test_those_that_wait_are_in_the_order_in_which_they_came(tmp_path: Path) -> None:
    async with listening(tmp_path) as (commands, path):
        asking = []
        for text in ("one", "two", "three"):
            asking.append(asyncio.create_task(ask(path, request(text))))
            await until(lambda: len(commands.numbers()) == len(asking))
        order = [commands.get(number).text for number in commands.numbers()]
        for number in reversed(commands.numbers()):
            commands.answer(number, CommandsEnding(returncode=number))
        answers = await asyncio.gather(*asking)

    assert order == ["one", "two", "three"]
    assert [answer["returncode"] for answer in answers] == [1, 2, 3]


async def test_who_does_not_wait_any_more_is_forgotten(tmp_path: Path) -> None:
    async with listening(tmp_path) as (commands, path):
        asking = asyncio.create_task(ask(path, request()))
        await until(lambda: bool(commands.numbers()))
        (number,) = commands.numbers()
        asking.cancel()
        await until(lambda: not commands.numbers())

        with pytest.raises(NotFoundError, match="nobody waits"):
            commands.get(number)
        commands.answer(number, DONE)


async def test_who_waits_when_it_ends_is_told_that_nothing_came_of_it(tmp_path: Path) -> None:
    async with listening(tmp_path) as (commands, path):
        asking = asyncio.create_task(ask(path, request()))
        await until(lambda: bool(commands.numbers()))
    answer = await asking

    assert (answer["returncode"], answer["failure"]) == (1, "command execution aborted")
    assert not path.exists()


async def test_who_says_nothing_does_not_hold_up_the_end(tmp_path: Path) -> None:
    silent = socket.socket(socket.AF_UNIX)
    async with listening(tmp_path) as (_, path):
        silent.connect(str(path))
        await ask(path, b"\n")  # When this was served, the one before it is being waited for.
        loop = asyncio.get_running_loop()
        before = loop.time()

    assert loop.time() - before < commandsqueue.REQUEST_SECONDS / 2
    silent.close()


async def test_a_left_over_socket_is_replaced(tmp_path: Path) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "run.socket"))
    left.close()

    async with listening(tmp_path) as (commands, path):
        asking = asyncio.create_task(ask(path, request()))
        await until(lambda: bool(commands.numbers()))
        commands.answer(commands.numbers()[0], DONE)

        assert (await asking)["returncode"] == 3


async def test_what_is_no_socket_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "run.socket").write_text("theirs")

    with pytest.raises(FileExistsError, match=r"run\.socket"):
        async with listening(tmp_path):
            pass

    assert (tmp_path / "run.socket").read_text() == "theirs"


async def test_only_the_user_may_connect(tmp_path: Path) -> None:
    async with listening(tmp_path) as (_, path):
        assert path.stat().st_mode & 0o777 == 0o600


async def test_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commandsqueue, "_may_ask", lambda _: False)
    async with listening(tmp_path) as (commands, path):
        answer = await ask(path, request())

        assert commands.numbers() == ()
    assert "only root and the agent's own user" in str(answer["failure"])


@pytest.mark.parametrize(
    "bad",
    [
        b"\n",
        b"{}\n",
        b"[]\n",
        b"\xff\xfe\n",
        b'{"commands": 3}\n',
        b'{"commands": "ls", "relation": "x"}\n',
        b'{"commands": "ls", "colour": "red"}\n',
        b"[" * 100_000 + b"\n",
    ],
)
async def test_what_is_no_request_is_refused_and_the_next_one_is_served(tmp_path: Path, bad: bytes) -> None:
    async with listening(tmp_path) as (commands, path):
        refused = await ask(path, bad)
        asking = asyncio.create_task(ask(path, request()))
        await until(lambda: bool(commands.numbers()))
        commands.answer(commands.numbers()[0], DONE)
        served = await asking

    assert "not understood" in str(refused["failure"])
    assert served["returncode"] == 3


async def test_a_request_without_an_end_is_refused(tmp_path: Path) -> None:
    async with listening(tmp_path) as (commands, path):
        answer = await ask(path, b"x" * (commandsqueue.MOST_BYTES * 3))

        assert commands.numbers() == ()
    assert answer.get("failure", "the request is not whole, or too long") == "the request is not whole, or too long"
