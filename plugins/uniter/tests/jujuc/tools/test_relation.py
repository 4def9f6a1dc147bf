"""relation-get and relation-set."""

from __future__ import annotations

import json

import pytest
from plugins.uniter.tests.jujuc.tools.fakes import Bench, FakeHook, done, failure, misused

from undercroft_hookspecs.hook_tools import RelationContext
from undercroft_uniter.jujuc.command import Answer

DB = RelationContext(id=1, endpoint="db", remote_application="mysql", members=("mysql/0", "mysql/1"))
PEERS = RelationContext(id=2, endpoint="cluster", remote_application="shop", members=("shop/1",), is_peer=True)
MYSQL = {"host": "10.0.0.1", "port": "3306"}


@pytest.fixture(autouse=True)
def _relations(hook: FakeHook) -> None:
    relations = hook.relations
    relations.add(DB)
    relations.add(PEERS)
    relations.said = {
        (1, "mysql/0"): MYSQL,
        (1, "mysql/1"): {},
        (1, "mysql/9"): {"left": "long ago"},
        (1, "mysql"): {"cluster": "big"},
        (1, "shop/0"): {"mine": "1"},
        (1, "shop"): {"ours": "1"},
        (2, "shop"): {"peers": "1"},
        (2, "shop/1"): {"peer": "x"},
    }


def for_unit(hook: FakeHook) -> None:
    hook.relations.current = DB
    hook.relations.remote_unit, hook.relations.remote_application = "mysql/0", "mysql"


def for_application(hook: FakeHook) -> None:
    hook.relations.current, hook.relations.remote_application = DB, "mysql"


@pytest.mark.parametrize("tool", ["relation-get", "relation-set", "relation-list", "relation-model-get"])
async def test_without_a_relation_one_has_to_be_named(bench: Bench, tool: str) -> None:
    assert await bench(tool) == misused("no relation id specified")


@pytest.mark.parametrize("tool", ["relation-get", "relation-set", "relation-list", "relation-model-get"])
@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("9999", "relation not found"),
        ("db:9999", "relation not found"),
        ("db", "invalid relation id"),
        ("db:", "invalid relation id"),
        ("db:one", "invalid relation id"),
        ("-1", "invalid relation id"),
        ("²", "invalid relation id"),
        ("1" * 5000, "invalid relation id"),
    ],
)
async def test_a_relation_has_to_be_there(bench: Bench, tool: str, given: str, reason: str) -> None:
    expected = misused(f'invalid value "{given}" for option -r: {reason}')

    assert await bench(tool, "-r", given) == expected
    assert await bench(tool, f"--relation={given}") == expected


@pytest.mark.parametrize("given", ["1", "db:1", "whatever:1", "a:b:1"])
async def test_what_is_before_the_colon_does_not_matter(bench: Bench, given: str) -> None:
    assert await bench("relation-get", "-r", given, "host", "mysql/0") == done("10.0.0.1\n")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], '{"host":"10.0.0.1","port":"3306"}\n'),
        (["-"], '{"host":"10.0.0.1","port":"3306"}\n'),
        (["port"], '"3306"\n'),
        (["nothing"], "null\n"),
        (["-", "mysql/1"], "{}\n"),
        (["left", "mysql/9"], '"long ago"\n'),
        (["-", "shop/0"], '{"mine":"1"}\n'),
        (["--app"], '{"cluster":"big"}\n'),
        (["--app", "-", "mysql"], '{"cluster":"big"}\n'),
        (["--app", "cluster", "mysql/7"], '"big"\n'),
        (["--app", "-", "shop"], '{"ours":"1"}\n'),
        (["-r", "cluster:2", "--app", "-", "shop"], '{"peers":"1"}\n'),
        (["-r", "cluster:2", "peer", "shop/1"], '"x"\n'),
    ],
)
async def test_what_was_said_is_printed(bench: Bench, hook: FakeHook, arguments: list[str], text: str) -> None:
    for_unit(hook)

    assert await bench("relation-get", "--format=json", *arguments) == done(text)


@pytest.mark.parametrize(
    ("form", "everything", "one", "missing"),
    [
        ("smart", 'host: 10.0.0.1\nport: "3306"\n', "3306\n", ""),
        ("yaml", 'host: 10.0.0.1\nport: "3306"\n', '"3306"\n', ""),
        ("json", '{"host":"10.0.0.1","port":"3306"}\n', '"3306"\n', "null\n"),
    ],
)
async def test_each_format_has_its_own_way(
    bench: Bench, hook: FakeHook, form: str, everything: str, one: str, missing: str
) -> None:
    for_unit(hook)

    assert await bench("relation-get", "--format", form) == done(everything)
    assert await bench("relation-get", "--format", form, "port") == done(one)
    assert await bench("relation-get", "--format", form, "nothing") == done(missing)


