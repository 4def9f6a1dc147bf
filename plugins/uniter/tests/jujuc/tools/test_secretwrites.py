"""secret-add, secret-set, secret-grant, secret-revoke and secret-remove."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from plugins.uniter.tests.jujuc.tools.fakes import Bench, FakeHook, done, failure, misused
from plugins.uniter.tests.jujuc.tools.parts import NOW

from undercroft_hookspecs.hook_tools import RelationContext
from undercroft_hookspecs.state import Secret

ID = "9m4e2mr0ui3e8a215n4g"
ADDED = done(f"secret:{ID}\n")
NOTHING = {"description": None, "rotation": None, "expires": None}


@pytest.fixture(autouse=True)
def _secrets(hook: FakeHook) -> None:
    for name in (ID, f"secret:{ID}", f"secret://model/{ID}", "label"):
        hook.secrets.owned[name] = Secret(id=ID, owner="shop", created=NOW, updated=NOW)
    hook.relations.add(RelationContext(id=1, endpoint="db", remote_application="mysql", members=("mysql/0",)))


async def test_a_secret_is_made(bench: Bench, hook: FakeHook) -> None:
    assert await bench("secret-add", "password=hun=ter2", "user=me") == ADDED
    assert hook.secrets.calls == [
        ("add", {"content": {"password": "hun=ter2", "user": "me"}, "owner": "application", "label": ""}),
        ("about", {"description": "", "rotation": "never", "expires": None}),
    ]


async def test_ops_gives_values_in_files(bench: Bench, hook: FakeHook) -> None:
    (bench.folder / "value").write_text("a\n")

    flags = ["--label", "L", "--description", "D", "--rotate", "daily", "--expire", "2030-01-01T06:06:06Z"]
    answer = await bench("secret-add", *flags, "--owner", "unit", f"key#file={bench.folder}/value", "dir#file=value")

    assert answer == ADDED
    assert hook.secrets.calls == [
        ("add", {"content": {"key": "a\n", "dir": "a\n"}, "owner": "unit", "label": "L"}),
        (
            "about",
            {"description": "D", "rotation": "daily", "expires": datetime(2030, 1, 1, 6, 6, 6, tzinfo=UTC)},
        ),
    ]


async def test_values_may_be_base64(bench: Bench, hook: FakeHook) -> None:
    assert await bench("secret-add", "key#base64=w6Q=", "--owner=unit") == ADDED
    assert hook.secrets.calls[0][1]["content"] == {"key": "ä"}


async def test_all_may_be_in_one_file(bench: Bench, hook: FakeHook) -> None:
    text = base64.b64encode(b"two").decode()

    answer = await bench("secret-add", "--file", "-", "one=1", stdin=f"one: x\ntwo#base64: {text}\n".encode())

    assert answer == ADDED
    assert hook.secrets.calls[0][1]["content"] == {"one": "1", "two": "two"}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["key#base64=%%%"], 1),
        (["key#base64=/w=="], 1),
        (["key#file=nothing-there"], 1),
        (["--file", "nothing-there"], 1),
        (["key#file=binary"], 1),
        (["key#yaml=hunter2"], 2),
        (["hunter2"], 2),
        (["=hunter2"], 2),
        (["key="], 2),
        (["key=hunter2", "key=hunter3"], 2),
        (["--rotate", "sometimes", "key=hunter2"], 2),
        (["--owner", "model", "key=hunter2"], 2),
        (["--file", "empty"], 2),
        ([], 2),
    ],
)
async def test_what_is_no_content_is_refused(bench: Bench, hook: FakeHook, arguments: list[str], code: int) -> None:
    (bench.folder / "binary").write_bytes(b"\xff")
    (bench.folder / "empty").touch()

    answer = await bench("secret-add", *arguments)

    assert answer.code == code
    assert answer.stderr.startswith("ERROR ")
    assert "hunter" not in answer.stderr
    assert not hook.secrets.calls


async def test_a_secret_without_a_value_is_none(bench: Bench) -> None:
    assert await bench("secret-add", "--label", "x") == misused("missing secret value or filename")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2030-01-01T06:06:06Z", datetime(2030, 1, 1, 6, 6, 6, tzinfo=UTC)),
        ("2030-01-01T06:06:06+02:00", datetime(2030, 1, 1, 4, 6, 6, tzinfo=UTC)),
        ("2030-01-01T06:06:06", datetime(2030, 1, 1, 6, 6, 6, tzinfo=UTC)),
        ("2030-01-01T06:06:06.123456", datetime(2030, 1, 1, 6, 6, 6, 123456, tzinfo=UTC)),
        ("2030-01-01T06:06:06.123456789Z", datetime(2030, 1, 1, 6, 6, 6, 123456, tzinfo=UTC)),
    ],
)
async def test_an_expiry_is_a_time_in_utc(bench: Bench, hook: FakeHook, text: str, moment: datetime) -> None:
    await bench("secret-add", "--expire", text, "key=value")

    assert hook.secrets.calls[1][1]["expires"] == moment


@pytest.mark.parametrize(
    ("text", "delay"),
    [
        ("24h", timedelta(hours=24)),
        ("1h30m", timedelta(minutes=90)),
        ("1.5h", timedelta(minutes=90)),
        ("90s", timedelta(seconds=90)),
        ("1000ms", timedelta(seconds=1)),
    ],
)
async def test_an_expiry_is_counted_from_now(bench: Bench, hook: FakeHook, text: str, delay: timedelta) -> None:
    await bench("secret-add", "--expire", text, "key=value")

    assert hook.secrets.calls[1][1]["expires"] == bench.clock.now() + delay


@pytest.mark.parametrize(
    "text", ["soon", "24", "-24h", "0s", "1d", "h", "24h!", "2030-13-01T00:00:00Z", "2030-01-", "999999999999h"]
)
async def test_what_is_no_expiry_is_refused(bench: Bench, text: str) -> None:
    assert await bench("secret-add", "--expire", text, "key=value") == misused(
        f'expire time or duration "{text}" not valid'
    )


@pytest.mark.parametrize("secret", [ID, f"secret:{ID}", f"secret://model/{ID}", "label"])
async def test_a_secret_gets_another_content(bench: Bench, hook: FakeHook, secret: str) -> None:
    assert await bench("secret-set", "--owner", "application", secret, "key=other") == done()
    assert hook.secrets.calls == [
        ("update", {"name": secret, "content": {"key": "other"}, "label": None}),
        ("about", NOTHING),
    ]


async def test_what_is_not_given_stays(bench: Bench, hook: FakeHook) -> None:
    assert await bench("secret-set", ID, "--description", "new", "--rotate", "never") == done()
    assert await bench("secret-set", ID, "--label", "L", "--expire", "2030-01-01") == done()
    assert hook.secrets.calls == [
        ("update", {"name": ID, "content": None, "label": None}),
        ("about", {**NOTHING, "description": "new", "rotation": "never"}),
        ("update", {"name": ID, "content": None, "label": "L"}),
        ("about", {**NOTHING, "expires": datetime(2030, 1, 1, tzinfo=UTC)}),
    ]


@pytest.mark.parametrize("arguments", [["-r", "db:1"], ["--relation", "1"]])
async def test_a_secret_is_granted_by_a_relation(bench: Bench, hook: FakeHook, arguments: list[str]) -> None:
    assert await bench("secret-grant", *arguments, ID) == done()
    assert await bench("secret-grant", ID, *arguments, "--unit", "mysql/0") == done()
    assert hook.secrets.calls == [
        ("grant", {"name": ID, "relation": 1, "unit": ""}),
        ("grant", {"name": ID, "relation": 1, "unit": "mysql/0"}),
    ]


async def test_the_relation_of_the_hook_is_the_default(bench: Bench, hook: FakeHook) -> None:
    assert await bench("secret-grant", ID) == misused("no relation id specified")
    assert await bench("secret-revoke", ID) == misused("missing relation, application or unit")
    hook.relations.current = hook.relations.known[1]

    assert await bench("secret-grant", ID) == done()
    assert await bench("secret-revoke", ID) == done()
    assert hook.secrets.calls == [
        ("grant", {"name": ID, "relation": 1, "unit": ""}),
        ("revoke", {"name": ID, "relation": 1, "application": "", "unit": ""}),
    ]


@pytest.mark.parametrize(
    ("arguments", "who"),
    [
        (["--relation", "1"], {"relation": 1, "application": "", "unit": ""}),
        (["--app", "mysql"], {"relation": None, "application": "mysql", "unit": ""}),
        (["--application", "mysql"], {"relation": None, "application": "mysql", "unit": ""}),
        (["--unit", "mysql/0"], {"relation": None, "application": "", "unit": "mysql/0"}),
        (["-r", "1", "--unit", "mysql/0"], {"relation": 1, "application": "", "unit": "mysql/0"}),
    ],
)
async def test_a_secret_is_revoked(bench: Bench, hook: FakeHook, arguments: list[str], who: dict[str, object]) -> None:
    assert await bench("secret-revoke", *arguments, ID) == done()
    assert hook.secrets.calls == [("revoke", {"name": ID, **who})]


async def test_a_secret_or_a_revision_is_removed(bench: Bench, hook: FakeHook) -> None:
    assert await bench("secret-remove", ID, "--revision", "3") == done()
    assert await bench("secret-remove", f"secret://model/{ID}") == done()
    assert hook.secrets.calls == [
        ("remove", {"name": ID, "revision": 3}),
        ("remove", {"name": f"secret://model/{ID}", "revision": None}),
    ]


@pytest.mark.parametrize("revision", ["0", "-1", "one", "1.0", "9" * 5000])
async def test_revisions_are_numbers(bench: Bench, hook: FakeHook, revision: str) -> None:
    assert (await bench("secret-remove", ID, "--revision", revision)).code == 2
    assert not hook.secrets.calls


CHANGES = [
    ["secret-set", "ID", "key=value"],
    ["secret-grant", "ID", "-r", "1"],
    ["secret-revoke", "ID", "-r", "1"],
    ["secret-remove", "ID"],
]


@pytest.mark.parametrize("command", CHANGES)
async def test_a_secret_that_is_not_there_is_not_found(bench: Bench, command: list[str]) -> None:
    arguments = [word.replace("ID", "secret:00000000000000000000") for word in command]

    assert await bench(arguments[0], *arguments[1:]) == failure('secret "00000000000000000000" not found')


@pytest.mark.parametrize("command", CHANGES)
async def test_the_application_s_secrets_are_the_leader_s(bench: Bench, hook: FakeHook, command: list[str]) -> None:
    hook.leadership.leads = False
    arguments = [word.replace("ID", ID) for word in command]

    assert await bench(arguments[0], *arguments[1:]) == failure("this unit is not the leader")
    assert await bench("secret-add", "key=value") == failure("this unit is not the leader")
    assert await bench("secret-add", "--owner=unit", "key=value") == ADDED


@pytest.mark.parametrize("command", CHANGES)
async def test_another_s_secret_is_not_to_be_changed(bench: Bench, hook: FakeHook, command: list[str]) -> None:
    hook.secrets.forbidden.add(ID)
    arguments = [word.replace("ID", ID) for word in command]

    assert await bench(arguments[0], *arguments[1:]) == failure("permission denied")


@pytest.mark.parametrize("tool", ["secret-set", "secret-grant", "secret-revoke", "secret-remove"])
async def test_a_secret_has_to_be_named(bench: Bench, tool: str) -> None:
    assert (await bench(tool)).code == 2
    assert await bench(tool, "") == misused("missing secret URI")
