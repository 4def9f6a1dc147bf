"""storage-add, storage-get and storage-list."""

from __future__ import annotations

import re

import pytest
from plugins.uniter.tests.jujuc.tools.fakes import Bench, FakeHook, done, failure, misused

from undercroft_hookspecs.hook_tools import HookStorage


@pytest.fixture(autouse=True)
def _storage(hook: FakeHook) -> None:
    hook.storage.pieces = {
        "data/10": HookStorage(id="data/10", kind="filesystem", location="/srv/data/10"),
        "data/2": HookStorage(id="data/2", kind="filesystem", location="/srv/data/2"),
        "logs/0": HookStorage(id="logs/0", kind="block", location="/dev/loop0"),
    }


async def test_storage_is_asked_for(bench: Bench, hook: FakeHook) -> None:
    assert await bench("storage-add", "data") == done()
    assert await bench("storage-add", "data=2", "logs=1", "fast-disk") == done()
    assert hook.storage.asked == [{"data": 1}, {"data": 2, "logs": 1, "fast-disk": 1}]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["data="],
        ["data=0"],
        ["data=-1"],
        ["data=two"],
        ["data=1G"],
        ["data=loop"],
        ["data=2,loop"],
        ["=1"],
        ["data/0"],
        ["data", "data=2"],
        ["data=1", "logs=1M"],
        ["data=٣"],
        ["../x"],
    ],
)
async def test_only_a_count_can_be_asked_for(bench: Bench, hook: FakeHook, arguments: list[str]) -> None:
    assert (await bench("storage-add", *arguments)).code == 2
    assert not hook.storage.asked


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["kind"], "filesystem\n"),
        (["location"], "/srv/data/2\n"),
        (["location", "--format=json"], '"/srv/data/2"\n'),
        (["location", "--format=yaml"], "/srv/data/2\n"),
        (["--format=json"], '{"kind":"filesystem","location":"/srv/data/2"}\n'),
        (["--format=yaml"], "kind: filesystem\nlocation: /srv/data/2\n"),
        ([], "kind: filesystem\nlocation: /srv/data/2\n"),
        (["-s", "logs/0", "kind"], "block\n"),
        (["-s", "logs/0", "--format", "json"], '{"kind":"block","location":"/dev/loop0"}\n'),
    ],
)
async def test_a_piece_is_described(bench: Bench, hook: FakeHook, arguments: list[str], text: str) -> None:
    hook.storage.current = "data/2"

    assert await bench("storage-get", *arguments) == done(text)


async def test_other_attributes_are_refused(bench: Bench) -> None:
    answer = await bench("storage-get", "-s", "data/2", "size")

    assert answer == failure('invalid storage attribute "size", expected kind or location')


async def test_outside_a_storage_hook_a_piece_has_to_be_named(bench: Bench) -> None:
    assert await bench("storage-get") == misused("no storage instance specified")


@pytest.mark.parametrize(
    ("given", "reason"),
    [("data/7", "storage not found"), ("data", "invalid storage id"), ("data/x", "invalid storage id")],
)
async def test_a_piece_has_to_be_there(bench: Bench, given: str, reason: str) -> None:
    assert await bench("storage-get", "-s", given) == misused(f'invalid value "{given}" for option -s: {reason}')


async def test_old_ops_finds_the_storage_in_the_help(bench: Bench, hook: FakeHook) -> None:
    """Before JUJU_STORAGE_ID ops looked for the default of -s, at the start of a line and with nothing behind it."""
    hook.storage.current = "data/2"

    answer = await bench("storage-get", "--help")

    assert re.search(r"^-s\s+\(=\s+data/2\)\s*?$", answer.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "data/10\ndata/2\nlogs/0\n"),
        (["--format=json"], '["data/10","data/2","logs/0"]\n'),
        (["--format=yaml"], "- data/10\n- data/2\n- logs/0\n"),
        (["logs"], "logs/0\n"),
        (["dat"], ""),
        (["dat", "--format=json"], "[]\n"),
    ],
)
async def test_pieces_are_listed(bench: Bench, arguments: list[str], text: str) -> None:
    assert await bench("storage-list", *arguments) == done(text)


async def test_the_list_is_of_one_store(bench: Bench) -> None:
    assert await bench("storage-list", "a", "b") == misused('unrecognized args: ["b"]')
