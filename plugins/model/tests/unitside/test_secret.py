from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TypeVar

import pytest
from plugins.model.tests.conftest import World
from plugins.model.tests.unitside.conftest import Units

from undercroft_hookspecs import (
    AlreadyExistsError,
    NotFoundError,
    NotLeaderError,
    NotPermittedError,
    NotValidError,
    Put,
)
from undercroft_hookspecs.hook_facades import (
    ConsumedSecret,
    HookChanges,
    HookFacade,
    SecretCreate,
    SecretFacade,
    SecretGrantChange,
    SecretRemove,
    SecretTrack,
    SecretUpdate,
)
from undercroft_hookspecs.relation_facades import LeadershipFacade
from undercroft_model.encryption import SecretDamagedError
from undercroft_model.relations import remove_relation
from undercroft_model.tables import SECRET_REVISIONS

T = TypeVar("T")
Change = SecretCreate | SecretUpdate | SecretGrantChange | SecretRemove | SecretTrack

PLAIN = "correct-horse-battery-staple"


async def following(states: AsyncIterator[T]) -> T:
    async with asyncio.timeout(10):
        return await anext(states)


async def commit(units: Units, unit: str, *changes: Change) -> None:
    await units.of(unit, HookFacade).commit(HookChanges(secrets=changes))


async def created(units: Units, content: Mapping[str, str] | None = None, **fields: object) -> str:
    """A secret of mysql, whose leader is mysql/0, granted to shop by their relation."""
    relation = await units.related()
    await units.of("mysql/0", LeadershipFacade).claim()
    secret = units.of("mysql/0", SecretFacade).new_secret_id()
    create = SecretCreate(id=secret, content=content or {"password": PLAIN}, **fields)  # type: ignore[arg-type]
    await commit(units, "mysql/0", create, SecretGrantChange(id=secret, consumer="shop", relation=relation.id))
    return secret


async def read(units: Units, unit: str, name: str, **how: object) -> tuple[int, Mapping[str, str]]:
    found = await units.of(unit, SecretFacade).read_secret(name, **how)  # type: ignore[arg-type]
    return found.revision, found.content


async def test_a_secret_is_read_by_its_owner_and_by_whom_it_was_granted_to(units: Units) -> None:
    secret = await created(units)

    assert await read(units, "mysql/1", secret) == (1, {"password": PLAIN})
    assert await read(units, "shop/1", f"secret:{secret}") == (1, {"password": PLAIN})


async def test_a_consumer_follows_its_revision_until_it_asks_for_the_latest(units: Units) -> None:
    secret = await created(units)
    await read(units, "shop/0", secret)
    await commit(units, "mysql/0", SecretUpdate(id=secret, content={"password": "second"}))

    assert (await read(units, "shop/0", secret))[0] == 1
    assert (await read(units, "shop/0", secret, peek=True))[0] == 2
    assert (await read(units, "shop/0", secret, refresh=True))[0] == 2
    assert (await read(units, "shop/0", secret))[0] == 1
    await commit(units, "shop/0", SecretTrack(id=secret))
    assert await read(units, "shop/0", secret) == (2, {"password": "second"})


async def test_a_peek_follows_nothing(units: Units) -> None:
    secret = await created(units)
    await read(units, "shop/0", secret, peek=True)
    await commit(units, "mysql/0", SecretUpdate(id=secret, content={"password": "second"}))

    assert (await read(units, "shop/0", secret))[0] == 2


async def test_equal_content_makes_no_revision(units: Units) -> None:
    secret = await created(units)

    await commit(units, "mysql/0", SecretUpdate(id=secret, content={"password": PLAIN}))

    (owned,) = await units.of("mysql/0", SecretFacade).owned_secrets()
    assert owned.secret.latest == 1


async def test_labels_are_each_unit_s_own(units: Units) -> None:
    secret = await created(units, label="database")

    assert (await read(units, "mysql/1", "database"))[0] == 1
    with pytest.raises(NotFoundError):
        await read(units, "shop/0", "database")
    await read(units, "shop/0", secret, label="mine")
    assert (await read(units, "shop/0", "mine"))[0] == 1
    with pytest.raises(NotFoundError):
        await read(units, "shop/1", "mine")


async def test_an_owner_s_labels_are_not_given_twice(units: Units) -> None:
    await created(units, label="database")
    again = SecretCreate(
        id=units.of("mysql/0", SecretFacade).new_secret_id(), content={"password": "x"}, label="database"
    )

    with pytest.raises(AlreadyExistsError):
        await commit(units, "mysql/0", again)


async def test_what_was_not_granted_is_not_found(units: Units) -> None:
    await units.related()
    secret = units.of("mysql/0", SecretFacade).new_secret_id()
    await commit(units, "mysql/0", SecretCreate(id=secret, content={"password": PLAIN}, owner="unit"))

    with pytest.raises(NotFoundError):
        await read(units, "shop/0", secret)


async def test_what_was_revoked_is_not_found(units: Units) -> None:
    secret = await created(units)
    await read(units, "shop/0", secret)

    await commit(units, "mysql/0", SecretGrantChange(id=secret, consumer="shop", is_revoked=True))

    with pytest.raises(NotFoundError):
        await read(units, "shop/0", secret)


async def test_a_grant_ends_with_its_relation(units: Units) -> None:
    secret = await created(units)
    assert list((await units.of("mysql/0", SecretFacade).secret_grants(secret)).keys()) == ["shop"]
    relation = (await units.of("mysql/0", SecretFacade).secret_grants(secret))["shop"]
    assert relation is not None

    await units.world.run(remove_relation, relation)
    await units.world.reap()

    with pytest.raises(NotFoundError):
        await read(units, "shop/0", secret)


