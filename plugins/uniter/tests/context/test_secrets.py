"""Secrets as hooks make, change and read them: each sees at once what it has done, and others when it has succeeded."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from plugins.uniter.tests.stage import UNIT, Stage

from undercroft_hookspecs import AlreadyExistsError, NotFoundError, NotLeaderError, NotValidError
from undercroft_hookspecs.hook_facades import HookChanges, HookFacade, SecretFacade, SecretUpdate
from undercroft_hookspecs.hook_tools import SecretsContext
from undercroft_uniter.context.factory import Contexts
from undercroft_uniter.context.pendingsecrets import secret_id_in
from undercroft_uniter.context.secrets import HookSecrets
from undercroft_uniter.hook.info import HookInfo, HookKind

THEN = datetime(2030, 1, 1, tzinfo=UTC)


class Hook:
    """A hook that does something to secrets."""

    def __init__(self, stage: Stage) -> None:
        context = Contexts(stage.side).for_hook(HookInfo(kind=HookKind.UPDATE_STATUS), "update-status")
        self.changes = context.changes
        found = context.tools.get(SecretsContext)
        assert isinstance(found, HookSecrets)
        self.secrets = found

    async def add(self, value: str = "one", **fields: str) -> str:
        """Make a secret of the unit."""
        return await self.secrets.add_secret({"key": value}, owner="unit", **fields)  # type: ignore[arg-type]

    async def read(self, name: str, *, refresh: bool = False, peek: bool = False) -> tuple[int, str]:
        """The revision, and what is in it."""
        found = await self.secrets.read_secret(name, refresh=refresh, peek=peek)
        return found.revision, found.content["key"]


async def kept(stage: Stage, value: str = "one", **fields: str) -> str:
    """A secret of the unit's that an earlier hook has made."""
    hook = Hook(stage)
    number = await hook.add(value, **fields)
    await hook.changes.commit()
    return number


async def remote_secret(stage: Stage) -> str:
    """A secret of mysql/0 that shop may read."""
    from undercroft_hookspecs.hook_facades import SecretCreate, SecretGrantChange

    relation = await stage.related()
    number = stage.of("mysql/0", SecretFacade).new_secret_id()
    made = SecretCreate(id=number, content={"key": "one"}, owner="unit")
    grant = SecretGrantChange(id=number, consumer="shop", relation=relation)
    await stage.of("mysql/0", HookFacade).commit(HookChanges(secrets=(made, grant)))
    return number


async def set_remote(stage: Stage, number: str, value: str) -> None:
    update = SecretUpdate(id=number, content={"key": value})
    await stage.of("mysql/0", HookFacade).commit(HookChanges(secrets=(update,)))


@pytest.mark.parametrize("form", ["{0}", "secret:{0}", "secret://model/{0}", "label"])
async def test_what_was_made_is_read_by_every_name_and_kept_at_the_end(stage: Stage, form: str) -> None:
    hook = Hook(stage)
    number = await hook.add(label="label")

    assert await hook.read(form.format(number)) == (1, "one")
    assert await stage.of(UNIT, SecretFacade).owned_secrets() == ()
    await hook.changes.commit()
    assert (await stage.of(UNIT, SecretFacade).read_secret(number)).content == {"key": "one"}


async def test_only_the_leader_makes_one_of_the_application(stage: Stage) -> None:
    with pytest.raises(NotLeaderError):
        await Hook(stage).secrets.add_secret({"key": "x"}, owner="application")

    await stage.lead()
    hook = Hook(stage)
    number = await hook.secrets.add_secret({"key": "x"}, owner="application", rotation="daily", expires=THEN)

    owned = (await hook.secrets.owned_secrets())[number].secret
    assert (owned.owner, owned.rotation, owned.expires) == ("shop", "daily", {1: THEN})


