from __future__ import annotations

from datetime import timedelta

import pytest
from plugins.uniter.tests.remotestate.conftest import Sight
from plugins.uniter.tests.remotestate.fakes import START, Scene, secret

from undercroft import stop
from undercroft.testing import FakeClock
from undercroft_hookspecs import NotValidError
from undercroft_hookspecs.hook_facades import ConsumedSecret
from undercroft_uniter.hook.info import HookInfo, HookKind

HOUR = timedelta(hours=1)


def due(kind: str, number: str, revision: int = 0, label: str = "") -> HookInfo:
    return HookInfo(kind=HookKind(f"secret-{kind}"), secret=number, secret_revision=revision, secret_label=label)


def clock_of(sight: Sight) -> FakeClock:
    assert isinstance(sight.scene.clock, FakeClock)
    return sight.scene.clock


async def test_a_secret_is_rotated_when_its_time_has_come(sight: Sight) -> None:
    await sight.next()
    sight.scene.secrets.owned.tell([secret("one", label="mine", next_rotation=START + HOUR)])
    assert (await sight.next()).secrets == ()

    await clock_of(sight).advance(3601)

    assert (await sight.next()).secrets == (due("rotate", "one", label="mine"),)


async def test_a_rotation_that_was_run_is_not_due_before_the_next_one(sight: Sight) -> None:
    sight.scene.secrets.owned.tell([secret("one", next_rotation=START)])
    await sight.next()

    await sight.watcher.secret_done(due("rotate", "one"))

    assert sight.scene.secrets.rotated == ["one"]
    assert sight.watcher.snapshot().secrets == ()
    sight.scene.secrets.owned.tell([secret("one", next_rotation=START + HOUR)])
    await sight.next()
    await clock_of(sight).advance(3601)
    assert (await sight.next()).secrets == (due("rotate", "one"),)


async def test_a_secret_that_its_rotation_removed_is_done_with(sight: Sight) -> None:
    sight.scene.secrets.owned.tell([secret("one", next_rotation=START)])
    await sight.next()
    sight.scene.secrets.gone.add("one")

    await sight.watcher.secret_done(due("rotate", "one"))

    assert sight.watcher.snapshot().secrets == ()


async def test_a_revision_expires_when_its_time_has_come(sight: Sight) -> None:
    expires = {1: START + HOUR, 2: START + 2 * HOUR, 7: START}
    sight.scene.secrets.owned.tell([secret("one", latest=2, revisions=(1, 2), expires=expires)])
    await sight.next()

    await clock_of(sight).advance(3601)
    assert (await sight.next()).secrets == (due("expired", "one", 1),)
    await clock_of(sight).advance(3601)
    assert (await sight.next()).secrets == (due("expired", "one", 1), due("expired", "one", 2))


async def test_an_expired_revision_that_stays_is_told_again_later_and_later(sight: Sight) -> None:
    sight.scene.secrets.owned.tell([secret("one", expires={1: START})])
    await sight.next()
    again = []

    for _ in range(3):
        await sight.watcher.secret_done(due("expired", "one", 1))
        assert sight.watcher.snapshot().secrets == ()
        before = clock_of(sight).monotonic()
        while not sight.watcher.snapshot().secrets:
            await clock_of(sight).advance(60)
        again.append(clock_of(sight).monotonic() - before)

    assert again == [300, 600, 1200]


async def test_a_newer_revision_is_told_once(sight: Sight) -> None:
    consumed = sight.scene.secrets.consumed
    consumed.tell({"one": ConsumedSecret(latest=2, label="theirs")})
    assert (await sight.next()).secrets == (due("changed", "one", 2, "theirs"),)

    await sight.watcher.secret_done(due("changed", "one", 2, "theirs"))
    assert sight.watcher.snapshot().secrets == ()
    consumed.tell({"one": ConsumedSecret(latest=3, label="theirs")})

    assert (await sight.next()).secrets == (due("changed", "one", 3, "theirs"),)


async def test_an_obsolete_revision_is_told_once(sight: Sight) -> None:
    owned = sight.scene.secrets.owned
    owned.tell([secret("one", latest=2, revisions=(1, 2), obsolete=(1,))])
    assert (await sight.next()).secrets == (due("remove", "one", 1),)

    await sight.watcher.secret_done(due("remove", "one", 1))
    assert sight.watcher.snapshot().secrets == ()
    owned.tell([secret("one", latest=3, revisions=(1, 2, 3), obsolete=(1, 2))])

    assert (await sight.next()).secrets == (due("remove", "one", 2),)


async def test_what_was_told_is_remembered_over_a_restart(scene: Scene) -> None:
    async def begin() -> Sight:
        scene.secrets.owned.tell([secret("one", latest=2, revisions=(1, 2), obsolete=(1,))])
        scene.secrets.consumed.tell({"two": ConsumedSecret(latest=2)})
        for source, state in scene.first:
            if source not in (scene.secrets.owned, scene.secrets.consumed):
                source.tell(state)
        return Sight(scene, await scene.watcher())

    sight = await begin()
    for hook in (await sight.next()).secrets:
        await sight.watcher.secret_done(hook)
    await stop(sight.watcher)

    again = await begin()

    assert (await again.next()).secrets == ()
    await stop(again.watcher)


async def test_what_nobody_asks_for_any_more_is_forgotten(sight: Sight) -> None:
    secrets = sight.scene.secrets
    secrets.consumed.tell({"one": ConsumedSecret(latest=2)})
    await sight.next()
    await sight.watcher.secret_done(due("changed", "one", 2))

    secrets.consumed.tell({"two": ConsumedSecret(latest=2)})
    await sight.next()
    await sight.watcher.secret_done(due("changed", "two", 2))

    assert "one" not in sight.scene.path.read_text()
    assert "two" in sight.scene.path.read_text()


async def test_what_has_its_time_comes_first_and_the_earliest_of_it(sight: Sight) -> None:
    sight.scene.secrets.consumed.tell({"one": ConsumedSecret(latest=2)})
    late = secret("two", next_rotation=START - HOUR)
    later = secret("three", expires={1: START - 2 * HOUR}, latest=2, revisions=(1, 2), obsolete=(1,))
    sight.scene.secrets.owned.tell([late, later])

    assert (await sight.next()).secrets == (
        due("expired", "three", 1),
        due("rotate", "two"),
        due("changed", "one", 2),
        due("remove", "three", 1),
    )


async def test_the_loss_of_leadership_takes_its_secrets_away(sight: Sight) -> None:
    sight.scene.secrets.owned.tell([secret("one", next_rotation=START)])
    assert (await sight.next()).secrets

    sight.scene.secrets.owned.tell([])

    assert (await sight.next()).secrets == ()


async def test_a_damaged_file_is_named(scene: Scene) -> None:
    scene.path.write_text("[]")

    with pytest.raises(NotValidError, match=str(scene.path)):
        await scene.watcher()
