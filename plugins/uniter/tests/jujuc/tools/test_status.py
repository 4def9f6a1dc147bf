"""status-get, status-set and application-version-set."""

from __future__ import annotations

import pytest
from plugins.uniter.tests.jujuc.tools.fakes import Bench, FakeHook, done, failure, misused
from plugins.uniter.tests.jujuc.tools.parts import NOW

from undercroft_hookspecs.errors import UndercroftError
from undercroft_hookspecs.state import Status
from undercroft_hookspecs.unit_facades import ApplicationStatuses

WAITING = Status(current="waiting", since=NOW, message="for db", data={"a": 1})
NOT_LEADER = failure("this unit is not the leader")


@pytest.fixture(autouse=True)
def _statuses(hook: FakeHook) -> None:
    hook.status.unit = WAITING
    hook.status.application = ApplicationStatuses(
        application=Status(current="blocked", since=NOW, message="no disk"),
        units={"shop/1": Status(current="active", since=NOW), "shop/0": WAITING},
    )


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "waiting\n"),
        (["--format", "yaml"], "status: waiting\n"),
        (["--format", "json"], '{"status":"waiting"}\n'),
        (["--include-data"], "message: for db\nstatus: waiting\nstatus-data:\n  a: 1\n"),
        (
            ["--include-data", "--format=json", "--application=false"],
            '{"message":"for db","status":"waiting","status-data":{"a":1}}\n',
        ),
    ],
)
async def test_the_unit_s_status_is_a_word_or_a_document(bench: Bench, arguments: list[str], text: str) -> None:
    assert await bench("status-get", *arguments) == done(text)


async def test_the_application_s_status_has_its_units(bench: Bench) -> None:
    assert await bench("status-get", "--application") == done("blocked\n")
    assert await bench("status-get", "--application", "--format=json") == done(
        '{"application-status":{"status":"blocked","units":'
        '{"shop/0":{"status":"waiting"},"shop/1":{"status":"active"}}}}\n'
    )
    assert await bench("status-get", "--include-data", "--format=json", "--application=true") == done(
        '{"application-status":{"message":"no disk","status":"blocked","status-data":{},"units":'
        '{"shop/0":{"message":"for db","status":"waiting","status-data":{"a":1}},'
        '"shop/1":{"message":"","status":"active","status-data":{}}}}}\n'
    )


async def test_only_the_leader_has_the_application_s_status(bench: Bench, hook: FakeHook) -> None:
    hook.leadership.leads = False

    assert await bench("status-get", "--application") == NOT_LEADER
    assert await bench("status-set", "--application", "active") == NOT_LEADER


@pytest.mark.parametrize("flags", [[], ["--application"]])
async def test_in_a_restricted_hook_the_status_is_unknown(bench: Bench, hook: FakeHook, flags: list[str]) -> None:
    hook.restrict()

    assert await bench("status-get", *flags) == done("unknown\n")
    assert await bench("status-get", *flags, "--format=json") == done('{"status":"unknown"}\n')


@pytest.mark.parametrize("current", ["maintenance", "blocked", "waiting", "active"])
async def test_each_status_is_set(bench: Bench, hook: FakeHook, current: str) -> None:
    assert await bench("status-set", current, "doing the thing") == done()
    assert await bench("status-set", current) == done()
    assert hook.status.written == [("unit", current, "doing the thing"), ("unit", current, "")]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--application=True", "active", "--", "-m"],
        ["--service", "active", "--", "-m"],
        ["active", "--application", "--", "-m"],
    ],
)
async def test_the_application_s_status_is_set_by_its_leader(
    bench: Bench, hook: FakeHook, arguments: list[str]
) -> None:
    assert await bench("status-set", *arguments) == done()
    assert hook.status.written == [("application", "active", "-m")]


async def test_ops_says_when_it_is_not_the_application(bench: Bench, hook: FakeHook) -> None:
    assert await bench("status-set", "--application=False", "active", "--", "") == done()
    assert hook.status.written == [("unit", "active", "")]


@pytest.mark.parametrize("current", ["error", "unknown", "Active", "terminated", ""])
async def test_other_statuses_are_not_for_charms(bench: Bench, hook: FakeHook, current: str) -> None:
    answer = await bench("status-set", current)

    assert answer == misused(f'invalid status "{current}", expected one of [maintenance blocked waiting active]')
    assert not hook.status.written


async def test_a_status_is_one_word_and_one_message(bench: Bench) -> None:
    assert (await bench("status-set")).code == 2
    assert await bench("status-set", "active", "a", "b") == misused('unrecognized args: ["b"]')


async def test_the_version_is_written(bench: Bench, hook: FakeHook) -> None:
    assert await bench("application-version-set", "--", "-1.2") == done()
    assert hook.status.written == [("version", "-1.2")]


async def test_a_version_is_one_word(bench: Bench) -> None:
    assert (await bench("application-version-set")).code == 2
    assert await bench("application-version-set", "1", "2") == misused('unrecognized args: ["2"]')


async def test_a_version_that_cannot_be_written_fails_the_tool(bench: Bench, hook: FakeHook) -> None:
    hook.status.failure = UndercroftError("the store is away")

    assert await bench("application-version-set", "1") == failure("the store is away")
