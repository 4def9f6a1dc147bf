from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from plugins.uniter.tests.remotestate.conftest import Sight, settle
from plugins.uniter.tests.remotestate.fakes import APPLICATION, HASHES, START, UNIT, Scene, attachment
from plugins.uniter.tests.sight import members, seen

from undercroft import DeadError, outcome, stop
from undercroft.testing import FakeClock
from undercroft_hookspecs import NotFoundError, StoreUnavailable
from undercroft_hookspecs.state import Action, Life
from undercroft_hookspecs.unit_facades import ConfigHashes
from undercroft_uniter.errors import SourceFailed, UnitGone


def changed(**fields: Any) -> Any:  # of UNIT's own kind
    return msgspec.structs.replace(UNIT, **fields)


def action(number: int) -> Action:
    return Action(id=number, operation=number, unit="shop/0", name="backup", enqueued=START)


async def test_nothing_is_told_before_every_source_has_spoken(scene: Scene) -> None:
    watcher = await scene.watcher()
    sight = Sight(scene, watcher)

    for source, state in scene.first:
        assert await sight.is_quiet()
        with pytest.raises(RuntimeError, match="nothing is known"):
            watcher.snapshot()
        source.tell(state)

    await sight.next()
    assert await sight.is_quiet()
    await stop(watcher)


async def test_the_first_snapshot_is_what_the_sources_say(sight: Sight) -> None:
    snapshot = await sight.next()

    assert (snapshot.life, snapshot.resolved, snapshot.hashes) == (Life.ALIVE, "", HASHES)
    assert (snapshot.charm.url, snapshot.charm.sha256) == ("local:shop-0", "a")
    assert (snapshot.relations, snapshot.storage, snapshot.actions, snapshot.secrets) == ({}, {}, (), ())
    assert not snapshot.is_leader
    assert snapshot.leader_settings_version == 1
    assert snapshot.update_status_version == 0


async def test_a_change_of_the_unit_is_told(sight: Sight) -> None:
    await sight.next()

    sight.scene.units.source.tell(changed(life=Life.DYING, resolved="no-hooks", subordinates=("logging/0",)))

    snapshot = await sight.next()
    assert (snapshot.life, snapshot.resolved, snapshot.has_subordinates) == (Life.DYING, "no-hooks", True)
    assert await sight.is_quiet()


async def test_a_change_of_the_application_is_told(sight: Sight) -> None:
    await sight.next()
    newer = msgspec.structs.replace(
        APPLICATION, charm="b", charm_url="local:shop-1", charm_modified_version=3, force_charm=True, life=Life.DYING
    )

    sight.scene.application.tell(newer)

    snapshot = await sight.next()
    assert (snapshot.charm.url, snapshot.charm_modified_version, snapshot.force_charm) == ("local:shop-1", 3, True)
    assert snapshot.application_life is Life.DYING


async def test_a_change_of_config_trust_or_addresses_is_told(sight: Sight) -> None:
    await sight.next()
    hashes = ConfigHashes(config="c", trust="another", addresses="a")

    sight.scene.config.tell(hashes)

    assert (await sight.next()).hashes == hashes


async def test_leader_settings_are_told_by_a_version(sight: Sight) -> None:
    before = await sight.next()

    sight.scene.leader_settings.tell({"password": "x"})

    assert (await sight.next()).leader_settings_version != before.leader_settings_version


async def test_leadership_is_told_when_it_is_won_and_when_it_is_lost(sight: Sight) -> None:
    await sight.next()

    sight.scene.leadership.become(True)
    won = await sight.next()
    sight.scene.leadership.become(True)
    assert await sight.is_quiet()
    sight.scene.leadership.become(False)
    lost = await sight.next()

    assert (won.is_leader, lost.is_leader) == (True, False)


async def test_actions_are_those_that_wait(sight: Sight) -> None:
    await sight.next()

    sight.scene.actions.tell((action(1), action(2)))

    assert [each.id for each in (await sight.next()).actions] == [1, 2]


async def test_what_happens_while_nobody_asks_is_told_once(sight: Sight) -> None:
    await sight.next()
    sight.scene.actions.tell((action(1),))
    sight.scene.config.tell(ConfigHashes(config="d", trust="t", addresses="a"))
    sight.scene.actions.tell((action(1), action(2)))
    await settle()

    snapshot = await sight.next()

    assert (len(snapshot.actions), snapshot.hashes.config) == (2, "d")
    assert await sight.is_quiet()


