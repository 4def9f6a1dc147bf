"""secret-get, secret-info-get and secret-ids."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from plugins.uniter.tests.jujuc.tools.fakes import Bench, FakeHook, done, failure, misused
from plugins.uniter.tests.jujuc.tools.parts import NOW

from undercroft_hookspecs.state import Secret

ID = "9m4e2mr0ui3e8a215n4g"
URI = f"secret:{ID}"
LONG = f"secret://00000000-0000-4000-8000-000000000001/{ID}"
OTHER = "9m4e2mr0ui3e8a215n50"
SPELLINGS = [ID, URI, LONG]


@pytest.fixture(autouse=True)
def _secrets(hook: FakeHook) -> None:
    hook.secrets.content = {name: {"password": "hunter2", "user": "ädmin"} for name in (*SPELLINGS, "db-password")}
    hook.secrets.owned = {
        ID: Secret(
            id=ID,
            owner="shop",
            label="db-password",
            description="of the database",
            rotation="monthly",
            next_rotation=NOW,
            created=NOW,
            updated=NOW,
            latest=3,
            revisions=(2, 3),
            expires={3: datetime(2030, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))},
        ),
        OTHER: Secret(id=OTHER, owner="shop/0", created=NOW, updated=NOW),
    }


@pytest.mark.parametrize("secret", SPELLINGS)
async def test_a_secret_is_printed_however_it_is_spelt(bench: Bench, hook: FakeHook, secret: str) -> None:
    assert await bench("secret-get", "--format=json", secret) == done('{"password":"hunter2","user":"ädmin"}\n')
    assert hook.secrets.calls == [("read", {"name": secret, "label": "", "refresh": False, "peek": False})]


async def test_a_secret_is_printed_as_yaml_unless_said_otherwise(bench: Bench) -> None:
    assert await bench("secret-get", ID) == done("password: hunter2\nuser: ädmin\n")
    assert (await bench("secret-get", ID, "--format=smart")).code == 2


@pytest.mark.parametrize(
    ("key", "form", "text"),
    [
        ("password", "yaml", "hunter2\n"),
        ("password", "json", '"hunter2"\n'),
        ("user#base64", "yaml", "w6RkbWlu\n"),
    ],
)
async def test_one_value_is_printed(bench: Bench, key: str, form: str, text: str) -> None:
    assert await bench("secret-get", ID, key, "--format", form) == done(text)


async def test_a_key_has_to_be_there(bench: Bench) -> None:
    assert await bench("secret-get", ID, "nothing") == failure('secret key "nothing" not found')
    assert (await bench("secret-get", ID, "password#file")).code == 2
    assert await bench("secret-get", ID, "password", "x") == misused('unrecognized args: ["x"]')


async def test_a_label_alone_finds_a_secret(bench: Bench, hook: FakeHook) -> None:
    await bench("secret-get", "--label", "db-password", "--refresh")

    assert hook.secrets.calls == [("read", {"name": "db-password", "label": "", "refresh": True, "peek": False})]


async def test_a_label_with_an_id_is_the_unit_s_own(bench: Bench, hook: FakeHook) -> None:
    await bench("secret-get", URI, "--label", "mine", "--peek")

    assert hook.secrets.calls == [("read", {"name": URI, "label": "mine", "refresh": False, "peek": True})]


@pytest.mark.parametrize("secret", [OTHER, f"secret:{OTHER}", f"secret://model/{OTHER}"])
async def test_a_secret_that_is_not_for_the_unit_is_not_found(bench: Bench, secret: str) -> None:
    assert await bench("secret-get", secret) == failure(f'secret "{OTHER}" not found')
    assert await bench("secret-get", "--label", "no-such") == failure('secret "no-such" not found')


async def test_a_secret_has_to_be_named_one_way(bench: Bench) -> None:
    assert await bench("secret-get") == misused("require either a secret URI or label")
    assert await bench("secret-info-get") == misused("require either a secret URI or label")
    assert await bench("secret-info-get", ID, "--label", "x") == misused(
        "specify either a secret URI or label but not both"
    )
    assert await bench("secret-get", ID, "--refresh", "--peek") == misused(
        "specify one of --refresh and --peek, not both"
    )


@pytest.mark.parametrize("arguments", [[ID], [URI], [LONG], ["--label", "db-password"]])
async def test_what_is_known_of_a_secret_is_printed(bench: Bench, arguments: list[str]) -> None:
    assert await bench("secret-info-get", "--format=json", *arguments) == done(
        f'{{"{ID}":{{"revision":3,"label":"db-password","owner":"application","description":"of the database",'
        '"rotation":"monthly","expiry":"2030-01-01T00:00:00Z","rotates":"2026-01-02T03:04:05Z"}}\n'
    )


async def test_times_are_times_in_yaml(bench: Bench) -> None:
    answer = await bench("secret-info-get", ID)

    assert "  expiry: 2030-01-01T00:00:00Z\n  rotates: 2026-01-02T03:04:05Z\n" in answer.stdout


async def test_what_a_secret_has_not_is_left_out(bench: Bench) -> None:
    assert await bench("secret-info-get", OTHER) == done(
        f'{OTHER}:\n  revision: 1\n  label: ""\n  owner: unit\n  rotation: never\n'
    )


async def test_of_others_secrets_nothing_is_known(bench: Bench, hook: FakeHook) -> None:
    hook.secrets.owned = {}

    assert await bench("secret-info-get", URI) == failure(f'secret "{ID}" not found')
    assert await bench("secret-info-get", "--label", "x") == failure('secret "x" not found')


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        ([], f"{ID}\n{OTHER}\n"),
        (["--format=json"], f'["{ID}","{OTHER}"]\n'),
        (["--format=yaml"], f"- {ID}\n- {OTHER}\n"),
    ],
)
async def test_own_secrets_are_listed(bench: Bench, flags: list[str], text: str) -> None:
    assert await bench("secret-ids", *flags) == done(text)


async def test_who_owns_none_has_an_empty_list(bench: Bench, hook: FakeHook) -> None:
    hook.secrets.owned = {}

    assert await bench("secret-ids", "--format=json") == done("[]\n")
    assert await bench("secret-ids") == done()
    assert await bench("secret-ids", "x") == misused('unrecognized args: ["x"]')