async def test_a_grant_goes_to_those_who_are_related_only(units: Units) -> None:
    secret = await created(units)
    peers = 0

    with pytest.raises(NotPermittedError):
        await commit(units, "mysql/0", SecretGrantChange(id=secret, consumer="shop", relation=peers))


async def test_only_the_leader_writes_to_its_application_s_secrets(units: Units) -> None:
    secret = await created(units)

    with pytest.raises(NotLeaderError):
        await commit(units, "mysql/1", SecretUpdate(id=secret, description="mine"))
    with pytest.raises(NotPermittedError):
        await commit(units, "shop/0", SecretUpdate(id=secret, description="mine"))
    assert await units.of("mysql/1", SecretFacade).owned_secrets() == ()


async def test_a_secret_that_is_removed_leaves_no_key_behind(units: Units) -> None:
    secret = await created(units)
    await read(units, "shop/0", secret)

    await commit(units, "mysql/0", SecretRemove(id=secret))

    assert not {key for key in await units.world.keys() if secret in key}


async def test_a_removed_revision_is_gone_and_the_last_one_takes_the_secret_with_it(units: Units) -> None:
    secret = await created(units)
    await commit(units, "mysql/0", SecretUpdate(id=secret, content={"password": "second"}))

    await commit(units, "mysql/0", SecretRemove(id=secret, revision=1))
    assert (await read(units, "shop/0", secret))[0] == 2
    await commit(units, "mysql/0", SecretRemove(id=secret, revision=2))

    with pytest.raises(NotFoundError):
        await read(units, "shop/0", secret)


async def test_a_secret_of_very_many_revisions_is_removed_too(units: Units) -> None:
    secret = await created(units)
    for number in range(60):
        await commit(units, "mysql/0", SecretUpdate(id=secret, content={"password": str(number)}))

    await commit(units, "mysql/0", SecretRemove(id=secret))

    assert not {key for key in await units.world.keys() if secret in key}


async def test_a_consumer_is_told_of_newer_revisions(units: Units) -> None:
    secret = await created(units)
    await units.of("shop/0", SecretFacade).read_secret(secret, label="mine")
    async with units.of("shop/0", SecretFacade).watch_consumed_secrets() as states:
        assert await following(states) == {}

        await commit(units, "mysql/0", SecretUpdate(id=secret, content={"password": "second"}))
        assert await following(states) == {secret: ConsumedSecret(latest=2, label="mine")}
        await commit(units, "shop/0", SecretTrack(id=secret))
        assert await following(states) == {}


async def test_an_owner_is_told_which_revisions_nobody_follows_any_more(units: Units) -> None:
    secret = await created(units)
    await read(units, "shop/0", secret)
    await commit(units, "mysql/0", SecretUpdate(id=secret, content={"password": "second"}))
    async with units.of("mysql/0", SecretFacade).watch_owned_secrets() as states:
        (owned,) = await following(states)
        assert owned.obsolete == ()

        await commit(units, "shop/0", SecretTrack(id=secret))

        (owned,) = await following(states)
        assert owned.obsolete == (1,)


async def test_rotation_is_due_an_interval_after_it_was_run_last(units: Units) -> None:
    secret = await created(units, rotation="hourly")
    facade = units.of("mysql/0", SecretFacade)
    (before,) = await facade.owned_secrets()
    assert before.secret.next_rotation is not None

    await facade.secret_rotated(secret)

    (after,) = await facade.owned_secrets()
    assert after.secret.next_rotation is not None
    assert after.secret.next_rotation > before.secret.next_rotation


@pytest.mark.parametrize("content", [{}, {"a": "too short a key"}, {"Key": "x"}, {"key": "x" * 600_000}])
async def test_content_that_is_none_is_refused(units: Units, content: dict[str, str]) -> None:
    await units.related()
    create = SecretCreate(id=units.of("shop/0", SecretFacade).new_secret_id(), content=content, owner="unit")

    with pytest.raises(NotValidError):
        units.of("shop/0", HookFacade).check(HookChanges(secrets=(create,)))


async def test_no_file_of_the_store_holds_what_a_secret_says(
    units: Units, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        secret = await created(units)
        found = await units.of("shop/0", SecretFacade).read_secret(secret)

    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(PLAIN.encode() in path.read_bytes() for path in files)
    assert not any(PLAIN.encode() in entry.value for entry in (await units.world.store.list("")).entries)
    assert PLAIN not in repr(found)
    assert PLAIN not in repr(SecretCreate(id=secret, content={"password": PLAIN}))
    assert PLAIN not in repr(SecretUpdate(id=secret, content={"password": PLAIN}))
    assert PLAIN not in caplog.text


async def test_a_revision_that_was_put_in_another_s_place_cannot_be_read(units: Units) -> None:
    secret = await created(units)
    await commit(units, "mysql/0", SecretUpdate(id=secret, content={"password": "second"}))
    await _swap(units.world, secret)

    with pytest.raises(SecretDamagedError, match=f"secret {secret}/2"):
        await read(units, "shop/0", secret)


async def _swap(world: World, secret: str) -> None:
    table = SECRET_REVISIONS.of(world.model)
    first = await world.store.get(table.key(secret, "1"))
    assert first is not None
    await world.store.transact([], [Put(table.key(secret, "2"), first.value)])