async def test_a_label_is_for_one_secret_of_an_owner(stage: Stage) -> None:
    await kept(stage, label="mine")
    hook = Hook(stage)
    other = await hook.add(label="other")

    for label in ("mine", "other"):
        with pytest.raises(AlreadyExistsError, match=f'secret with label "{label}" already exists'):
            await hook.add(label=label)
    with pytest.raises(AlreadyExistsError):
        await hook.secrets.update_secret(other, label="mine")
    await hook.secrets.update_secret(other, label="other")


async def test_an_update_of_a_new_secret_is_part_of_it(stage: Stage) -> None:
    hook = Hook(stage)
    number = await hook.add()

    await hook.secrets.update_secret(number, content={"key": "two"}, label="l", description="d", rotation="weekly")

    assert await hook.read("l") == (1, "two")
    assert len(hook.changes.current.secrets) == 1
    owned = (await hook.secrets.owned_secrets())[number].secret
    assert (owned.label, owned.description, owned.rotation, owned.latest) == ("l", "d", "weekly", 1)


async def test_several_updates_are_one_revision_and_seen_when_asked_for_the_latest(stage: Stage) -> None:
    number = await kept(stage, label="mine")
    hook = Hook(stage)
    await hook.read(number)

    await hook.secrets.update_secret("mine", content={"key": "two"})
    await hook.secrets.update_secret("mine", content={"key": "three"}, description="d")

    assert await hook.read(number) == (1, "one")
    assert await hook.read(number, peek=True) == (2, "three")
    assert (await hook.secrets.owned_secrets())[number].secret.latest == 2
    await hook.changes.commit()
    assert await Hook(stage).read(number, peek=True) == (2, "three")


async def test_a_changed_label_is_known_at_once(stage: Stage) -> None:
    number = await kept(stage, label="old")
    hook = Hook(stage)

    await hook.secrets.update_secret("old", label="new")

    assert (await hook.secrets.read_secret("new")).id == number
    await hook.secrets.update_secret("new", content={"key": "two"})


async def test_after_a_refresh_the_hook_and_the_next_ones_follow_the_latest(stage: Stage) -> None:
    number = await remote_secret(stage)
    first = Hook(stage)
    seen = [await first.read(number)]
    await set_remote(stage, number, "two")

    seen += [await first.read(number), await first.read(number, peek=True)]
    seen += [await first.read(number, refresh=True), await first.read(number)]
    before = await Hook(stage).read(number)
    await first.changes.commit()

    assert seen == [(1, "one"), (1, "one"), (2, "two"), (2, "two"), (2, "two")]
    assert before == (1, "one")
    assert await Hook(stage).read(number) == (2, "two")


async def test_a_refresh_that_is_dropped_is_as_if_it_had_not_been(stage: Stage) -> None:
    number = await remote_secret(stage)
    await Hook(stage).read(number)
    await set_remote(stage, number, "two")

    await stage.hook(f"secret-get {number} --refresh; exit 1")

    assert await Hook(stage).read(number) == (1, "one")


async def test_a_secret_of_another_is_not_found_for_writing(stage: Stage) -> None:
    number = await remote_secret(stage)

    with pytest.raises(NotFoundError):
        await Hook(stage).secrets.update_secret(number, content={"key": "mine"})
    with pytest.raises(NotFoundError):
        await Hook(stage).secrets.remove_secret("d" * 20)


async def test_a_minion_is_told_that_it_does_not_lead(stage: Stage) -> None:
    await stage.lead()
    hook = Hook(stage)
    number = await hook.secrets.add_secret({"key": "x"}, owner="application")
    await hook.changes.commit()
    stage.leading.leads = False
    await stage.side.facades.leadership.resign()

    with pytest.raises(NotLeaderError):
        await Hook(stage).secrets.update_secret(number, content={"key": "y"})
    assert await Hook(stage).read(number) == (1, "x")


