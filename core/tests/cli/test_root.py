from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from core.tests.cli.conftest import CommandLine
from core.tests.conftest import Distributions

from undercroft.cli.table import CORE_COMMANDS

BEACON = """
    import click

    @click.command()
    def beacon():
        "Shine."
        click.echo("shining")
"""


@pytest.fixture
def added(undercroft: CommandLine, distributions: Distributions) -> CommandLine:
    """The command line, with the throw-away distributions on its path."""
    undercroft.path = [distributions.folder]
    return undercroft


def test_help_lists_cores_commands_with_what_they_are_for(undercroft: CommandLine) -> None:
    ran = undercroft("--help")

    assert ran.code == 0
    for name, command in CORE_COMMANDS.items():
        assert f"{name} " in ran.out
        assert command.summary in ran.out


LIGHTHOUSE = '''
    raise AssertionError("imported")

    def beacon() -> None:
        """Shine, for ships
        that pass. Or do not.

        Nobody reads this here.
        """

    def foghorn() -> None:
        pass

    def bell() -> None:
        """Ring."""
'''


def test_help_lists_plugins_commands_without_importing_them(added: CommandLine, distributions: Distributions) -> None:
    names = ("beacon", "foghorn", "bell")
    distributions.add(
        "acme", modules={"throwaway_x": LIGHTHOUSE}, commands={name: f"throwaway_x:{name}" for name in names}
    )

    ran = added("--help")

    assert ran.code == 0
    _, _, listed = ran.out.partition("Commands of acme:\n")
    assert listed.splitlines()[:3] == ["  beacon  Shine, for ships that pass", "  bell    Ring", "  and foghorn"]


@pytest.mark.parametrize("module", ["throwaway_gone", "throwaway_gone.below", "throwaway_odd"])
def test_help_lists_a_command_whose_source_cannot_be_read(
    added: CommandLine, distributions: Distributions, module: str
) -> None:
    distributions.add("acme", modules={"throwaway_x": ""}, commands={"beacon": f"{module}:beacon"})
    (distributions.folder / "throwaway_odd.py").write_bytes(b"\xff")

    ran = added("--help")

    assert ran.code == 0
    assert "Commands of acme:\n  beacon\n" in ran.out


def test_no_command_is_misuse(undercroft: CommandLine) -> None:
    ran = undercroft()

    assert ran.code == 2
    assert "Usage: undercroft" in ran.out + ran.err


def test_an_unknown_command_is_misuse_with_a_suggestion(undercroft: CommandLine) -> None:
    ran = undercroft("versoin")

    assert ran.code == 2
    assert "there is no command 'versoin'. Did you mean 'version'?" in ran.err
    assert ran.out == ""


def test_an_unknown_option_is_misuse(undercroft: CommandLine) -> None:
    ran = undercroft("version", "--formt", "json")

    assert ran.code == 2
    assert "--format" in ran.err


def test_a_bad_format_is_misuse(undercroft: CommandLine) -> None:
    assert undercroft("version", "--format", "xml").code == 2


def test_an_option_before_the_command_is_misuse(undercroft: CommandLine) -> None:
    assert undercroft("--nonsense", "version").code == 2


def test_a_plugins_command_runs(added: CommandLine, distributions: Distributions) -> None:
    distributions.add("acme", modules={"throwaway_beacon": BEACON}, commands={"beacon": "throwaway_beacon:beacon"})

    ran = added("beacon")

    assert (ran.code, ran.out, ran.err) == (0, "shining\n", "")


def test_cores_command_wins_and_the_other_is_reported(added: CommandLine, distributions: Distributions) -> None:
    distributions.add("acme", modules={"throwaway_beacon": BEACON}, commands={"version": "throwaway_beacon:beacon"})

    assert added("version").out.startswith("undercroft ")
    assert "Note: the command 'version' of acme is hidden: core has that name" in added("plugins").err


def test_the_first_distribution_wins_and_the_other_is_reported(
    added: CommandLine, distributions: Distributions
) -> None:
    distributions.add("b", modules={"throwaway_b": "raise AssertionError"}, commands={"beacon": "throwaway_b:beacon"})
    distributions.add("a", modules={"throwaway_beacon": BEACON}, commands={"beacon": "throwaway_beacon:beacon"})

    assert added("beacon").out == "shining\n"
    assert "Note: the command 'beacon' of b is hidden: a has that name" in added("plugins").err


def test_a_command_that_cannot_be_imported_names_whose_it_is(added: CommandLine, distributions: Distributions) -> None:
    distributions.add("acme", modules={"throwaway_bad": "1 / 0"}, commands={"beacon": "throwaway_bad:beacon"})

    ran = added("beacon")

    assert ran.code == 1
    assert "the command 'beacon' of acme cannot be loaded (throwaway_bad:beacon): ZeroDivisionError" in ran.err
    assert "Traceback" not in ran.err
    assert "Traceback" in added("beacon", "--debug").err
    assert "Traceback" not in added("beacon", "--", "--debug").err


def test_a_command_that_is_none_is_refused(added: CommandLine, distributions: Distributions) -> None:
    distributions.add("acme", modules={"throwaway_none": "x = 3"}, commands={"beacon": "throwaway_none:x"})

    ran = added("beacon")

    assert ran.code == 1
    assert "the command 'beacon' of acme is not a click command but a int" in ran.err


def test_a_reader_that_leaves_early_is_no_failure(undercroft: CommandLine) -> None:
    reading, writing = os.pipe()
    os.close(reading)

    done = subprocess.run(
        check=False,
        args=[*undercroft.argv, "--help"],
        env=undercroft.environment,
        cwd=undercroft.folder,
        stdout=writing,
        stderr=subprocess.PIPE,
    )

    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_without_an_output_there_is_nothing_to_say(undercroft: CommandLine) -> None:
    done = subprocess.run(
        check=False,
        args=["sh", "-c", 'exec "$@" >&-', "sh", *undercroft.argv, "version"],
        env=undercroft.environment,
        cwd=undercroft.folder,
        stderr=subprocess.PIPE,
    )

    assert (done.returncode, done.stderr) == (0, b"")


def test_a_full_disk_is_a_failure_with_a_message(undercroft: CommandLine) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            check=False,
            args=[*undercroft.argv, "version"],
            env=undercroft.environment,
            cwd=undercroft.folder,
            stdout=full,
            stderr=subprocess.PIPE,
        )

    assert done.returncode == 1
    assert b"No space left on device" in done.stderr
    assert b"Traceback" not in done.stderr


def test_the_shell_completes_commands(undercroft: CommandLine) -> None:
    undercroft.environ |= {
        "_UNDERCROFT_COMPLETE": "bash_complete",
        "COMP_WORDS": "undercroft ver",
        "COMP_CWORD": "1",
    }

    assert undercroft().out == "plain,version\n"


@pytest.mark.parametrize("name", sorted(CORE_COMMANDS))
def test_the_help_of_every_command_has_an_example(undercroft: CommandLine, name: str) -> None:
    ran = undercroft(name, "--help")

    assert ran.code == 0
    assert f"Example: undercroft {name}" in ran.out
    for flag in ("--data", "-c, --config", "--model", "--format", "--debug"):
        assert flag in ran.out
