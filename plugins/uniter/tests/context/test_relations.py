"""Relations as hooks see them: what is frozen, for how long, and what a hook sees of what it has set."""

from __future__ import annotations

from typing import Any

import pytest
from plugins.uniter.tests.stage import UNIT, Stage

from undercroft_hookspecs import NotFoundError, NotLeaderError, NotPermittedError, TooLarge
from undercroft_hookspecs.hook_facades import HookChanges, HookFacade
from undercroft_hookspecs.hook_tools import RelationsContext
from undercroft_hookspecs.relation_facades import LeadershipFacade, RelationFacade
from undercroft_uniter.context.factory import Contexts
from undercroft_uniter.context.relations import HookRelations
from undercroft_uniter.hook.info import HookInfo, HookKind
from undercroft_uniter.seams import Commands


class Seen:
    """The contexts of a unit's hooks, one after the other."""

    def __init__(self, stage: Stage, relation: int) -> None:
        self.stage, self.relation = stage, relation
        self.contexts = Contexts(stage.side)

    def hook(self, kind: str = "", unit: str = "") -> HookRelations:
        """In a hook of the relation, or one that has nothing to do with it."""
        info = HookInfo(kind=HookKind.UPDATE_STATUS)
        if kind:
            info = HookInfo(kind=HookKind(kind), relation=self.relation, remote_unit=unit, remote_application="mysql")
        found = self.contexts.for_hook(info, str(info.kind)).tools.get(RelationsContext)
        assert isinstance(found, HookRelations)
        return found

    async def say(self, value: str, unit: str = "mysql/0", *, application: bool = False) -> None:
        """Have the other side say something."""
        bag = {self.relation: {"said": value}}
        changes = HookChanges(application_settings=bag) if application else HookChanges(unit_settings=bag)
        await self.stage.of(unit, HookFacade).commit(changes)

    async def heard(self, hook: HookRelations, name: str = "mysql/0") -> str | None:
        """What a hook reads of it."""
        return (await hook.read(self.relation, name)).get("said")


@pytest.fixture
async def seen(stage: Stage) -> Seen:
    return Seen(stage, await stage.related())


async def test_a_member_s_settings_are_frozen_across_hooks(seen: Seen) -> None:
    await seen.say("one")
    assert await seen.heard(seen.hook("relation-joined", "mysql/0")) == "one"
    await seen.say("two")

    assert await seen.heard(seen.hook()) == "one"
    assert await seen.heard(seen.hook("relation-changed", "mysql/1")) == "one"


async def test_a_changed_hook_of_the_unit_shows_what_it_has_said_since(seen: Seen) -> None:
    await seen.say("one")
    await seen.heard(seen.hook("relation-joined", "mysql/0"))
    await seen.say("two")

    assert await seen.heard(seen.hook("relation-changed", "mysql/0")) == "two"


async def test_a_changed_hook_that_is_passed_over_shows_what_its_unit_has_said_since(seen: Seen) -> None:
    await seen.say("one")
    await seen.heard(seen.hook("relation-joined", "mysql/0"))
    await seen.say("two")

    for kind in (HookKind.RELATION_DEPARTED, HookKind.RELATION_CHANGED):
        assert await seen.heard(seen.hook()) == "one"
        info = HookInfo(kind=kind, relation=seen.relation, remote_unit="mysql/0", remote_application="mysql")
        seen.contexts.pass_over(info)

    assert await seen.heard(seen.hook()) == "two"


async def test_a_changed_hook_invalidates_its_own_unit_only(seen: Seen) -> None:
    await seen.say("one", "mysql/1")
    await seen.heard(seen.hook("relation-joined", "mysql/1"), "mysql/1")
    await seen.say("two", "mysql/1")

    hook = seen.hook("relation-changed", "mysql/0")

    assert await seen.heard(hook, "mysql/1") == "one"


async def test_a_hook_s_own_view_does_not_change_while_it_runs(seen: Seen) -> None:
    await seen.say("one")
    hook = seen.hook("relation-changed", "mysql/0")
    first = await seen.heard(hook)
    await seen.say("two")

    assert (first, await seen.heard(hook)) == ("one", "one")


async def test_who_joins_is_a_member_though_the_tracker_does_not_know_yet(seen: Seen) -> None:
    seen.stage.keep(seen.relation)

    hook = seen.hook("relation-joined", "mysql/0")

    assert hook.relations()[seen.relation].members == ("mysql/0",)
    assert hook.current is not None
    assert (str(hook.current), hook.remote_unit, hook.remote_application) == (
        f"db:{seen.relation}",
        "mysql/0",
        "mysql",
    )


async def test_who_departs_is_no_member_and_can_be_read(seen: Seen) -> None:
    await seen.say("one")
    await seen.heard(seen.hook("relation-joined", "mysql/0"))
    await seen.say("two")
    seen.stage.keep(seen.relation, "mysql/1")

    hook = seen.hook("relation-departed", "mysql/0")

    assert hook.relations()[seen.relation].members == ("mysql/1",)
    assert await seen.heard(hook) == "two"