async def test_what_was_removed_is_gone_at_once_and_for_others_at_the_end(stage: Stage) -> None:
    number = await kept(stage, label="mine")
    hook = Hook(stage)

    await hook.secrets.remove_secret("mine")

    assert await hook.secrets.owned_secrets() == {}
    for name in (number, "mine"):
        with pytest.raises(NotFoundError):
            await hook.read(name)
        with pytest.raises(NotFoundError):
            await hook.secrets.update_secret(name, content={"key": "x"})
    assert await Hook(stage).read(number) == (1, "one")
    await hook.changes.commit()
    with pytest.raises(NotFoundError):
        await Hook(stage).read(number)


async def test_what_is_made_and_removed_in_one_hook_never_was(stage: Stage) -> None:
    hook = Hook(stage)
    number = await hook.add()

    await hook.secrets.remove_secret(number)

    assert hook.changes.is_empty


async def test_one_revision_can_be_removed(stage: Stage) -> None:
    number = await kept(stage)
    hook = Hook(stage)
    await hook.secrets.update_secret(number, content={"key": "two"})
    await hook.changes.commit()
    last = Hook(stage)

    await last.secrets.remove_secret(number, revision=1)
    await last.changes.commit()

    assert (await Hook(stage).secrets.owned_secrets())[number].secret.revisions == (2,)


async def test_grants_are_seen_at_once_and_taken_back(stage: Stage) -> None:
    relation = await stage.related()
    number = await kept(stage)
    hook = Hook(stage)

    await hook.secrets.grant_secret(number, relation=relation)
    await hook.secrets.grant_secret(number, relation=relation, unit="mysql/1")
    granted = await hook.secrets.secret_grants(number)
    await hook.changes.commit()
    later = Hook(stage)
    await later.secrets.revoke_secret(number, unit="mysql/1")
    await later.secrets.revoke_secret(number, relation=relation)

    assert granted == {"mysql": relation, "mysql/1": relation}
    assert await later.secrets.secret_grants(number) == {}
    assert (await stage.of("mysql/0", SecretFacade).read_secret(number)).content == {"key": "one"}
    await later.changes.commit()
    with pytest.raises(NotFoundError):
        await stage.of("mysql/0", SecretFacade).read_secret(number)


async def test_a_new_secret_can_be_granted_in_the_hook_that_makes_it(stage: Stage) -> None:
    relation = await stage.related()
    hook = Hook(stage)
    number = await hook.add()

    await hook.secrets.grant_secret(number, relation=relation)

    assert await hook.secrets.secret_grants(number) == {"mysql": relation}
    await hook.changes.commit()
    assert (await stage.of("mysql/1", SecretFacade).read_secret(number)).content == {"key": "one"}


async def test_a_grant_needs_a_relation_that_there_is(stage: Stage) -> None:
    number = await kept(stage)

    with pytest.raises(NotFoundError, match='relation "77" not found'):
        await Hook(stage).secrets.grant_secret(number, relation=77)


async def test_content_that_is_not_valid_is_refused_at_once(stage: Stage) -> None:
    hook = Hook(stage)

    with pytest.raises(NotValidError):
        await hook.secrets.add_secret({"K": ""}, owner="unit")

    assert hook.changes.is_empty


async def test_a_charm_sees_its_own_writes_through_the_tools(stage: Stage) -> None:
    printed = await stage.printed(
        "id=$(secret-add --owner unit --label l key=one); secret-get $id; secret-set $id key=two;"
        " secret-get --label l; secret-ids; secret-info-get $id --format json"
    )

    assert printed.startswith("key: one\nkey: two\n")
    assert '"revision":1' in printed


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("c" * 20, "c" * 20),
        (f"secret:{'c' * 20}", "c" * 20),
        (f"secret://0a-1b/{'c' * 20}", "c" * 20),
        ("label", None),
        ("secret:label", None),
        ("", None),
    ],
)
def test_ids_are_told_from_labels(name: str, number: str | None) -> None:
    assert secret_id_in(name) == number