async def test_without_a_remote_unit_the_application_is_meant(bench: Bench, hook: FakeHook) -> None:
    for_application(hook)

    assert await bench("relation-get", "cluster") == done("big\n")
    assert await bench("relation-get", "--app", "cluster") == done("big\n")


@pytest.mark.parametrize("flags", [["-r", "1"], ["-r", "db:1", "--app"], ["-r", "1", "host"], ["-r", "1", "-"]])
async def test_outside_a_relation_it_has_to_be_said_whose(bench: Bench, flags: list[str]) -> None:
    assert await bench("relation-get", *flags) == misused("no unit or application specified")


async def test_an_application_is_no_unit(bench: Bench, hook: FakeHook) -> None:
    for_unit(hook)

    answer = await bench("relation-get", "-", "mysql")

    assert answer == failure('"mysql" is not a valid unit name (for an application, say --app)')


async def test_a_unit_that_never_was_there_is_an_error(bench: Bench, hook: FakeHook) -> None:
    for_unit(hook)

    answer = await bench("relation-get", "-", "mysql/5")

    message = 'cannot read settings for unit "mysql/5" in relation "shop:db mysql:server": settings not found'
    assert answer == failure(message)


async def test_a_follower_may_not_read_what_its_application_says(bench: Bench, hook: FakeHook) -> None:
    for_unit(hook)
    hook.leadership.leads = False

    assert await bench("relation-get", "--app", "-", "shop") == failure("permission denied")
    assert await bench("relation-get", "-r", "2", "--app", "-", "shop", "--format=json") == done('{"peers":"1"}\n')


@pytest.mark.parametrize("arguments", [["-", "mysql/0"], ["--app", "-", "mysql"]])
async def test_a_relation_that_is_gone_is_not_for_it_to_read(
    bench: Bench, hook: FakeHook, arguments: list[str]
) -> None:
    for_unit(hook)
    hook.relations.gone.add(1)

    assert await bench("relation-get", *arguments) == failure("permission denied")


async def test_a_third_argument_is_one_too_many(bench: Bench, hook: FakeHook) -> None:
    for_unit(hook)

    assert await bench("relation-get", "a", "mysql/0", "b") == misused('unrecognized args: ["b"]')


async def test_settings_are_said_as_the_unit(bench: Bench, hook: FakeHook) -> None:
    for_unit(hook)

    answer = await bench("relation-set", "a= b c ", "d=e=f", "g=[1, {2}]", "gone=", "-r", "cluster:2")

    assert answer == done()
    assert hook.relations.written == [(2, {"a": "b c", "d": "e=f", "g": "[1, {2}]", "gone": ""}, False)]


async def test_no_settings_are_no_error(bench: Bench, hook: FakeHook) -> None:
    for_unit(hook)

    assert await bench("relation-set") == done()
    assert hook.relations.written == [(1, {}, False)]


@pytest.mark.parametrize("pair", ["nothing", "=value", " =value"])
async def test_a_pair_has_a_key_and_a_value(bench: Bench, hook: FakeHook, pair: str) -> None:
    for_unit(hook)

    answer = await bench("relation-set", "a=b", pair)

    assert answer.code == 2
    assert answer.stderr.startswith('ERROR expected "key=value", got ')
    assert not hook.relations.written


