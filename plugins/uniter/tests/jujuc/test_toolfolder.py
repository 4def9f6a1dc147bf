"""The folder that charms have on their PATH."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import sys
from pathlib import Path

import pytest
from plugins.uniter.tests.jujuc.bench import PATIENCE, benched

from undercroft.process import SystemProcess
from undercroft_hookspecs import NotValidError
from undercroft_uniter.jujuc.toolfolder import CLIENT, compiled_client, fill_tool_folder, python_client


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


async def test_each_tool_is_a_link_to_the_client(tmp_path: Path) -> None:
    folder = tmp_path / "unit" / "tools"

    await fill_tool_folder(folder, ["relation-get", "status-set"], client=b"#!/bin/true\n")

    assert names(folder) == {CLIENT, "relation-get", "status-set"}
    assert (folder / "status-set").read_bytes() == b"#!/bin/true\n"
    assert (folder / "status-set").readlink() == Path(CLIENT)
    assert stat.S_IMODE((folder / CLIENT).stat().st_mode) == 0o755


async def test_what_is_right_is_left_alone(tmp_path: Path) -> None:
    await fill_tool_folder(tmp_path, ["say"], client=b"x")
    before = [(tmp_path / name).lstat().st_ino for name in (CLIENT, "say")]

    await fill_tool_folder(tmp_path, ["say"], client=b"x")

    assert [(tmp_path / name).lstat().st_ino for name in (CLIENT, "say")] == before


async def test_another_client_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    await fill_tool_folder(tmp_path, ["say"], client=b"old")
    inode = (tmp_path / CLIENT).stat().st_ino

    await fill_tool_folder(tmp_path, ["say"], client=b"new")

    # Another file: the old one may be running.
    assert (tmp_path / "say").read_bytes() == b"new"
    assert (tmp_path / CLIENT).stat().st_ino != inode


async def test_a_client_that_cannot_be_run_is_made_anew(tmp_path: Path) -> None:
    await fill_tool_folder(tmp_path, ["say"], client=b"x")
    (tmp_path / CLIENT).chmod(0o000)

    await fill_tool_folder(tmp_path, ["say"], client=b"x")

    assert stat.S_IMODE((tmp_path / CLIENT).stat().st_mode) == 0o755


async def test_stale_tools_and_what_a_crash_has_left_are_removed(tmp_path: Path) -> None:
    await fill_tool_folder(tmp_path, ["say", "gone"], client=b"x")
    (tmp_path / ".say.new").symlink_to("nowhere")
    (tmp_path / f".{CLIENT}.new").write_bytes(b"half")

    await fill_tool_folder(tmp_path, ["say"], client=b"x")

    assert names(tmp_path) == {CLIENT, "say"}


async def test_what_stands_in_the_place_of_a_tool_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "say").write_text("the charm's own")
    (tmp_path / "cat").symlink_to("/bin/cat")

    await fill_tool_folder(tmp_path, ["say", "cat"], client=b"x")

    assert (tmp_path / "say").readlink() == (tmp_path / "cat").readlink() == Path(CLIENT)


async def test_a_link_in_the_place_of_the_client_is_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(b"x")
    folder = tmp_path / "tools"
    folder.mkdir()
    (folder / CLIENT).symlink_to(precious)

    await fill_tool_folder(folder, ["say"], client=b"y")

    assert precious.read_bytes() == b"x"
    assert not (folder / CLIENT).is_symlink()


async def test_a_folder_that_is_a_link_is_filled(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "tools").symlink_to("real")

    await fill_tool_folder(tmp_path / "tools", ["say"], client=b"x")

    assert names(tmp_path / "real") == {CLIENT, "say"}


async def test_several_may_fill_it_at_once(tmp_path: Path) -> None:
    tools = [f"tool-{number}" for number in range(40)]

    await asyncio.gather(*(fill_tool_folder(tmp_path, tools, client=b"x") for _ in range(8)))

    assert names(tmp_path) == {CLIENT, *tools}


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "-x", "A", "a b", "x\n", CLIENT])
async def test_what_cannot_be_a_commands_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotValidError, match="cannot be the name of a hook tool"):
        await fill_tool_folder(tmp_path / "tools", [name], client=b"x")

    assert not (tmp_path / "tools").exists()


async def test_the_compiled_client_is_taken_where_there_is_one(tmp_path: Path) -> None:
    compiled = compiled_client()
    expected = python_client() if compiled is None else compiled.read_bytes()

    await fill_tool_folder(tmp_path, ["say"])

    assert (tmp_path / CLIENT).read_bytes() == expected


def test_the_client_in_python_is_run_without_a_shell_by_the_real_interpreter() -> None:
    shebang = python_client().splitlines()[0]

    assert shebang == f"#!{os.path.realpath(sys.executable)} -ISE".encode()


async def test_another_version_of_the_interpreter_compiles_the_source(tmp_path: Path) -> None:
    client = python_client().replace(f"== {sys.hexversion} ".encode(), b"== 0 ")
    assert b"== 0 else" in client
    await fill_tool_folder(tmp_path / "tools", ["say"], client=client)

    async with benched(tmp_path / "agent.socket", tmp_path / "tools") as bench:
        done = await bench.run("say", "x")

    assert (done.returncode, done.stdout) == (0, b"x\n")


@pytest.mark.parametrize("folder", ["with a blank", "it's", "so-long-that-the-kernel-takes-no-such-line" * 4])
async def test_an_interpreter_that_no_shebang_can_name_is_run_by_a_shell(tmp_path: Path, folder: str) -> None:
    interpreter = tmp_path / folder / "python"
    interpreter.parent.mkdir()
    interpreter.symlink_to(os.path.realpath(sys.executable))
    tools = tmp_path / "tools"
    await fill_tool_folder(tools, ["say", "fail"], client=python_client(str(interpreter)))

    async with benched(tmp_path / "agent.socket", tools) as bench:
        done = await bench.run("say", "it's", "$HOME")

    assert (done.returncode, done.stdout) == (0, b"it's $HOME\n")


async def test_the_client_compiles_without_a_warning(tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler: apt install gcc libc6-dev")
    source = Path(__file__).parents[2] / "src" / "undercroft_uniter" / "jujuc" / "client.c"
    flags = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror"]

    await SystemProcess().run([compiler, *flags, "-o", str(tmp_path / CLIENT), str(source)], timeout=PATIENCE)

    assert (tmp_path / CLIENT).is_file()
