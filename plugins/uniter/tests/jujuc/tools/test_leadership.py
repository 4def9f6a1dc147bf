"""is-leader, leader-get and leader-set."""

from __future__ import annotations

import pytest
from plugins.uniter.tests.jujuc.tools.fakes import Bench, FakeHook, done, failure, misused

from undercroft_hookspecs.errors import UndercroftError

AWAY = UndercroftError("the store is away")


@pytest.mark.parametrize("leads", [True, False])
@pytest.mark.parametrize("flags", [[], ["--format=smart"], ["--format", "yaml"], ["--format=json"]])
async def test_whether_the_unit_leads_is_a_boolean(
    bench: Bench, hook: FakeHook, flags: list[str], *, leads: bool
) -> None:
    hook.leadership.leads = leads
    word = str(leads) if flags in ([], ["--format=smart"]) else str(leads).lower()

    assert await bench("is-leader", *flags) == done(f"{word}\n")


async def test_who_leads_is_asked_without_arguments(bench: Bench) -> None:
    assert await bench("is-leader", "please") == misused('unrecognized args: ["please"]')
    assert (await bench("is-leader", "--format=xml")).code == 2


async def test_not_to_know_who_leads_is_an_error(bench: Bench, hook: FakeHook) -> None:
    hook.leadership.failure = AWAY

    assert await bench("is-leader") == failure("leadership status unknown: the store is away")
    assert await bench("leader-get") == failure("cannot read leadership settings: the store is away")
    assert await bench("leader-set", "a=b") == failure("cannot write leadership settings: the store is away")


@pytest.mark.parametrize(
    ("arguments", "smart", "yaml", "json"),
    [
        (["missing"], "", "", "null\n"),
        (["key"], "value\n", "value\n", '"value"\n'),
        (
            [],
            "key: value\nsample: settings\n",
            "key: value\nsample: settings\n",
            '{"key":"value","sample":"settings"}\n',
        ),
        (
            ["-"],
            "key: value\nsample: settings\n",
            "key: value\nsample: settings\n",
            '{"key":"value","sample":"settings"}\n',
        ),
    ],
)
async def test_what_the_leader_said_is_printed(
    bench: Bench, hook: FakeHook, arguments: list[str], smart: str, yaml: str, json: str
) -> None:
    hook.leadership.settings = {"sample": "settings", "key": "value"}

    assert await bench("leader-get", *arguments) == done(smart)
    assert await bench("leader-get", *arguments, "--format=smart") == done(smart)
    assert await bench("leader-get", *arguments, "--format=yaml") == done(yaml)
    assert await bench("leader-get", *arguments, "--format=json") == done(json)


@pytest.mark.parametrize(("form", "text"), [("smart", "{}\n"), ("yaml", "{}\n"), ("json", "{}\n")])
async def test_a_leader_that_said_nothing_is_an_empty_map(bench: Bench, form: str, text: str) -> None:
    assert await bench("leader-get", "--format", form) == done(text)


async def test_one_key_is_asked_for(bench: Bench) -> None:
    assert await bench("leader-get", "a=b") == misused('invalid key "a=b"')
    assert await bench("leader-get", "a", "b") == misused('unrecognized args: ["b"]')


async def test_the_leader_speaks(bench: Bench, hook: FakeHook) -> None:
    assert await bench("leader-set", "a=b", "gone=", "c=d=e") == done()
    assert await bench("leader-set") == done()
    assert hook.leadership.merged == [{"a": "b", "gone": "", "c": "d=e"}, {}]


@pytest.mark.parametrize("pair", ["nothing", "=value"])
async def test_a_pair_has_a_key_and_a_value(bench: Bench, hook: FakeHook, pair: str) -> None:
    assert (await bench("leader-set", pair)).code == 2
    assert not hook.leadership.merged


async def test_a_follower_does_not_speak(bench: Bench, hook: FakeHook) -> None:
    hook.leadership.leads = False

    expected = failure("cannot write leadership settings: this unit is not the leader")
    assert await bench("leader-set", "a=b") == expected
    assert await bench("leader-set") == expected
