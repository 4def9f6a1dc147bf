"""Both clients, as processes, against the real server."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest
from plugins.uniter.tests.jujuc.bench import PATIENCE, Bench, FakeContext, Tools, benched, until

from undercroft.clock import SystemClock
from undercroft.process import SystemProcess
from undercroft_uniter.jujuc.connection import LARGEST_INPUT
from undercroft_uniter.jujuc.server import ToolServer
from undercroft_uniter.jujuc.toolfolder import CLIENT
from undercroft_uniter.jujuc.wire import RESULT_HEADER, encode_message


async def test_the_output_and_the_exit_status_are_the_tools(bench: Bench) -> None:
    done = await bench.run("say", "hello", "world")

    assert (done.returncode, done.stdout, done.stderr) == (0, b"hello world\n", b"")


async def test_an_absolute_path_is_the_tool_that_ends_it(bench: Bench, tmp_path: Path) -> None:
    link = tmp_path / "elsewhere" / "say"
    link.parent.mkdir()
    link.symlink_to(bench.folder / "say")

    done = await SystemProcess().run([str(link), "x"], timeout=PATIENCE, env=bench.environment())

    assert done.stdout == b"x\n"


async def test_arguments_arrive_as_they_were_given(bench: Bench) -> None:
    arguments = ["", " a  b ", "k=v=w", "new\nline", "grüße", '"quoted"', "$HOME", "*", "x" * 100_000]

    done = await bench.run("say", "--format=json", "--", *arguments)

    assert done.stdout.decode() == f'"{" ".join(arguments)}"\n'.replace('"quoted"', '\\"quoted\\"').replace(
        "new\nline", "new\\nline"
    )


async def test_bytes_that_are_no_text_are_replaced(bench: Bench) -> None:
    done = await bench.run("say", os.fsdecode(b"a\xffb"))

    assert done.stdout.decode() == "a�b\n"


async def test_the_folder_is_the_clients(bench: Bench, tmp_path: Path) -> None:
    done = await bench.run("where", cwd=tmp_path)

    assert done.stdout == os.fsencode(tmp_path)


async def test_a_folder_that_is_gone_does_no_harm(bench: Bench, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()

    done = await SystemProcess().run(
        ["/bin/sh", "-c", f"rmdir {gone}; exec {bench.folder}/where"],
        timeout=PATIENCE,
        env=bench.environment(),
        cwd=gone,
    )

    assert done.stdout == b"/"


async def test_a_failure_is_told_on_stderr_with_status_1(bench: Bench) -> None:
    done = await bench.run("fail")

    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"ERROR it went wrong\n")


async def test_misuse_is_told_on_stderr_with_status_2(bench: Bench) -> None:
    done = await bench.run("misuse")

    assert (done.returncode, done.stdout, done.stderr) == (2, b"", b"ERROR not like that\n")


async def test_an_unknown_flag_is_misuse(bench: Bench) -> None:
    done = await bench.run("where", "--nope")

    assert (done.returncode, done.stderr) == (2, b"ERROR option provided but not defined: --nope\n")


async def test_too_many_arguments_are_misuse(bench: Bench) -> None:
    done = await bench.run("where", "here", "there")

    assert (done.returncode, done.stderr) == (2, b'ERROR unrecognized args: ["here" "there"]\n')


async def test_help_is_printed_on_stdout(bench: Bench) -> None:
    done = await bench.run("cat", "--help")

    assert done.returncode == 0
    assert b"Usage: cat [options]\n" in done.stdout
    assert b'--file  (= "")\n' in done.stdout


async def test_a_warning_goes_to_stderr_and_the_answer_to_stdout(bench: Bench) -> None:
    done = await bench.run("warn")

    assert (done.returncode, done.stdout, done.stderr) == (0, b"done\n", b"careful\n")


async def test_an_unknown_tool_fails(bench: Bench) -> None:
    done = await bench.run("unheard-of")

    assert (done.returncode, done.stderr) == (1, b"ERROR unheard-of is not available in start\n")


async def test_a_mistake_in_a_tool_fails_the_call_and_is_logged(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    done = await bench.run("broken")

    assert done.returncode == 1
    assert done.stderr == b"ERROR the hook tool broken is broken: ValueError; the agent's log has more\n"
    assert "the hook tool broken of unit shop/0, in start, is broken" in caplog.text


@pytest.mark.parametrize("missing", ["JUJU_CONTEXT_ID", "JUJU_AGENT_SOCKET_ADDRESS"])
async def test_outside_of_a_hook_it_says_what_is_missing(bench: Bench, missing: str) -> None:
    done = await bench.run("say", environment=bench.environment(**{missing: ""}))

    assert (done.returncode, done.stderr) == (1, f"ERROR {missing} not set\n".encode())


async def test_a_network_that_is_none_of_ours_is_refused(bench: Bench) -> None:
    done = await bench.run("say", environment=bench.environment(JUJU_AGENT_SOCKET_NETWORK="tcp"))

    assert (done.returncode, done.stderr) == (1, b"ERROR say: JUJU_AGENT_SOCKET_NETWORK is tcp, not unix\n")


async def test_the_id_of_no_hook_is_refused_and_not_repeated(bench: Bench) -> None:
    done = await bench.run("say", environment=bench.environment(JUJU_CONTEXT_ID="shop/0-guess"))

    assert done.returncode == 1
    assert done.stderr.startswith(b"ERROR no hook of this JUJU_CONTEXT_ID is running")
    assert b"guess" not in done.stderr
    assert bench.journal == []


async def test_a_server_that_is_not_there_is_named(bench: Bench, tmp_path: Path) -> None:
    nowhere = str(tmp_path / "nowhere")

    done = await bench.run("say", environment=bench.environment(JUJU_AGENT_SOCKET_ADDRESS=nowhere))

    assert (done.returncode, done.stderr) == (
        1,
        f"ERROR say: cannot reach the agent at {nowhere}: No such file or directory\n".encode(),
    )


async def test_by_its_own_name_it_says_how_it_is_used(bench: Bench) -> None:
    done = await bench.run(CLIENT)

    assert done.returncode == 2
    assert done.stderr.startswith(b"usage: call a hook tool by its own name")


async def test_stdin_is_handed_over_when_the_tool_asks_for_it(bench: Bench) -> None:
    done = await bench.run("cat", stdin=b"piped in")

    assert done.stdout == b"piped in"


async def test_empty_stdin_is_empty(bench: Bench) -> None:
    done = await bench.run("cat", stdin=b"")

    assert (done.returncode, done.stdout) == (0, b"")
    assert bench.journal == ["cat 0"]


async def test_stdin_that_no_tool_asks_for_is_left_to_the_script(bench: Bench) -> None:
    done = await SystemProcess().run(
        ["/bin/sh", "-c", f"{bench.folder}/say x; read line; echo $line"],
        timeout=PATIENCE,
        stdin=b"the script's\n",
        env=bench.environment(),
    )

    assert done.stdout == b"x\nthe script's\n"


async def test_closed_stdin_is_an_error_and_no_stray_descriptor(bench: Bench) -> None:
    done = await SystemProcess().run(
        ["/bin/sh", "-c", f"exec {bench.folder}/cat <&-"], timeout=PATIENCE, check=False, env=bench.environment()
    )

    assert (done.returncode, done.stderr) == (1, b"ERROR cannot read stdin: stdin required, none supplied\n")


async def test_megabytes_of_stdin_arrive_whole(bench: Bench) -> None:
    megabytes = b"0123456789abcdef" * (3 * 65536)

    done = await bench.run("cat", stdin=megabytes)

    assert done.stdout == megabytes


async def test_endless_stdin_is_refused(bench: Bench) -> None:
    done = await SystemProcess().run(
        ["/bin/sh", "-c", f"exec {bench.folder}/cat </dev/zero"], timeout=PATIENCE, check=False, env=bench.environment()
    )

    assert (done.returncode, done.stderr) == (
        1,
        f"ERROR cannot read stdin: it is larger than {LARGEST_INPUT} bytes\n".encode(),
    )


async def test_a_file_is_read_as_the_client_sees_it(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text("a: b")

    done = await bench.run("cat", "--file", "settings.yaml", cwd=tmp_path)

    assert done.stdout == b"a: b"


async def test_what_a_shell_hands_over_as_a_file_is_read(bench: Bench) -> None:
    done = await SystemProcess().run(
        ["/bin/bash", "-c", f"{bench.folder}/cat --file <(echo from a pipe)"],
        timeout=PATIENCE,
        env=bench.environment(),
    )

    assert done.stdout == b"from a pipe\n"


async def test_a_file_that_is_missing_fails(bench: Bench) -> None:
    done = await bench.run("cat", "--file=missing.yaml")

    assert (done.returncode, done.stderr) == (1, b'ERROR cannot read "missing.yaml": No such file or directory\n')


async def test_a_folder_is_no_file(bench: Bench, tmp_path: Path) -> None:
    done = await bench.run("cat", "--file=.", cwd=tmp_path)

    assert (done.returncode, done.stderr) == (1, b'ERROR cannot read ".": Is a directory\n')


async def test_output_goes_to_a_file_beside_the_client(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("something much longer than that")

    done = await bench.run("say", "-o", "out", "hello", cwd=tmp_path)

    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert (tmp_path / "out").read_text() == "hello\n"


async def test_output_that_cannot_be_written_fails(bench: Bench) -> None:
    done = await bench.run("say", "--output=/nowhere/out", "hello")

    assert (done.returncode, done.stderr) == (1, b"ERROR say: cannot write /nowhere/out: No such file or directory\n")


async def test_a_full_disk_is_told(bench: Bench) -> None:
    done = await SystemProcess().run(
        ["/bin/sh", "-c", f"exec {bench.folder}/say x >/dev/full"],
        timeout=PATIENCE,
        check=False,
        env=bench.environment(),
    )

    assert (done.returncode, done.stderr) == (1, b"ERROR say: cannot write the output: No space left on device\n")


async def test_a_large_answer_arrives_whole(bench: Bench) -> None:
    done = await bench.run("cat", stdin=b"x" * (2 * 1024 * 1024))

    assert len(done.stdout) == 2 * 1024 * 1024


async def test_a_pipe_from_one_tool_into_another_does_not_hang(bench: Bench) -> None:
    """The reader has begun, and waits for the writer, which may have to wait for its turn."""
    done = await SystemProcess().run(
        ["/bin/sh", "-c", f"(sleep 0.1; {bench.folder}/say x) | {bench.folder}/cat"],
        timeout=PATIENCE,
        env=bench.environment(),
    )

    assert done.stdout == b"x\n"
    assert bench.journal == ["say x", "cat 2"]


async def test_a_path_longer_than_an_address_is_reached(tmp_path: Path, folder: Path) -> None:
    deep = tmp_path.joinpath(*(["a-folder-of-thirty-letters-or-so"] * 5))
    deep.mkdir(parents=True)

    async with benched(deep / "agent.socket", folder) as bench:
        done = await bench.run("say", "deep")

    assert done.stdout == b"deep\n"


async def test_an_agent_that_dies_is_told(tmp_path: Path, folder: Path) -> None:
    async with benched(tmp_path / "agent.socket", folder) as bench:
        waiting = asyncio.ensure_future(bench.run("wait"))
        await bench.tools.begun.wait()
        bench.tools.gate.clear()
        await bench.server.__aexit__(None, None, None)
        done = await waiting

    assert (done.returncode, done.stderr) == (1, b"ERROR wait: the agent went away before it had answered\n")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"X",
        encode_message(b"X", b""),
        encode_message(b"X", RESULT_HEADER.pack(0, 1000, 0)),
        encode_message(b"X", RESULT_HEADER.pack(0, 0, 0xFFFFFFFF)),
        encode_message(b"?", b"what"),
        encode_message(b"M", b""),
        b"X\xff\xff\xff\xff",
    ],
)
async def test_a_damaged_answer_fails_the_call(folder: Path, tmp_path: Path, answer: bytes) -> None:
    path = tmp_path / "damaged.socket"
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()
        listener.setblocking(False)
        environment = {"JUJU_CONTEXT_ID": "x", "JUJU_AGENT_SOCKET_ADDRESS": str(path)}
        running = asyncio.ensure_future(
            SystemProcess().run([str(folder / "say")], timeout=PATIENCE, check=False, env=environment)
        )
        accepted, _ = await loop.sock_accept(listener)
        with accepted:
            await loop.sock_recv(accepted, 65536)
            await loop.sock_sendall(accepted, answer)
        done = await running

    assert done.returncode == 1
    assert done.stderr.startswith(b"ERROR say: the agent")


async def test_clients_of_two_hooks_are_kept_apart(tmp_path: Path, folder: Path) -> None:
    one, other = FakeContext(hook="one"), FakeContext(hook="other")
    tools, others = Tools(), Tools()
    async with ToolServer(tmp_path / "agent.socket", clock=SystemClock()) as server:
        bench = Bench(server, other, others, folder)
        async with server.serving(one, tools.mapping()), server.serving(other, others.mapping()):
            await bench.run("say", "x")

    assert (tools.journal, others.journal) == ([], ["say x"])


async def test_calls_at_once_all_succeed(bench: Bench) -> None:
    running = []
    for number in range(20):
        running.append(asyncio.ensure_future(bench.run("say", str(number))))
        await asyncio.sleep(0)
    done = [await one for one in running]

    assert [one.stdout for one in done] == [f"{number}\n".encode() for number in range(20)]
    await until(lambda: len(bench.journal) == 20)
