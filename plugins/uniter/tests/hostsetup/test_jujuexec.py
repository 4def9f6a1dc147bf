"""juju-exec as charms call it: the program, against a unit's socket."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from undercroft.process import SystemProcess
from undercroft_hookspecs import Completed
from undercroft_uniter.commandsqueue import SocketCommands
from undercroft_uniter.hostsetup import placing
from undercroft_uniter.hostsetup.programs import programs
from undercroft_uniter.seams import Commands, CommandsEnding

MODEL = "5c25b75a-f4fa-4c63-b930-52300adb02ce"
OTHER = "6c25b75a-f4fa-4c63-b930-52300adb02ce"


class Machine:
    """A machine with juju-exec, and with units that are not there."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.lock = folder / "lock"
        self.program, *_ = placing.put(folder / "root", programs(self.data, lock=self.lock))

    def folder(self, unit: str, model: str = MODEL) -> Path:
        """The folder of a unit, made."""
        folder = self.data / "models" / model / "agents" / unit
        folder.mkdir(parents=True)
        return folder

    async def exec(self, *arguments: str, environment: Mapping[str, str] | None = None) -> Completed:
        """Run juju-exec to its end."""
        env = {"PATH": os.environ["PATH"], **(environment or {})}
        return await SystemProcess().run([str(self.program), *arguments], timeout=30, check=False, env=env)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    (tmp_path / "root").mkdir()
    return Machine(tmp_path)


@asynccontextmanager
async def unit(folder: Path, ending: CommandsEnding | None) -> AsyncIterator[list[Commands]]:
    """A unit whose agent answers all commands so, or, with None, not at all; what it was asked."""
    asked: list[Commands] = []
    async with SocketCommands(folder / "run.socket") as commands:

        def answer() -> None:
            for number in commands.numbers():
                asked.append(commands.get(number))
                if ending is not None:
                    commands.answer(number, ending)

        commands.on_change(answer)
        yield asked


@pytest.mark.parametrize("name", ["shop/0", "unit-shop-0"])
async def test_commands_are_run_in_the_unit_and_their_output_and_status_passed_on(machine: Machine, name: str) -> None:
    ending = CommandsEnding(returncode=4, stdout=b"out\xff\n", stderr=b"err\n")
    async with unit(machine.folder("unit-shop-0"), ending) as asked:
        done = await machine.exec(name, "echo hello")

    assert (done.returncode, done.stdout, done.stderr) == (4, b"out\xff\n", b"err\n")
    assert asked == [Commands(text="echo hello")]


async def test_the_relation_and_the_remote_unit_are_handed_on(machine: Machine) -> None:
    async with unit(machine.folder("unit-shop-0"), CommandsEnding(returncode=0)) as asked:
        await machine.exec("-r", "db:4", "shop/0", "true")
        await machine.exec("shop/0", "true", "--relation=4", "--remote-unit", "mysql/1", "--force-remote-unit")

    assert asked == [
        Commands(text="true", relation=4),
        Commands(text="true", relation=4, remote_unit="mysql/1", force_remote_unit=True),
    ]


async def test_why_commands_could_not_be_run_is_said(machine: Machine) -> None:
    ending = CommandsEnding(returncode=0, stdout=b"done\n", failure="cannot write the changes")
    async with unit(machine.folder("unit-shop-0"), ending):
        done = await machine.exec("shop/0", "true")

    assert (done.returncode, done.stdout) == (1, b"done\n")
    assert done.stderr == b"ERROR cannot write the changes\n"


async def test_commands_killed_by_a_signal_end_as_a_shell_says_it(machine: Machine) -> None:
    async with unit(machine.folder("unit-shop-0"), CommandsEnding(returncode=-9)):
        done = await machine.exec("shop/0", "kill -9 $$")

    assert done.returncode == 137


async def test_who_waits_when_the_agent_stops_is_told(machine: Machine) -> None:
    async with unit(machine.folder("unit-shop-0"), None) as asked:
        waiting = asyncio.create_task(machine.exec("shop/0", "true"))
        async with asyncio.timeout(30):
            while not asked:
                await asyncio.sleep(0.01)
    done = await waiting

    assert (done.returncode, done.stderr) == (1, b"ERROR command execution aborted\n")


