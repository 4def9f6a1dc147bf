from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from pathlib import Path

import pytest

from undercroft.process import LINE_BYTES, Lines, Program, how_ended
from undercroft_hookspecs.errors import NotFoundError, NotValidError

PATIENCE = 60.0
BARE = {"PATH": "/usr/bin:/bin"}


class Kept:
    """A sink that counts, and keeps the beginning."""

    def __init__(self) -> None:
        self.size = 0
        self.data = b""
        self.ends = 0

    def feed(self, chunk: bytes) -> None:
        self.size += len(chunk)
        if len(self.data) < 100_000:
            self.data += chunk

    def end(self) -> None:
        self.ends += 1


def shell(text: str, *, cwd: Path, stdin: bytes = b"") -> tuple[Program, Kept, Kept]:
    stdout, stderr = Kept(), Kept()
    argv = ["/bin/bash", "-c", text]
    return Program(argv, environment=BARE, cwd=cwd, stdout=stdout, stderr=stderr, stdin=stdin), stdout, stderr


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def until_written(path: Path) -> int:
    async with asyncio.timeout(PATIENCE):
        while not (path.exists() and path.read_text().endswith("\n")):
            await asyncio.sleep(0.01)
    return int(path.read_text())


async def test_both_streams_and_the_status_are_told_apart(tmp_path: Path) -> None:
    program, stdout, stderr = shell("echo out; echo err >&2; exit 42", cwd=tmp_path)

    code = await program.wait()

    assert (code, stdout.data, stderr.data) == (42, b"out\n", b"err\n")
    assert (stdout.ends, stderr.ends) == (1, 1)


async def test_nothing_of_the_environment_is_inherited(tmp_path: Path) -> None:
    stdout = Kept()
    program = Program(["/usr/bin/env"], environment={"ONE": "1"}, cwd=tmp_path, stdout=stdout, stderr=Kept())

    await program.wait()

    assert stdout.data == b"ONE=1\n"


async def test_it_runs_in_its_folder_and_reads_what_it_is_given(tmp_path: Path) -> None:
    program, stdout, _ = shell("pwd; cat", cwd=tmp_path, stdin=b"given")

    await program.wait()

    assert stdout.data == str(tmp_path).encode() + b"\ngiven"


async def test_without_input_stdin_is_at_its_end(tmp_path: Path) -> None:
    program, stdout, _ = shell("cat; echo over", cwd=tmp_path)

    await program.wait()

    assert stdout.data == b"over\n"


