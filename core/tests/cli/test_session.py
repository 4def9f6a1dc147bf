from __future__ import annotations

import os
import subprocess

import pytest
from core.tests.cli.conftest import CommandLine
from core.tests.conftest import Distributions

COMMANDS = """
    import click

    @click.command()
    @click.pass_obj
    def show(session):
        session.emit({"data": str(session.data_dir), "model": session.model, "format": session.format})

    @click.group()
    def group(): ...

    group.add_command(show)

    @click.command()
    @click.option("-m", "--model", callback=lambda ctx, option, value: value and value.upper())
    @click.option("--format", "form", default="tabular")
    @click.option("--config", multiple=True)
    @click.pass_obj
    def juju(session, model, form, config):
        session.emit([model, form, list(config), session.model, session.format])

    @click.command()
    @click.pass_obj
    def section(session):
        from throwaway_plugin import Settings
        click.echo(session.config(Settings).size)

    @click.command()
    @click.pass_obj
    def loop(session):
        async def main():
            import asyncio
            return type(asyncio.get_running_loop()).__module__
        click.echo(session.run(main()))

    @click.command()
    @click.pass_obj
    def private(session):
        from undercroft_hookspecs import Put, Store

        async def main():
            async with session.open("store", Store) as store:
                await store.transact([], [Put("/here", b"and now")])
                return (await store.get("/here")).value.decode()

        click.echo(session.run(main()))

    @click.command()
    @click.argument("what")
    def fail(what):
        import errno
        from undercroft_hookspecs import NotFoundError, NotValidError, UndercroftError
        match what:
            case "not-found": raise NotFoundError("sda")
            case "not-valid": raise NotValidError(field="size")
            case "ours": raise UndercroftError("the disk is on fire; put it out")
            case "silent": raise UndercroftError
            case "os": raise PermissionError(errno.EACCES, "Permission denied", "/dev/sda")
            case "os-without-a-file": raise OSError(errno.EIO, "Input/output error")
            case "late": raise TimeoutError
            case "later": raise TimeoutError("udevd took more than 3 seconds")
            case "defect": raise ZeroDivisionError("division by zero")
            case "silent-defect": raise AssertionError
            case "interrupt": raise KeyboardInterrupt
            case "abort": raise click.Abort
            case "usage": raise click.UsageError("not like this")
            case "click": raise click.ClickException("no")
            case "exit": click.get_current_context().exit(4)
            case "sys": raise SystemExit(75)
            case "return": return 9
            case "pipe": raise BrokenPipeError(errno.EPIPE, "Broken pipe")
"""

PLUGIN = """
    import msgspec
    from undercroft_hookspecs import hookimpl

    class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        size: int = 1

    @hookimpl
    def undercroft_config():
        return Settings
"""

NAMES = ("show", "group", "juju", "section", "loop", "private", "fail")


@pytest.fixture
def acme(undercroft: CommandLine, distributions: Distributions) -> CommandLine:
    """The command line with the commands above, which belong to the plugin `acme`."""
    distributions.add(
        "undercroft-acme",
        modules={"throwaway_commands": COMMANDS, "throwaway_plugin": PLUGIN},
        plugins={"acme": "throwaway_plugin", "other": "throwaway_nothing"},
        commands={name: f"throwaway_commands:{name}" for name in NAMES},
    )
    undercroft.path = [distributions.folder]
    return undercroft


def test_the_session_knows_what_cores_options_say(acme: CommandLine) -> None:
    ran = acme("show", "--data", "elsewhere", "--model", "prod", "--format", "json")

    assert ran.document == {"data": str(acme.folder / "elsewhere"), "model": "prod", "format": "json"}


def test_the_session_falls_back_on_the_environment(acme: CommandLine) -> None:
    acme.environ["UNDERCROFT_MODEL"] = "staging"

    assert acme("show", "--format", "json").document == {
        "data": str(acme.data),
        "model": "staging",
        "format": "json",
    }


def test_without_a_word_there_is_no_model_and_a_table(acme: CommandLine) -> None:
    assert acme("show", "--format", "json").document == {"data": str(acme.data), "model": None, "format": "json"}
    assert "format: table" in acme("show").out
    assert "format: yaml" in acme("show", "--format", "yaml").out


def test_a_command_in_a_group_has_cores_options_too(acme: CommandLine) -> None:
    assert acme("group", "show", "--model", "prod", "--format", "json").code == 0
    assert acme("group", "--model", "prod", "show").code == 2


def test_a_commands_own_option_replaces_cores_and_is_heard_by_the_session(acme: CommandLine) -> None:
    ran = acme("juju", "-m", "prod", "--format", "json", "--config", "a=1", "--config", "b=2")

    assert ran.document == ["PROD", "json", ["a=1", "b=2"], "PROD", "json"]


def test_a_commands_own_default_counts_as_its_own(acme: CommandLine) -> None:
    assert acme("juju").out == "- null\n- tabular\n- []\n- null\n- table\n"


