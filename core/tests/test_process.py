from __future__ import annotations

import asyncio
import os
import shlex
import signal
import sys
from pathlib import Path

import pytest

from undercroft.process import OutputTooLargeError, SystemProcess
from undercroft_hookspecs.agent import CommandFailedError, Completed, Process
from undercroft_hookspecs.errors import NotFoundError, NotValidError

PATIENCE = 30.0


def python(code: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", code]


def is_running(pid: int) -> bool:
    """Whether there is such a process that is not dead: the children of a killed shell may be zombies of pid 1."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def until_gone(pid: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while is_running(pid):
            await asyncio.sleep(0.01)


async def until_written(path: Path) -> str:
    async with asyncio.timeout(PATIENCE):
        while not (path.exists() and path.read_text().endswith("\n")):
            await asyncio.sleep(0.01)
    return path.read_text().strip()


class OnceClock:
    """A clock whose sleepers sleep until `ring`; it counts them."""

    def __init__(self) -> None:
        self.sleeping: list[float] = []
        self._rung = asyncio.Event()
        self.begun = asyncio.Event()

    def monotonic(self) -> float:
        return 0.0

    def now(self):  # type: ignore[no-untyped-def]
        raise NotImplementedError

    def ring(self) -> None:
        self._rung.set()

    async def sleep(self, delay: float) -> None:
        self.sleeping.append(delay)
        self.begun.set()
        await self._rung.wait()


def test_it_is_the_process_of_the_contract() -> None:
    assert isinstance(SystemProcess(), Process)


async def test_output_errors_and_status_are_told_apart() -> None:
    command = ["sh", "-c", "echo out; echo err >&2; exit 3"]

    done = await SystemProcess().run(command, timeout=PATIENCE, check=False)

    assert done == Completed(tuple(command), 3, b"out\n", b"err\n")


async def test_a_failing_command_is_an_error_that_quotes_what_it_said() -> None:
    with pytest.raises(CommandFailedError, match="sh exited 3: err") as caught:
        await SystemProcess().run(["sh", "-c", "echo err >&2; exit 3"], timeout=PATIENCE)

    assert caught.value.completed.returncode == 3


async def test_death_by_a_signal_is_a_negative_status() -> None:
    done = await SystemProcess().run(["sh", "-c", "kill -TERM $$"], timeout=PATIENCE, check=False)

    assert done.returncode == -signal.SIGTERM


async def test_input_and_output_of_megabytes_cross_without_a_deadlock() -> None:
    data = os.urandom(1024 * 1024) * 8

    done = await SystemProcess().run(["cat"], timeout=PATIENCE, stdin=data)

    assert done.stdout == data


async def test_a_program_that_reads_none_of_its_input_is_no_error() -> None:
    done = await SystemProcess().run(["true"], timeout=PATIENCE, stdin=b"x" * 1024 * 1024)

    assert done.returncode == 0


async def test_without_input_stdin_is_at_its_end() -> None:
    done = await SystemProcess().run(["cat"], timeout=PATIENCE)

    assert done.stdout == b""


async def test_the_locale_is_c_and_the_environment_is_added_to() -> None:
    done = await SystemProcess().run(["env"], timeout=PATIENCE, env={"GREETING": "hello you"})

    lines = done.stdout.decode().splitlines()
    assert "LC_ALL=C" in lines
    assert "GREETING=hello you" in lines
    assert f"HOME={os.environ['HOME']}" in lines


async def test_the_caller_may_choose_another_locale() -> None:
    done = await SystemProcess().run(["env"], timeout=PATIENCE, env={"LC_ALL": "C.UTF-8"})

    assert "LC_ALL=C.UTF-8" in done.stdout.decode().splitlines()


async def test_system_programs_are_found_by_a_user_who_has_not_got_their_folders(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")

    done = await SystemProcess().run(["sh", "-c", "echo $PATH"], timeout=PATIENCE)

    assert done.stdout.decode().strip() == "/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"


async def test_a_path_that_the_caller_sets_is_left_alone() -> None:
    done = await SystemProcess().run(["sh", "-c", "echo $PATH"], timeout=PATIENCE, env={"PATH": "/bin:/usr/bin"})

    assert done.stdout == b"/bin:/usr/bin\n"


async def test_no_shell_reads_the_words() -> None:
    done = await SystemProcess().run(["echo", "$HOME; *", "`id`"], timeout=PATIENCE)

    assert done.stdout == b"$HOME; * `id`\n"


async def test_it_runs_in_the_folder_asked_for(tmp_path: Path) -> None:
    done = await SystemProcess().run(["pwd"], timeout=PATIENCE, cwd=tmp_path)

    assert done.stdout.decode().strip() == str(tmp_path.resolve())


async def test_the_program_leads_a_session_of_its_own() -> None:
    done = await SystemProcess().run(python("import os; print(os.getpid(), os.getpgrp(), os.getsid(0))"), timeout=9.0)

    pid, group, session = done.stdout.split()
    assert pid == group == session


async def test_no_descriptor_of_the_agent_is_inherited() -> None:
    done = await SystemProcess().run(["sh", "-c", "echo /proc/self/fd/*"], timeout=PATIENCE)

    assert set(done.stdout.decode().split()) <= {f"/proc/self/fd/{fd}" for fd in (0, 1, 2, 3)}


async def test_a_missing_executable_is_named() -> None:
    with pytest.raises(NotFoundError, match="no program 'undercroft-no-such-program'") as caught:
        await SystemProcess().run(["undercroft-no-such-program", "-x"], timeout=PATIENCE)

    assert caught.value.name == "undercroft-no-such-program"


async def test_a_script_without_its_interpreter_is_said_to_lack_it(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o700)

    with pytest.raises(NotFoundError, match="its interpreter") as caught:
        await SystemProcess().run([str(script)], timeout=PATIENCE)

    assert caught.value.name == str(script)


@pytest.mark.parametrize("content", ["", "#!/bin/sh\n"])
async def test_what_cannot_be_executed_is_refused(tmp_path: Path, content: str) -> None:
    script = tmp_path / "script"
    script.write_text(content)
    script.chmod(0o600 if content else 0o700)

    with pytest.raises(NotValidError, match=f"cannot run {script}: ") as caught:
        await SystemProcess().run([str(script)], timeout=PATIENCE)

    assert caught.value.field == "argv"


@pytest.mark.parametrize("argv", [[], "true", ["true", "a\0b"], ["true", "x" * 3_000_000]])
async def test_what_is_no_command_is_refused(argv: list[str] | str) -> None:
    with pytest.raises(NotValidError) as caught:
        await SystemProcess().run(argv, timeout=PATIENCE)

    assert caught.value.field == "argv"


@pytest.mark.parametrize("timeout", [0.0, -1.0, float("nan")])
async def test_a_timeout_that_is_no_time_is_refused(timeout: float) -> None:
    with pytest.raises(NotValidError) as caught:
        await SystemProcess().run(["true"], timeout=timeout)

    assert caught.value.field == "timeout"


async def test_a_missing_working_folder_is_not_taken_for_a_missing_program(tmp_path: Path) -> None:
    with pytest.raises(NotValidError, match="cannot run true in") as caught:
        await SystemProcess().run(["true"], timeout=PATIENCE, cwd=tmp_path / "absent")

    assert caught.value.field == "cwd"


async def test_a_timeout_kills_the_whole_group_and_names_the_command(tmp_path: Path) -> None:
    clock, pids = OnceClock(), tmp_path / "pids"
    script = f"echo half way >&2; sleep 100 & echo $$ $! > {shlex.quote(str(pids))}; wait"
    run = asyncio.ensure_future(SystemProcess(clock=clock).run(["sh", "-c", script], timeout=7.5))
    leader, child = (await until_written(pids)).split()

    clock.ring()
    with pytest.raises(TimeoutError, match=r"^sh -c .* took longer than 7.5 s and was killed; it said: half way$"):
        await run

    assert not Path(f"/proc/{leader}").exists()
    await until_gone(int(child))
    assert clock.sleeping == [7.5]


async def test_cancelling_kills_the_whole_group_and_reaps_it_first(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"trap '' TERM INT; sleep 100 & echo $$ $! > {shlex.quote(str(pids))}; wait"
    run = asyncio.ensure_future(SystemProcess().run(["sh", "-c", script], timeout=PATIENCE))
    leader, child = (await until_written(pids)).split()

    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run

    assert not Path(f"/proc/{leader}").exists()
    await until_gone(int(child))


async def test_a_second_cancellation_while_it_is_reaped_leaves_nothing_behind(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"echo $$ > {shlex.quote(str(pids))}; exec sleep 100"
    run = asyncio.ensure_future(SystemProcess().run(["sh", "-c", script], timeout=PATIENCE))
    leader = await until_written(pids)

    run.cancel()
    loop = asyncio.get_running_loop()
    loop.call_soon(lambda: loop.call_soon(run.cancel))
    with pytest.raises(asyncio.CancelledError):
        await run

    assert not Path(f"/proc/{leader}").exists()


async def test_a_child_left_behind_with_the_output_open_delays_the_answer_no_longer_than_the_drain(
    tmp_path: Path,
) -> None:
    clock, pids = OnceClock(), tmp_path / "pids"
    script = f"echo said; sleep 100 & echo $! > {shlex.quote(str(pids))}"
    run = asyncio.ensure_future(SystemProcess(clock=clock).run(["sh", "-c", script], timeout=PATIENCE))
    child = int(await until_written(pids))

    async with asyncio.timeout(PATIENCE):
        while len(clock.sleeping) < 2:
            await asyncio.sleep(0.01)
    clock.ring()
    done = await run

    assert done.stdout == b"said\n"
    assert clock.sleeping == [PATIENCE, 1.0]
    assert is_running(child)
    os.kill(child, signal.SIGKILL)


async def test_a_program_that_never_stops_writing_is_killed() -> None:
    with pytest.raises(OutputTooLargeError, match=r"^yes wrote more than 100000 bytes") as caught:
        await SystemProcess(max_output=100_000).run(["yes"], timeout=PATIENCE)

    assert caught.value.limit == 100_000


async def test_two_hundred_at_once_are_all_right(tmp_path: Path) -> None:
    process, gate = SystemProcess(), tmp_path / "gate"
    os.mkfifo(gate)
    runs: list[asyncio.Task[Completed]] = []
    for n in range(200):
        script = f"cat; echo {n} >&2; read line < {shlex.quote(str(gate))}"
        run = process.run(["sh", "-c", script], stdin=b"%d" % n, timeout=PATIENCE, check=False)
        runs.append(asyncio.ensure_future(run))
        await asyncio.sleep(0)  # Making two hundred tasks in one go takes the loop in debug mode a while.

    assert not any(run.done() for run in runs)
    opened = os.open(gate, os.O_RDWR)
    os.write(opened, b"go\n" * 200)
    answers = await asyncio.gather(*runs)
    os.close(opened)

    assert [(int(done.stdout), int(done.stderr)) for done in answers] == [(n, n) for n in range(200)]


async def test_a_child_that_cannot_be_watched_is_not_left_running(monkeypatch: pytest.MonkeyPatch) -> None:
    pids: list[int] = []

    def refuse(pid: int) -> int:
        pids.append(pid)
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("undercroft.process.spawning.open_pidfd", refuse)

    with pytest.raises(OSError, match="Too many open files"):
        await SystemProcess().run(["sleep", "100"], timeout=PATIENCE)

    assert not Path(f"/proc/{pids[0]}").exists()