async def test_output_comes_while_the_program_runs(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    lines: list[str] = []
    came = asyncio.Event()

    def on_line(line: str) -> None:
        lines.append(line)
        came.set()

    program = Program(
        ["/bin/bash", "-c", "echo first; read -r _ < fifo; echo second"],
        environment=BARE,
        cwd=tmp_path,
        stdout=Lines(on_line),
        stderr=Kept(),
    )
    async with asyncio.timeout(PATIENCE):
        await came.wait()
    seen = list(lines)
    program.kill()
    await program.wait()

    assert seen == ["first"]


async def test_a_background_child_that_keeps_the_pipes_holds_nobody_up(tmp_path: Path) -> None:
    program, stdout, _ = shell("echo said; (sleep 1000; echo late) & echo $! > pid; exit 3", cwd=tmp_path)

    async with asyncio.timeout(PATIENCE):
        code = await program.wait()

    left = await until_written(tmp_path / "pid")
    assert (code, stdout.data) == (3, b"said\n")
    assert is_running(left)
    os.kill(left, signal.SIGKILL)


async def test_a_background_child_that_writes_without_end_holds_nobody_up(tmp_path: Path) -> None:
    program, stdout, _ = shell("yes & echo $! > pid", cwd=tmp_path)

    async with asyncio.timeout(PATIENCE):
        await program.wait()

    os.kill(await until_written(tmp_path / "pid"), signal.SIGKILL)
    assert stdout.ends == 1


async def test_what_the_program_wrote_itself_comes_whole_though_others_hold_the_pipes(tmp_path: Path) -> None:
    program, stdout, _ = shell("head -c 60000 /dev/zero; sleep 1000 & echo $! > pid", cwd=tmp_path)

    await program.wait()

    os.kill(await until_written(tmp_path / "pid"), signal.SIGKILL)
    assert stdout.size == 60_000


async def test_a_quarter_of_a_gigabyte_passes_through_little_memory(tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    program, stdout, _ = shell("head -c 268435456 /dev/zero", cwd=tmp_path)

    code = await program.wait()

    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert (code, stdout.size) == (0, 256 * 1024 * 1024)
    assert grown_kib < 32 * 1024


async def test_the_loop_has_its_turns_while_a_program_writes_nothing_but_empty_lines(tmp_path: Path) -> None:
    count = 0

    def on_line(_: str) -> None:
        nonlocal count
        count += 1

    program = Program(
        ["/bin/bash", "-c", "head -c 4000000 /dev/zero | tr '\\0' '\\n'"],
        environment=BARE,
        cwd=tmp_path,
        stdout=Lines(on_line),
        stderr=Kept(),
    )
    turns = 0
    waiting = asyncio.ensure_future(program.wait())
    while not waiting.done():
        turns += 1
        await asyncio.sleep(0)

    assert count == 4_000_000
    assert turns > 100


async def test_a_program_killed_from_outside_says_so(tmp_path: Path) -> None:
    program, _, _ = shell("kill -KILL $$", cwd=tmp_path)

    assert await program.wait() == -signal.SIGKILL


async def test_killing_takes_the_whole_group(tmp_path: Path) -> None:
    program, _, _ = shell("sleep 1000 & echo $! > pid; wait", cwd=tmp_path)
    child = await until_written(tmp_path / "pid")

    await program.killed()
    code = await program.wait()

    assert code == -signal.SIGKILL
    async with asyncio.timeout(PATIENCE):
        while is_running(child):
            await asyncio.sleep(0.01)


async def test_a_program_that_does_not_die_in_time_is_an_error_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, _, _ = shell("sleep 1000", cwd=tmp_path)

    with monkeypatch.context() as undying:
        undying.setattr("undercroft.process.spawning.Leader.kill_group", lambda _: None)
        with pytest.raises(TimeoutError, match=rf"sleep 1000.*pid {program.pid}.* runs still"):
            await program.killed(patience=0.01)

    program.kill()
    assert await program.wait() == -signal.SIGKILL


async def test_who_is_asked_to_end_ends_as_it_likes(tmp_path: Path) -> None:
    program, stdout, _ = shell("trap 'echo bye; exit 7' TERM; echo $$ > pid; sleep 1000 & wait", cwd=tmp_path)
    await until_written(tmp_path / "pid")

    program.end()
    code = await program.wait()

    assert (code, stdout.data) == (7, b"bye\n")


async def test_who_does_not_end_when_asked_to_is_killed(tmp_path: Path) -> None:
    program, _, _ = shell("trap '' TERM; echo $$ > pid; sleep 1000", cwd=tmp_path)
    await until_written(tmp_path / "pid")

    program.end(patience=0.05)
    program.end(patience=1000)

    assert await program.wait() == -signal.SIGKILL


async def test_killing_what_has_ended_does_nothing(tmp_path: Path) -> None:
    program, _, _ = shell("exit 7", cwd=tmp_path)
    await program.wait()

    program.end()
    program.kill()
    await program.killed()

    assert program.has_ended


async def test_a_cancelled_wait_leaves_neither_program_nor_zombie(tmp_path: Path) -> None:
    program, _, _ = shell("echo $$ > pid; sleep 1000", cwd=tmp_path)
    waiting = asyncio.ensure_future(program.wait())
    await asyncio.sleep(0)  # A task that is cancelled before it has begun would wait for nothing.
    await until_written(tmp_path / "pid")

    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    assert not Path(f"/proc/{program.pid}").exists()


async def test_a_second_cancellation_does_not_leave_the_program_running(tmp_path: Path) -> None:
    program, _, _ = shell("echo $$ > pid; sleep 1000", cwd=tmp_path)
    waiting = asyncio.ensure_future(program.wait())
    await asyncio.sleep(0)  # A task that is cancelled before it has begun would wait for nothing.
    await until_written(tmp_path / "pid")

    waiting.cancel()
    asyncio.get_running_loop().call_soon(waiting.cancel)
    with pytest.raises(asyncio.CancelledError):
        await waiting

    assert not Path(f"/proc/{program.pid}").exists()


async def test_a_missing_interpreter_is_told_from_a_missing_program(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)

    with pytest.raises(NotFoundError, match="interpreter"):
        Program([str(script)], environment=BARE, cwd=tmp_path, stdout=Kept(), stderr=Kept())
    with pytest.raises(NotFoundError, match="there is no program"):
        Program([str(tmp_path / "none")], environment=BARE, cwd=tmp_path, stdout=Kept(), stderr=Kept())


async def test_a_script_without_a_first_line_is_an_exec_format_error(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("echo hello\n")
    script.chmod(0o755)

    with pytest.raises(NotValidError, match="Exec format error"):
        Program([str(script)], environment=BARE, cwd=tmp_path, stdout=Kept(), stderr=Kept())


async def test_a_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotValidError, match=r"in .*/gone: No such file"):
        Program(["/bin/true"], environment=BARE, cwd=tmp_path / "gone", stdout=Kept(), stderr=Kept())


def lines_of(*chunks: bytes, limit: int = LINE_BYTES) -> list[str]:
    found: list[str] = []
    lines = Lines(found.append, limit=limit)
    for chunk in chunks:
        lines.feed(chunk)
    lines.end()
    return found


def test_lines_are_put_together_from_pieces() -> None:
    assert lines_of(b"on", b"e\ntw", b"o\n\nthree") == ["one", "two", "", "three"]


def test_a_line_of_just_the_limit_is_one_line() -> None:
    assert lines_of(b"x" * LINE_BYTES + b"\nmore\n") == ["x" * LINE_BYTES, "more"]


@pytest.mark.parametrize("size", [1, 100, 4096, 10_000])
def test_a_long_line_is_cut_at_the_limit_however_it_comes(size: int) -> None:
    data = b"x" * 10_000 + b"\n"

    found = lines_of(*(data[i : i + size] for i in range(0, len(data), size)))

    assert [len(line) for line in found] == [4096, 4096, 1808]


def test_a_character_is_not_cut() -> None:
    assert lines_of("aé€😀".encode() + b"\n", limit=4) == ["aé", "€", "😀"]


def test_what_is_no_text_is_replaced() -> None:
    assert lines_of(b"caf\xe9 \xff\xfe\n") == ["caf\ufffd \ufffd\ufffd"]


def test_bytes_that_never_begin_a_character_are_cut_at_the_limit() -> None:
    assert lines_of(b"\x80" * 9, limit=4) == ["\ufffd" * 4, "\ufffd" * 4, "\ufffd"]


@pytest.mark.parametrize(
    ("code", "words"), [(0, ""), (1, "exit status 1"), (-9, "signal: killed"), (-15, "signal: terminated")]
)
def test_an_ending_is_told_in_juju_s_words(code: int, words: str) -> None:
    assert how_ended(code) == words


async def test_many_at_once_leave_nothing_open(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))

    async def one() -> int:
        return await Program(
            [sys.executable, "-I", "-S", "-c", ""], environment=BARE, cwd=tmp_path, stdout=Kept(), stderr=Kept()
        ).wait()

    codes = await asyncio.gather(*(one() for _ in range(30)))

    assert codes == [0] * 30
    assert len(list(Path("/proc/self/fd").iterdir())) == before