async def test_a_hook_to_be_tried_again_is_told(sight: Sight) -> None:
    before = await sight.next()

    sight.watcher.retry_hook()

    assert (await sight.next()).retry_hook_version != before.retry_hook_version


async def test_commands_are_those_that_wait_and_are_not_done(sight: Sight) -> None:
    await sight.next()

    sight.scene.commands.wait_for(4, 5)
    assert (await sight.next()).commands == (4, 5)
    sight.watcher.command_done(4)

    assert sight.watcher.snapshot().commands == (5,)


async def test_storage_comes_changes_and_goes(sight: Sight) -> None:
    await sight.next()
    storage = sight.scene.storage

    storage.tell([attachment("data/0"), attachment("data/1", location="/srv/1")])
    snapshot = await sight.next()
    assert [each.location for each in snapshot.storage.values()] == ["", "/srv/1"]
    storage.tell([attachment("data/0", location="/srv/0")])
    assert (await sight.next()).storage == {"data/0": attachment("data/0", location="/srv/0")}
    storage.tell([attachment("data/0", location="/srv/0", life=Life.DYING)])
    assert (await sight.next()).storage["data/0"].life is Life.DYING
    storage.tell([])
    assert (await sight.next()).storage == {}


async def test_a_snapshot_that_is_changed_changes_nothing_else(sight: Sight) -> None:
    sight.scene.storage.tell([attachment("data/0")])
    await sight.next()

    sight.watcher.snapshot().storage.clear()  # type: ignore[attr-defined]
    sight.watcher.snapshot().relations[7] = seen(7)  # type: ignore[index]

    assert list(sight.watcher.snapshot().storage) == ["data/0"]
    assert sight.watcher.snapshot().relations == {}


async def test_resolved_is_cleared_in_the_model_and_in_the_snapshot(sight: Sight) -> None:
    sight.scene.units.source.tell(changed(resolved="retry-hooks"))
    await sight.next()

    await sight.watcher.clear_resolved()

    assert sight.watcher.snapshot().resolved == ""
    assert sight.scene.units.cleared == 1


async def test_news_from_before_resolved_was_cleared_does_not_bring_it_back(sight: Sight) -> None:
    sight.scene.units.source.tell(changed(resolved="retry-hooks"))
    await sight.next()
    await sight.watcher.clear_resolved()

    sight.scene.units.source.tell(changed(resolved="retry-hooks", workload_version="9"))
    late = await sight.next()

    assert late.resolved == ""


async def test_resolved_that_is_set_again_is_told(sight: Sight) -> None:
    sight.scene.units.source.tell(changed(resolved="retry-hooks"))
    await sight.next()
    await sight.watcher.clear_resolved()

    sight.scene.units.record = changed(resolved="retry-hooks")
    sight.scene.units.source.tell(sight.scene.units.record)

    assert (await sight.next()).resolved == "retry-hooks"


async def test_update_status_is_due_an_interval_later_give_or_take_a_fifth(sight: Sight) -> None:
    clock = sight.scene.clock
    assert isinstance(clock, FakeClock)
    before = await sight.next()

    await clock.advance(239)
    assert await sight.is_quiet()
    await clock.advance(122)
    first = await sight.next()
    await clock.advance(361)
    second = await sight.next()

    versions = {each.update_status_version for each in (before, first, second)}
    assert len(versions) == 3


async def test_another_interval_is_counted_from_anew_and_is_no_news(sight: Sight) -> None:
    clock = sight.scene.clock
    assert isinstance(clock, FakeClock)
    await sight.next()
    await clock.advance(200)

    sight.scene.interval.tell(1000.0)
    await clock.advance(790)
    assert await sight.is_quiet()
    await clock.advance(420)

    assert (await sight.next()).update_status_version == 1


async def test_a_relation_is_shown_when_its_members_are_known(sight: Sight) -> None:
    await sight.next()
    relation = seen(1)

    sight.scene.relations.source.tell((relation.relation,))
    assert await sight.is_quiet()
    sight.scene.relations.of(1).tell(members(mysql_0=3))

    snapshot = await sight.next()
    assert snapshot.relations == {1: seen(1, mysql_0=3)}
    assert await sight.is_quiet()


async def test_members_come_change_and_go(sight: Sight) -> None:
    sight.scene.relations.source.tell((seen(1).relation,))
    source = sight.scene.relations.of(1)
    source.tell(members(mysql_0=3))
    await settle()
    await sight.next()

    source.tell(members(mysql_0=3, mysql_1=1))
    assert (await sight.next()).relations[1].members == members(mysql_0=3, mysql_1=1)
    source.tell(members(mysql_1=1, mysql=4))
    assert (await sight.next()).relations[1].members == members(mysql_1=1, mysql=4)