def test_cores_short_option_stays_where_only_the_long_one_is_taken(acme: CommandLine) -> None:
    ran = acme("juju", "-c", "x.toml", "--config", "a=1", "--format", "json")

    assert ran.document == [None, "json", ["a=1"], None, "json"]


def test_a_command_reads_its_own_plugins_section(acme: CommandLine, distributions: Distributions) -> None:
    distributions.add(
        "undercroft-pump",
        modules={"pump": COMMANDS.replace("throwaway_plugin", "pump_plugin")},
        plugins={"pump": "pump:hooks"},
        commands={"pumping": "pump:section"},
    )
    (distributions.folder / "pump_plugin.py").write_text((distributions.folder / "throwaway_plugin.py").read_text())
    acme.config("[plugins.pump]\nsize = 7\n")

    assert acme("pumping").out == "7\n"
    assert acme("pumping", "-c", str(acme.config("[plugins.pump]\nsize = 'x'"))).code == 78


def test_a_command_without_a_plugin_has_no_section(acme: CommandLine) -> None:
    ran = acme("section")

    assert ran.code == 1
    assert "the command 'section' belongs to no plugin" in ran.err


def test_coroutines_run_on_uvloop(acme: CommandLine) -> None:
    assert acme("loop").out == "uvloop\n"


def test_the_store_opens_without_an_agent(acme: CommandLine) -> None:
    ran = acme("private")

    assert (ran.code, ran.out, ran.err) == (0, "and now\n", "")


@pytest.mark.parametrize(
    ("what", "code", "message"),
    [
        ("not-found", 4, "Error: 'sda' was not found\n"),
        ("not-valid", 1, "Error: size is not valid\n"),
        ("ours", 1, "Error: the disk is on fire; put it out\n"),
        ("silent", 1, "Error: UndercroftError\n"),
        ("os", 1, "Error: /dev/sda: Permission denied\n"),
        ("os-without-a-file", 1, "Error: Input/output error\n"),
        ("late", 5, "Error: it took too long and was given up\n"),
        ("later", 5, "Error: udevd took more than 3 seconds\n"),
        ("defect", 1, "Error: ZeroDivisionError: division by zero (a defect; with --debug the command shows where)\n"),
        ("silent-defect", 1, "Error: AssertionError (a defect; with --debug the command shows where)\n"),
        ("interrupt", 130, ""),
        ("abort", 130, ""),
        ("click", 1, "Error: no\n"),
        ("exit", 4, ""),
        ("sys", 75, ""),
        ("return", 0, ""),
        ("pipe", 1, "Error: Broken pipe\n"),
    ],
)
def test_however_a_command_ends_it_ends_with_a_message_and_a_code(
    acme: CommandLine, what: str, code: int, message: str
) -> None:
    ran = acme("fail", what)

    assert (ran.code, ran.out, ran.err) == (code, "", message)


def test_misuse_shows_how_it_is_used(acme: CommandLine) -> None:
    ran = acme("fail", "usage")

    assert ran.code == 2
    assert "Usage: undercroft fail" in ran.err
    assert "not like this" in ran.err


def test_debug_shows_the_traceback_before_the_message(acme: CommandLine) -> None:
    ran = acme("fail", "ours", "--debug")

    assert ran.code == 1
    assert ran.err.startswith("Traceback (most recent call last):")
    assert ran.err.endswith("Error: the disk is on fire; put it out\n")


def test_a_bad_config_is_told_from_other_failures(acme: CommandLine) -> None:
    file = acme.config("stor = 3")

    ran = acme("plugins")

    assert ran.code == 78
    assert ran.err.startswith(f'Error: {file}: stor is not a known key (did you mean "store"?)')
    assert "Traceback" not in ran.err


def on_a_terminal(line: CommandLine, *arguments: str) -> str:
    """What the command line prints where its output is a terminal."""
    main, side = os.openpty()
    with os.fdopen(main, "rb", buffering=0) as screen:
        done = subprocess.Popen(
            [*line.argv, *arguments], env=line.environment, cwd=line.folder, stdout=side, stderr=side
        )
        os.close(side)
        printed = b""
        try:
            while piece := screen.read(4096):
                printed += piece
        except OSError:
            pass  # How a terminal says that its other side is closed.
        done.wait()
    return printed.decode()


def test_json_is_laid_out_for_a_terminal_and_one_line_for_programs(acme: CommandLine) -> None:
    assert acme("show", "--format", "json").out.count("\n") == 1
    assert on_a_terminal(acme, "show", "--format", "json").count("\n") > 1


def test_colours_are_for_terminals_that_want_them(acme: CommandLine) -> None:
    assert "\x1b[31m" in on_a_terminal(acme, "fail", "ours")
    assert "\x1b[" not in acme("fail", "ours").err

    acme.environ["NO_COLOR"] = "1"

    assert "\x1b[3" not in on_a_terminal(acme, "fail", "ours")