async def test_large_commands_and_output_come_through(machine: Machine) -> None:
    text = "x" * 100_000
    async with unit(machine.folder("unit-shop-0"), CommandsEnding(returncode=0, stdout=b"y" * 3_000_000)) as asked:
        done = await machine.exec("shop/0", text)

    assert len(done.stdout) == 3_000_000
    assert asked == [Commands(text=text)]


async def test_it_is_refused_inside_a_hook(machine: Machine) -> None:
    done = await machine.exec("shop/0", "true", environment={"JUJU_CONTEXT_ID": "shop/0-start-1"})

    assert done.returncode == 1
    assert done.stderr.startswith(b"ERROR juju-exec cannot be called from within a hook")


async def test_a_unit_that_is_not_there_is_named(machine: Machine) -> None:
    done = await machine.exec("shop/7", "true")

    assert done.returncode == 1
    assert b'unit "shop/7" not found on this machine' in done.stderr


async def test_a_unit_without_an_agent_is_named(machine: Machine) -> None:
    machine.folder("unit-shop-0")

    done = await machine.exec("shop/0", "true")

    assert done.returncode == 1
    assert done.stderr.startswith(b"ERROR the agent of the unit is not running")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "missing unit-name"),
        (["shop/0"], "missing commands"),
        (["--no-context"], "missing commands"),
        (["shop/0", "true", "false"], "unrecognized args: ['false']"),
        (["shop", "true"], '"shop" is not a valid unit'),
        (["shop/x", "true"], '"shop/x" is not a valid unit'),
        (["unit-shop", "true"], '"unit-shop" is not a valid unit'),
        (["../shop/0", "true"], '"../shop/0" is not a valid unit'),
        (["unit-../../x-0", "true"], '"unit-../../x-0" is not a valid unit'),
        (["-r", "db:x", "shop/0", "true"], 'invalid relation id "db:x"'),
        (["-r", "-1", "shop/0", "true"], 'invalid relation id "-1"'),
        (["--remote-unit", "mysql/0", "shop/0", "true"], "remote unit provided without a relation: mysql/0"),
        (["--colour", "shop/0", "true"], "option provided but not defined: --colour"),
        (["shop/0", "true", "--model"], "option needs an argument: --model"),
    ],
)
async def test_a_command_line_that_is_not_understood_exits_2(
    machine: Machine, arguments: list[str], message: str
) -> None:
    done = await machine.exec(*arguments)

    assert done.returncode == 2
    assert done.stderr.decode().startswith(f"ERROR {message}")


async def test_of_units_of_one_name_the_model_is_to_be_said(machine: Machine) -> None:
    machine.folder("unit-shop-0", OTHER)
    async with unit(machine.folder("unit-shop-0"), CommandsEnding(returncode=0, stdout=b"here\n")):
        ambiguous = await machine.exec("shop/0", "true")
        chosen = await machine.exec("--model", MODEL, "shop/0", "true")

    assert (ambiguous.returncode, chosen.stdout) == (1, b"here\n")
    assert f"several models have such a unit: say --model and one of {MODEL}, {OTHER}" in ambiguous.stderr.decode()


async def test_another_data_folder_can_be_said(machine: Machine, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere" / "models" / MODEL / "agents" / "unit-shop-0"
    folder.mkdir(parents=True)
    async with unit(folder, CommandsEnding(returncode=0, stdout=b"elsewhere\n")):
        done = await machine.exec("shop/0", "true", environment={"UNDERCROFT_DATA": str(tmp_path / "elsewhere")})

    assert done.stdout == b"elsewhere\n"


async def test_without_a_context_commands_are_run_here(machine: Machine) -> None:
    done = await machine.exec("--no-context", 'echo "$JUJU_UNIT_NAME|hello"; echo no >&2; exit 5')

    assert (done.returncode, done.stdout, done.stderr) == (5, b"|hello\n", b"no\n")


@pytest.mark.root
async def test_without_a_context_commands_wait_for_the_hook_that_runs(machine: Machine) -> None:
    lock = os.open(machine.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting = asyncio.create_task(machine.exec("--no-context", "echo hello"))
        finished, _ = await asyncio.wait((waiting,), timeout=0.3)
        assert not finished
    finally:
        os.close(lock)

    assert (await waiting).stdout == b"hello\n"


async def test_it_says_how_it_is_used(machine: Machine) -> None:
    done = await machine.exec("--help")

    assert done.returncode == 0
    assert done.stdout.startswith(b"Usage: juju-exec")
