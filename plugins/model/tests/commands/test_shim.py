from __future__ import annotations

import os
import subprocess
from pathlib import Path

from plugins.model.tests.commands.conftest import CommandLine


def test_the_shim_can_be_written_again(undercroft: CommandLine) -> None:
    undercroft.ok("shim", "bin")
    undercroft.ok("shim", "bin")

    assert sorted(path.name for path in Path("bin").iterdir()) == ["charmcraft", "juju"]
    assert all(os.access(path, os.X_OK) for path in Path("bin").iterdir())


def test_a_program_of_somebody_else_is_let_be(undercroft: CommandLine) -> None:
    Path("bin").mkdir()
    Path("bin/charmcraft").write_text("#!/bin/sh\n")

    assert "is not ours" in undercroft.refused("shim", "bin")
    assert [path.name for path in Path("bin").iterdir()] == ["charmcraft"]


def test_of_charmcraft_there_is_pack_alone(undercroft: CommandLine) -> None:
    undercroft.ok("shim", "bin")

    done = subprocess.run(["bin/charmcraft", "upload"], capture_output=True, text=True, check=False)

    assert (done.returncode, "not supported" in done.stderr) == (2, True)


def test_arguments_reach_the_command_as_they_are(undercroft: CommandLine) -> None:
    undercroft.ok("shim", "bin")

    done = subprocess.run(["bin/juju", "deploy", "./a 'b' $c"], capture_output=True, text=True, check=False)

    assert "no charm was found at \"./a 'b' $c\"" in done.stderr
