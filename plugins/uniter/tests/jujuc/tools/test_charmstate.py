"""state-get, state-set and state-delete."""

from __future__ import annotations

import pytest
from plugins.uniter.tests.jujuc.tools.fakes import Bench, FakeHook, done, failure, misused


@pytest.fixture(autouse=True)
def _state(hook: FakeHook) -> None:
    hook.state.state = {"one": "1", "text": "{a: b}\n"}


@pytest.mark.parametrize("arguments", [[], ["-"], [""]])
async def test_all_of_it_is_printed(bench: Bench, arguments: list[str]) -> None:
    assert await bench("state-get", "--format=json", *arguments) == done('{"one":"1","text":"{a: b}\\n"}\n')


@pytest.mark.parametrize(("form", "text"), [("smart", "1\n"), ("yaml", '"1"\n'), ("json", '"1"\n')])
async def test_a_key_is_printed(bench: Bench, form: str, text: str) -> None:
    assert await bench("state-get", "one", "--format", form) == done(text)


@pytest.mark.parametrize(("form", "text"), [("smart", ""), ("yaml", '""\n'), ("json", '""\n')])
async def test_a_key_that_is_not_there_is_empty(bench: Bench, form: str, text: str) -> None:
    assert await bench("state-get", "two", "--format", form) == done(text)


async def test_strictly_a_key_has_to_be_there(bench: Bench) -> None:
    assert await bench("state-get", "--strict", "one") == done("1\n")
    assert await bench("state-get", "--strict", "two") == failure('"two" not found')
    assert await bench("state-get", "one", "two") == misused('unrecognized args: ["two"]')


async def test_pairs_are_kept(bench: Bench, hook: FakeHook) -> None:
    assert await bench("state-set", "a=b", "c=", "d=e=f") == done()
    assert hook.state.changes == [{"a": "b", "c": "", "d": "e=f"}]


async def test_a_file_is_kept_and_arguments_win(bench: Bench, hook: FakeHook) -> None:
    (bench.folder / "state").write_text('{"a": "1", "b": "x: y\\n"}')

    assert await bench("state-set", "--file", "state", "a=2") == done()
    assert await bench("state-set", "--file", "-", stdin=b"c: d\n") == done()
    assert hook.state.changes == [{"a": "2", "b": "x: y\n"}, {"c": "d"}]


@pytest.mark.parametrize("arguments", [[], ["--file", "-"]])
async def test_nothing_to_keep_is_no_error(bench: Bench, hook: FakeHook, arguments: list[str]) -> None:
    assert await bench("state-set", *arguments, stdin=b"") == done()
    assert not hook.state.changes


@pytest.mark.parametrize("pair", ["nothing", "=value"])
async def test_a_pair_has_a_key_and_a_value(bench: Bench, hook: FakeHook, pair: str) -> None:
    assert (await bench("state-set", pair)).code == 2
    assert not hook.state.changes


async def test_a_file_that_is_no_map_fails_the_tool(bench: Bench) -> None:
    assert (await bench("state-set", "--file", "-", stdin=b"[a]")).code == 1


async def test_keys_are_deleted(bench: Bench, hook: FakeHook) -> None:
    assert await bench("state-delete", "one") == done()
    assert await bench("state-delete", "nothing") == done()
    assert hook.state.changes == [{"one": None}, {"nothing": None}]


async def test_to_delete_nothing_is_no_error(bench: Bench, hook: FakeHook) -> None:
    assert await bench("state-delete") == done()
    assert not hook.state.changes
    assert await bench("state-delete", "a", "b") == misused('unrecognized args: ["b"]')