async def test_a_relation_changes_and_goes(sight: Sight) -> None:
    relations = sight.scene.relations
    relations.source.tell((seen(1).relation,))
    relations.of(1).tell(members(mysql_0=3))
    await settle()
    await sight.next()

    relations.source.tell((seen(1, suspended=True).relation,))
    assert (await sight.next()).relations[1].is_suspended
    relations.source.tell((seen(1, life=Life.DYING).relation,))
    assert (await sight.next()).relations[1].life is Life.DYING
    relations.source.tell(())
    assert (await sight.next()).relations == {}
    assert relations.of(1).watchers == 0


async def test_the_end_of_one_relation_is_not_shown_before_its_successor(sight: Sight) -> None:
    """A subordinate would take it that it had lost its last relation."""
    relations = sight.scene.relations
    relations.source.tell((seen(1).relation,))
    relations.of(1).tell(members())
    await settle()
    await sight.next()

    relations.source.tell((seen(1, life=Life.DYING).relation, seen(2).relation))
    assert await sight.is_quiet()
    relations.of(1).tell(members(mysql_0=1))
    still = await sight.next()
    relations.of(2).tell(members())
    both = await sight.next()

    assert (still.relations[1].life, set(still.relations)) == (Life.ALIVE, {1})
    assert (both.relations[1].life, set(both.relations)) == (Life.DYING, {1, 2})


async def test_a_relation_that_is_gone_before_anybody_looked_is_ignored(sight: Sight) -> None:
    await sight.next()

    sight.scene.relations.of(1).tell(NotFoundError("1"))
    sight.scene.relations.source.tell((seen(1).relation, seen(2).relation))
    sight.scene.relations.of(2).tell(members())

    assert set((await sight.next()).relations) == {2}


async def test_a_relation_that_goes_while_it_is_watched_does_no_harm(sight: Sight) -> None:
    sight.scene.relations.source.tell((seen(1).relation,))
    sight.scene.relations.of(1).tell(members())
    await settle()
    await sight.next()

    sight.scene.relations.of(1).tell(NotFoundError("1"))
    sight.scene.relations.source.tell(())

    assert (await sight.next()).relations == {}


async def test_a_unit_that_is_removed_ends_the_watcher_with_just_that(sight: Sight) -> None:
    await sight.next()

    sight.scene.units.source.tell(NotFoundError("shop/0"))

    with pytest.raises(UnitGone, match="shop/0"):
        await sight.next()
    assert isinstance(await outcome(sight.watcher), UnitGone)


async def test_a_removed_unit_is_known_as_such_by_whatever_is_missed_first(sight: Sight) -> None:
    await sight.next()

    sight.scene.units.is_gone = True
    sight.scene.config.tell(NotFoundError("shop"))

    assert isinstance(await outcome(sight.watcher), UnitGone)


async def check_failure(sight: Sight, source: str) -> None:
    with pytest.raises(SourceFailed, match=f"the {source} of unit 'shop/0' cannot be followed") as caught:
        for _ in range(3):
            await sight.next()
    assert caught.value.source == source
    assert await outcome(sight.watcher) is caught.value
    assert sight.scene.units.source.watchers == 0


async def test_a_source_that_fails_ends_the_watcher_and_is_named(sight: Sight) -> None:
    sight.scene.config.tell(NotFoundError("shop"))

    await check_failure(sight, "config")


async def test_a_source_that_merely_ends_is_a_failure_too(sight: Sight) -> None:
    sight.scene.actions.tell(None)

    await check_failure(sight, "actions")


async def test_members_that_cannot_be_followed_end_the_watcher(sight: Sight) -> None:
    sight.scene.relations.source.tell((seen(1).relation,))
    sight.scene.relations.of(1).tell(None)

    await check_failure(sight, "relations")


async def test_an_outage_is_waited_for(sight: Sight) -> None:
    clock = sight.scene.clock
    assert isinstance(clock, FakeClock)
    await sight.next()

    sight.scene.storage.tell(StoreUnavailable())
    assert await sight.is_quiet()
    await clock.advance(5)
    sight.scene.storage.tell([attachment("data/0")])

    assert list((await sight.next()).storage) == ["data/0"]


async def test_who_waits_for_a_watcher_that_is_killed_hears_of_it(scene: Scene) -> None:
    watcher = await scene.watcher()
    waiting = asyncio.ensure_future(watcher.changed())

    await stop(watcher)

    with pytest.raises(DeadError):
        await waiting
