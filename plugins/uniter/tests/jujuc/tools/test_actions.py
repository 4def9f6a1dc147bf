"""action-get, action-set, action-fail and action-log."""

from __future__ import annotations

import pytest
from plugins.uniter.tests.jujuc.tools.fakes import Bench, FakeHook, done, failure, misused

PARAMETERS = {
    "outfile": {"name": "foo.bz2", "size": 5, "deep": {"on": True, "words": ["a", "b"]}, "of": {1: "one"}},
    "quiet": False,
    "count": 3,
}
SIZE_YAML = 'deep:\n  "on": true\n  words:\n  - a\n  - b\nname: foo.bz2\nof:\n  1: one\nsize: 5\n'


@pytest.mark.parametrize("name", ["action", "function"])
@pytest.mark.parametrize("tool", ["get", "set", "fail", "log"])
async def test_outside_an_action_there_is_none(bench: Bench, name: str, tool: str) -> None:
    arguments = ["a=b"] if tool in ("set", "log") else []

    assert await bench(f"{name}-{tool}", *arguments) == failure("not running an action")


@pytest.mark.parametrize(("form", "text"), [("smart", "{}\n"), ("yaml", "{}\n"), ("json", "{}\n")])
async def test_no_parameters_are_an_empty_map(bench: Bench, hook: FakeHook, form: str, text: str) -> None:
    hook.become_action()

    assert await bench("action-get", "--format", form) == done(text)


@pytest.mark.parametrize("key", ["nothing", "outfile.nothing", "count.deeper", "outfile.of.1", "outfile.deep.on.x"])
@pytest.mark.parametrize(("form", "text"), [("smart", ""), ("yaml", ""), ("json", "null\n")])
async def test_what_is_not_there_is_null(bench: Bench, hook: FakeHook, key: str, form: str, text: str) -> None:
    hook.become_action(PARAMETERS)

    assert await bench("action-get", key, f"--format={form}") == done(text)


@pytest.mark.parametrize(
    ("key", "form", "text"),
    [
        ("outfile.name", "smart", "foo.bz2\n"),
        ("outfile.name", "yaml", "foo.bz2\n"),
        ("outfile.name", "json", '"foo.bz2"\n'),
        ("quiet", "smart", "False\n"),
        ("quiet", "json", "false\n"),
        ("count", "smart", "3\n"),
        ("outfile.deep.words", "smart", "a\nb\n"),
        ("outfile.deep", "json", '{"on":true,"words":["a","b"]}\n'),
        ("outfile", "smart", SIZE_YAML),
        ("outfile", "yaml", SIZE_YAML),
    ],
)
async def test_a_value_is_found_by_its_path(bench: Bench, hook: FakeHook, key: str, form: str, text: str) -> None:
    hook.become_action(PARAMETERS)

    assert await bench("action-get", "--format", form, key) == done(text)


async def test_all_parameters_are_given_without_a_key(bench: Bench, hook: FakeHook) -> None:
    hook.become_action({"b": 1, "a": {"c": None}})

    assert await bench("action-get", "--format=json") == done('{"a":{"c":null},"b":1}\n')


async def test_two_keys_are_one_too_many(bench: Bench, hook: FakeHook) -> None:
    hook.become_action(PARAMETERS)

    assert await bench("action-get", "one", "two") == misused('unrecognized args: ["two"]')


async def test_results_are_set_in_order(bench: Bench, hook: FakeHook) -> None:
    action = hook.become_action()

    answer = await bench("action-set", "out=1", "deep.er.key=a=b\nc", "out=2", "empty=", "a-b.c1=x")

    assert answer == done()
    assert action.results == [
        (("out",), "1"),
        (("deep", "er", "key"), "a=b\nc"),
        (("out",), "2"),
        (("empty",), ""),
        (("a-b", "c1"), "x"),
    ]


async def test_no_results_are_no_error(bench: Bench, hook: FakeHook) -> None:
    hook.become_action()

    assert await bench("action-set") == done()


async def test_a_result_needs_a_value(bench: Bench, hook: FakeHook) -> None:
    action = hook.become_action()

    answer = await bench("action-set", "good=1", "bad")

    assert answer == misused('argument "bad" must be of the form key...=value')
    assert not action.results


@pytest.mark.parametrize("key", ["A", "-a", "a-", "a..b", ".a", "a.", "", "a_b", "ä", "a b"])
async def test_a_key_is_lowercase_alphanumeric(bench: Bench, hook: FakeHook, key: str) -> None:
    action = hook.become_action()

    answer = await bench("action-set", "--", f"{key}=value")

    assert answer == misused(
        f'key "{key}" must start and end with lowercase alphanumeric, '
        "and contain only lowercase alphanumeric, hyphens and periods"
    )
    assert not action.results


@pytest.mark.parametrize("key", ["stdout", "stderr", "stdout-encoding", "stderr-encoding", "stdout.x"])
async def test_what_the_action_prints_is_not_for_it_to_set(bench: Bench, hook: FakeHook, key: str) -> None:
    hook.become_action()

    answer = await bench("action-set", f"{key}=x")

    assert answer == misused(f'cannot set reserved action key "{key.partition(".")[0]}"')


async def test_a_failure_has_a_reason(bench: Bench, hook: FakeHook) -> None:
    action = hook.become_action()

    assert await bench("action-fail", "--", "--no disk") == done()
    assert await bench("action-fail") == done()
    assert action.failures == ["--no disk", "action failed without reason given, check action for errors"]


async def test_a_failure_has_one_reason_only(bench: Bench, hook: FakeHook) -> None:
    action = hook.become_action()

    assert await bench("action-fail", "one", "two", "three") == misused('unrecognized args: ["two" "three"]')
    assert not action.failures


async def test_progress_is_told_in_one_line(bench: Bench, hook: FakeHook) -> None:
    action = hook.become_action()

    assert await bench("action-log", "one") == done()
    assert await bench("function-log", "one", "two  three") == done()
    assert action.progress == ["one", "one two  three"]


async def test_no_progress_is_a_mistake(bench: Bench, hook: FakeHook) -> None:
    hook.become_action()

    answer = await bench("action-log")

    assert answer.code == 2
    assert answer.stderr.startswith("ERROR ")


async def test_no_arguments_are_looked_at_first(bench: Bench) -> None:
    """The order of the errors is Juju's: a key that is none is a misuse in a hook, too."""
    assert (await bench("action-set", "A=1")).code == 2
