"""juju-log and juju-reboot."""

from __future__ import annotations

import logging

import pytest
from plugins.uniter.tests.jujuc.tools.fakes import Bench, FakeHook, done, failure, misused

from undercroft_hookspecs.errors import UndercroftError
from undercroft_hookspecs.hook_tools import RelationContext
from undercroft_uniter.jujuc.command import Answer

LEVELS = {
    "TRACE": 5,
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "WARNING": logging.WARNING,
    "ERROR": logging.ERROR,
    "CRITICAL": logging.CRITICAL,
}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("flag", ["-l", "--log-level"])
async def test_lines_have_levels(bench: Bench, hook: FakeHook, flag: str, level: str) -> None:
    assert await bench("juju-log", flag, level, "--", "-a line") == done()
    assert await bench("juju-log", flag, level.lower(), "two", "words") == done()
    assert await bench("juju-log", "two", "words", flag, level.title()) == done()
    assert hook.log.lines == [
        (LEVELS[level], "-a line"),
        (LEVELS[level], "two words"),
        (LEVELS[level], "two words"),
    ]


async def test_the_level_is_info_unless_said_otherwise(bench: Bench, hook: FakeHook) -> None:
    await bench("juju-log", "a line")
    await bench("juju-log", "--debug", "-l", "ERROR", "another")

    assert hook.log.lines == [(logging.INFO, "a line"), (logging.DEBUG, "another")]


async def test_an_unknown_level_is_warned_of(bench: Bench, hook: FakeHook) -> None:
    assert await bench("juju-log", "-l", "LOUD", "a line") == done()
    assert hook.log.lines == [
        (logging.WARNING, '"LOUD" is no level to log at; using INFO'),
        (logging.INFO, "a line"),
    ]


async def test_a_relation_s_lines_have_its_name(bench: Bench, hook: FakeHook) -> None:
    hook.relations.current = RelationContext(id=3, endpoint="db", remote_application="mysql", members=())

    await bench("juju-log", "a line")

    assert hook.log.lines == [(logging.INFO, "db:3: a line")]


async def test_restricted_hooks_log_too(bench: Bench, hook: FakeHook) -> None:
    hook.restrict()

    assert await bench("juju-log", "a line") == done()
    assert hook.log.lines == [(logging.INFO, "a line")]


async def test_a_line_and_a_level_have_to_be_there(bench: Bench, hook: FakeHook) -> None:
    assert (await bench("juju-log")).code == 2
    assert await bench("juju-log", "line", "-l") == misused("option needs an argument: -l")
    assert not hook.log.lines


async def test_a_format_is_deprecated(bench: Bench, hook: FakeHook) -> None:
    answer = await bench("juju-log", "--format", "json", "a line")

    assert answer == Answer(stderr='--format flag deprecated for command "juju-log"\n')
    assert hook.log.lines == [(logging.INFO, "a line")]


async def test_a_reboot_waits_for_the_hook_unless_now(bench: Bench, hook: FakeHook) -> None:
    assert await bench("juju-reboot") == done()
    assert await bench("juju-reboot", "--now") == done()
    assert hook.reboot.asked == [False, True]


async def test_a_reboot_takes_no_arguments(bench: Bench, hook: FakeHook) -> None:
    assert await bench("juju-reboot", "please") == misused('unrecognized args: ["please"]')
    assert not hook.reboot.asked


async def test_a_reboot_that_fails_fails_the_tool(bench: Bench, hook: FakeHook) -> None:
    hook.reboot.failure = UndercroftError("cannot kill the hook")

    assert await bench("juju-reboot", "--now") == failure("cannot kill the hook")


@pytest.mark.parametrize("flags", [[], ["--now"]])
async def test_actions_do_not_reboot(bench: Bench, hook: FakeHook, flags: list[str]) -> None:
    hook.become_action()

    assert await bench("juju-reboot", *flags) == failure("juju-reboot is not supported when running an action")
