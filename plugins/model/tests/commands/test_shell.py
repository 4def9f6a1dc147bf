"""ssh and scp become another program; so they are run in a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from plugins.model.tests.commands.conftest import CommandLine

from undercroft.clock import SystemClock
from undercroft_hookspecs import Store
from undercroft_hookspecs.state import Host
from undercroft_model.machines import machine_for
from undercroft_model.models import find_model, model_id
from undercroft_model.transaction import Transaction


@pytest.fixture
def deployed(undercroft: CommandLine, server: str) -> CommandLine:
    """A unit on this host."""
    undercroft.ok("deploy", server)
    return undercroft


def run(undercroft: CommandLine, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own."""
    environment = {**os.environ, "UNDERCROFT_DATA": str(undercroft.data), "SHELL": "/bin/sh"}
    argv = [sys.executable, "-m", "undercroft", *words]
    return subprocess.run(
        argv, env=environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=60
    )


@pytest.mark.parametrize(
    ("words", "out"),
    [
        (("server/0", "echo 'a  b'"), "a  b\n"),
        (("server/0", "echo", "a  b"), "a b\n"),
        (("ubuntu@server/0", "-o", "StrictHostKeyChecking=no", "-t", "--", "echo", "-n", "x"), "x"),
        (("0", "pwd"), "{home}\n"),
        (("--no-host-key-checks", "0", "echo $((1 + 1))"), "2\n"),
    ],
)
def test_words_are_one_line_of_the_shell(deployed: CommandLine, words: tuple[str, ...], out: str) -> None:
    done = run(deployed, "ssh", *words)

    assert (done.returncode, done.stdout) == (0, out.format(home=deployed.folder)), done.stderr


def test_the_exit_code_is_the_commands_own(deployed: CommandLine) -> None:
    assert run(deployed, "ssh", "server/0", "kill -TERM $$").returncode in (-15, 143)
    assert run(deployed, "ssh", "server/0", "exit 9").returncode == 9


def test_a_unit_on_another_host_is_out_of_reach(deployed: CommandLine) -> None:
    async def work(store: Store) -> None:
        tx = Transaction(store)
        model = model_id(await find_model(tx, "default"))
        other = Host(id="1c2ff3a6-5c12-4f0c-8a70-5d4b3b5d1e0f", hostname="there")
        await machine_for(tx, model, other.id, now=SystemClock().now())
        await tx.commit()

    deployed.on_store(work)

    assert "is on another host" in deployed.refused("ssh", "1", "true")
    assert "is another host" in deployed.refused("exec", "--machine", "1", "--", "true")
    assert 'unit "server/9" not found (not found)' in deployed.refused("ssh", "server/9", "true")
    assert "machine 9 not found (not found)" in deployed.refused("scp", "9:x", ".")


def test_folders_are_copied_with_r(deployed: CommandLine) -> None:
    Path("from/deep").mkdir(parents=True)
    Path("from/deep/file").write_text("content")

    done = run(deployed, "scp", "-r", "-C", "from", f"server/0:{deployed.folder}/to")

    assert (done.returncode, Path("to/deep/file").read_text()) == (0, "content"), done.stderr
    assert run(deployed, "scp", "0:to/deep/file", "back").returncode == 0
    assert Path("back").read_text() == "content"
    assert "at least two" in deployed.refused("scp", "one")