async def test_whoever_is_no_member_is_read_once_in_each_hook(seen: Seen) -> None:
    seen.stage.keep(seen.relation)
    await seen.say("one")
    first = seen.hook()
    heard = [await seen.heard(first)]
    await seen.say("two")

    heard += [await seen.heard(first), await seen.heard(seen.hook())]

    assert heard == ["one", "one", "two"]


async def test_an_application_s_settings_are_those_of_one_hook_only(seen: Seen) -> None:
    assert await seen.stage.of("mysql/0", LeadershipFacade).claim()
    await seen.say("one", application=True)
    first = seen.hook()
    heard = [await seen.heard(first, "mysql")]
    await seen.say("two", application=True)

    heard += [await seen.heard(first, "mysql"), await seen.heard(seen.hook(), "mysql")]

    assert heard == ["one", "one", "two"]


async def test_in_a_broken_hook_there_is_no_remote_unit(seen: Seen) -> None:
    seen.stage.keep(seen.relation)

    hook = seen.hook("relation-broken")

    assert (hook.remote_unit, hook.remote_application) == ("", "mysql")


async def test_an_unknown_unit_and_relation_are_not_found_and_asked_for_again(seen: Seen) -> None:
    hook = seen.hook()

    for _ in range(2):
        with pytest.raises(NotFoundError, match="settings not found"):
            await hook.read(seen.relation, "mysql/7")
    with pytest.raises(NotFoundError, match='relation "99" not found'):
        await hook.read(99, "mysql/0")
    with pytest.raises(NotPermittedError):
        await hook.read(seen.relation, "stranger/0")


async def test_what_a_hook_sets_it_reads_back_and_nobody_else_does(seen: Seen) -> None:
    hook = seen.hook()
    before = dict(await hook.read(seen.relation, UNIT))

    await hook.set(seen.relation, {"said": "x", "private-address": ""}, application=False)

    after = await hook.read(seen.relation, UNIT)
    assert before["private-address"] == "10.0.0.1"
    assert after == {**{k: v for k, v in before.items() if k != "private-address"}, "said": "x"}
    assert await seen.stage.of("mysql/0", RelationFacade).read_settings(seen.relation, UNIT) == before


async def test_settings_are_written_when_the_hook_has_succeeded_and_are_one_change(seen: Seen) -> None:
    relation = seen.relation
    writes = f"relation-set -r {relation} said=x gone=; relation-set -r {relation} said=later more=z"
    text = f"{writes}; relation-get -r {relation} - {UNIT}"

    printed = await seen.stage.printed(text)

    stored = await seen.stage.of("mysql/0", RelationFacade).read_settings(relation, UNIT)
    assert "said: later" in printed
    assert (stored["said"], stored["more"]) == ("later", "z")
    assert "gone" not in stored


async def test_only_the_leader_reads_and_writes_its_application_s_settings(seen: Seen) -> None:
    hook = seen.hook()

    with pytest.raises(NotLeaderError):
        await hook.set(seen.relation, {"a": "b"}, application=True)
    with pytest.raises(NotLeaderError):
        await hook.read(seen.relation, "shop")


async def test_the_leader_reads_back_what_it_says_for_its_application(seen: Seen) -> None:
    await seen.stage.lead()
    hook = seen.hook()

    await hook.set(seen.relation, {"a": "b"}, application=True)

    assert await hook.read(seen.relation, "shop") == {"a": "b"}
    assert await seen.stage.of("mysql/0", RelationFacade).read_settings(seen.relation, "shop") == {}


async def test_peers_read_their_application_s_settings_whoever_leads(stage: Stage) -> None:
    relation = next(seen.relation.id for seen in await stage.side.facades.relation.relations())
    for unit in (UNIT, "shop/1"):
        await stage.of(unit, RelationFacade).enter_scope(relation)
    stage.see(relation, "cluster", "shop", "shop/1", is_peer=True)
    assert await stage.of("shop/1", LeadershipFacade).claim()
    await stage.of("shop/1", HookFacade).commit(HookChanges(application_settings={relation: {"said": "x"}}))

    hook = Seen(stage, relation).hook()

    assert await hook.read(relation, "shop") == {"said": "x"}


async def test_what_is_too_large_is_refused_at_once_and_the_rest_stays(seen: Seen) -> None:
    hook = seen.hook()
    await hook.set(seen.relation, {"a": "b"}, application=False)

    with pytest.raises(TooLarge):
        await hook.set(seen.relation, {"big": "x" * 300_000}, application=False)

    found = await hook.read(seen.relation, UNIT)
    assert found["a"] == "b"
    assert "big" not in found


async def test_a_relation_s_other_side_is_in_the_same_model(seen: Seen) -> None:
    assert await seen.hook().model_uuid(seen.relation) == str(seen.stage.world.model)


async def test_commands_see_the_relations_too(seen: Seen) -> None:
    context = seen.contexts.for_commands(Commands(text="", relation=seen.relation, remote_unit="mysql/0"))

    relations: Any = context.tools.get(RelationsContext)

    assert (relations.remote_unit, relations.remote_application) == ("mysql/0", "mysql")
