"""relation-ids, relation-list and relation-model-get."""

from __future__ import annotations

import pytest
from plugins.uniter.tests.jujuc.tools.fakes import Bench, FakeHook, done, misused

from undercroft_hookspecs.hook_tools import RelationContext


def relation(number: int, endpoint: str, *members: str, is_dead: bool = False) -> RelationContext:
    return RelationContext(id=number, endpoint=endpoint, remote_application="mysql", members=members, is_dead=is_dead)


@pytest.fixture(autouse=True)
def _relations(hook: FakeHook) -> None:
    for one in (
        relation(10, "db", "mysql/1", "mysql/0", "mysql/10"),
        relation(9, "db"),
        relation(3, "db", is_dead=True),
        relation(4, "cache", "redis/0"),
    ):
        hook.relations.add(one)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["db"], "db:10\ndb:9\n"),
        (["db", "--format=json"], '["db:10","db:9"]\n'),
        (["--format", "yaml", "db"], "- db:10\n- db:9\n"),
        (["cache"], "cache:4\n"),
        (["nothing"], ""),
        (["nothing", "--format=json"], "[]\n"),
        (["nothing", "--format=yaml"], "[]\n"),
    ],
)
async def test_the_relations_of_an_endpoint_are_listed(bench: Bench, arguments: list[str], text: str) -> None:
    assert await bench("relation-ids", *arguments) == done(text)


async def test_the_default_is_the_endpoint_of_the_hook(bench: Bench, hook: FakeHook) -> None:
    hook.relations.current = hook.relations.known[4]

    assert await bench("relation-ids") == done("cache:4\n")
    assert await bench("relation-ids", "db") == done("db:10\ndb:9\n")


async def test_without_a_default_the_endpoint_has_to_be_named(bench: Bench) -> None:
    assert await bench("relation-ids") == misused("no endpoint name specified")
    assert await bench("relation-ids", "") == misused("no endpoint name specified")
    assert await bench("relation-ids", "a", "b") == misused('unrecognized args: ["b"]')


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["-r", "10"], "mysql/0\nmysql/1\nmysql/10\n"),
        (["-r", "db:10", "--format=json"], '["mysql/0","mysql/1","mysql/10"]\n'),
        (["--relation", "db:10", "--format=yaml"], "- mysql/0\n- mysql/1\n- mysql/10\n"),
        (["-r", "9"], ""),
        (["-r", "9", "--format=json"], "[]\n"),
        (["-r", "9", "--format=yaml"], "[]\n"),
        (["-r", "9", "--app"], "mysql\n"),
        (["-r", "9", "--app", "--format=json"], '"mysql"\n'),
    ],
)
async def test_the_members_of_a_relation_are_listed(bench: Bench, arguments: list[str], text: str) -> None:
    assert await bench("relation-list", *arguments) == done(text)


async def test_the_default_is_the_relation_of_the_hook(bench: Bench, hook: FakeHook) -> None:
    hook.relations.current = hook.relations.known[10]

    assert await bench("relation-list") == done("mysql/0\nmysql/1\nmysql/10\n")
    assert (await bench("relation-model-get", "--format=json")).stdout == (
        '{"uuid":"00000000-0000-4000-8000-000000000010"}\n'
    )


@pytest.mark.parametrize("tool", ["relation-list", "relation-model-get"])
async def test_a_relation_is_named_by_its_flag_only(bench: Bench, tool: str) -> None:
    assert await bench(tool, "-r", "9", "9") == misused('unrecognized args: ["9"]')


async def test_the_other_side_s_model_has_a_uuid(bench: Bench) -> None:
    uuid = "00000000-0000-4000-8000-000000000009"

    assert await bench("relation-model-get", "-r", "db:9") == done(f"uuid: {uuid}\n")
    assert await bench("relation-model-get", "-r", "9", "--format=json") == done(f'{{"uuid":"{uuid}"}}\n')