async def test_only_the_leader_speaks_for_the_application(bench: Bench, hook: FakeHook) -> None:
    for_unit(hook)

    assert await bench("relation-set", "--app", "a=b") == done()
    hook.leadership.leads = False
    assert await bench("relation-set", "--app", "c=d") == failure("cannot write relation settings")
    assert hook.relations.written == [(1, {"a": "b"}, True)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("{}", {}),
        ("---\n...\n", {}),
        ("~\n", {}),
        ("# nothing\n", {}),
        ("foo: bar\n", {"foo": "bar"}),
        ("foo: bar\nbaz: 1\n", {"foo": "bar", "baz": "1"}),
        ("{foo: bar, baz: qux}", {"foo": "bar", "baz": "qux"}),
        ("foo: 'a\n\n  b'\nbar: |\n  one\n  two\n", {"foo": "a\nb", "bar": "one\ntwo\n"}),
        ("yes: no\nnum: 1.50\nnull: null\nnone:\n", {"yes": "no", "num": "1.50", "": "", "none": ""}),
        ("? 'a b'\n:  c=d\n", {"a b": "c=d"}),
        ("a: !!python/unicode 'b'\n", {"a": "b"}),
        (
            json.dumps({"emoji": "\U0001f600", "tab": "\t", "empty": ""}),
            {"emoji": "\U0001f600", "tab": "\t", "empty": ""},
        ),
        (json.dumps({"n": 5, "yes": True, "no": None}), {"n": "5", "yes": "true", "no": ""}),
    ],
)
async def test_settings_are_read_from_a_file(bench: Bench, hook: FakeHook, text: str, expected: dict[str, str]) -> None:
    for_unit(hook)
    (bench.folder / "settings.yaml").write_text(text)

    from_file = await bench("relation-set", "--file", "settings.yaml")
    piped = await bench("relation-set", "--file=-", "-r", "1", stdin=text.encode())

    assert (from_file, piped) == (done(), done())
    assert hook.relations.written == [(1, expected, False)] * 2


async def test_arguments_win_over_the_file(bench: Bench, hook: FakeHook) -> None:
    for_unit(hook)

    await bench("relation-set", "--file", "-", "a=", "c=3", stdin=b"a: 1\nb: 2\n")

    assert hook.relations.written == [(1, {"a": "", "b": "2", "c": "3"}, False)]


@pytest.mark.parametrize(
    "text",
    [
        b"just text",
        b"[a, b]",
        b"- a: b\n",
        b"a: [b]\n",
        b"a: {b: c}\n",
        b"{a: b",
        b"a: b\n---\nc: d\n",
        b"{a: b}\n{c: d}\n",
        b"a: &x [lol]\nb: *x\n",
        b"a: \xff\n",
        b"\x00",
        b'["json"]',
        b'"json"',
    ],
)
async def test_a_file_that_is_no_map_of_texts_is_refused(bench: Bench, hook: FakeHook, text: bytes) -> None:
    for_unit(hook)

    answer = await bench("relation-set", "--file", "-", stdin=text)

    assert answer.code == 1
    assert answer.stderr.startswith("ERROR cannot parse the settings: ")
    assert not hook.relations.written


async def test_a_yaml_bomb_is_refused_at_its_first_list(bench: Bench, hook: FakeHook) -> None:
    for_unit(hook)
    bomb = "a0: &a0 [lol, lol]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 30))

    assert (await bench("relation-set", "--file", "-", stdin=bomb.encode())).code == 1


async def test_a_deep_hole_is_refused(bench: Bench, hook: FakeHook) -> None:
    for_unit(hook)

    assert (await bench("relation-set", "--file", "-", stdin=b"a: " + b"[" * 100_000)).code == 1
    assert (await bench("relation-set", "--file", "-", stdin=b'{"a":' * 100_000)).code == 1


async def test_a_large_file_is_read_like_a_small_one(bench: Bench, hook: FakeHook) -> None:
    for_unit(hook)

    answer = await bench("relation-set", "--file", "-", stdin=b"key: " + b"x" * 100_000)

    assert answer == done()
    assert hook.relations.written == [(1, {"key": "x" * 100_000}, False)]


async def test_a_file_that_is_not_there_fails_the_tool(bench: Bench, hook: FakeHook) -> None:
    for_unit(hook)

    assert await bench("relation-set", "--file", "no.yaml") == failure("cannot read no.yaml: No such file or directory")


async def test_a_format_is_taken_from_scripts_of_old(bench: Bench, hook: FakeHook) -> None:
    for_unit(hook)

    answer = await bench("relation-set", "--format", "foo", "a=b")

    assert answer == Answer(stderr='--format flag deprecated for command "relation-set"\n')
    assert hook.relations.written == [(1, {"a": "b"}, False)]


async def test_charmhelpers_finds_the_file_in_the_help(bench: Bench) -> None:
    answer = await bench("relation-set", "--help")

    assert answer.code == 0
    assert "--file" in answer.stdout


async def test_the_help_shows_the_relation_of_the_hook(bench: Bench, hook: FakeHook) -> None:
    for_unit(hook)

    assert "-r, --relation  (= db:1)" in (await bench("relation-get", "--help")).stdout
