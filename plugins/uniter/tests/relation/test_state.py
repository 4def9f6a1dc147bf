from __future__ import annotations

from pathlib import Path

import pytest
from plugins.uniter.tests.sight import hook

from undercroft_hookspecs import NotValidError
from undercroft_uniter.hook.info import HookInfo
from undercroft_uniter.relation.records import RelationRecords
from undercroft_uniter.relation.state import RelationState

NEW = RelationState(id=1)


def after(*hooks: HookInfo, state: RelationState = NEW) -> RelationState:
    """What hooks make of a state, each validated first; each applied twice, which is as once."""
    for each in hooks:
        state.validate(each)
        state = state.apply(each)
        assert state.apply(each) == state
    return state


def joined(unit: str, version: int = 1) -> tuple[HookInfo, HookInfo]:
    return hook("joined", unit=unit, change_version=version), hook("changed", unit=unit, change_version=version)


def test_who_joins_is_a_member_and_is_to_change() -> None:
    state = after(hook("joined", unit="mysql/0", change_version=7))

    assert (state.members, state.changed_pending) == ({"mysql/0": 7}, "mysql/0")


def test_after_changed_nothing_is_pending() -> None:
    state = after(*joined("mysql/0"))

    assert (state.members, state.changed_pending) == ({"mysql/0": 1}, "")


def test_changed_is_of_one_unit_alone() -> None:
    state = after(*joined("mysql/0"), *joined("mysql/1"), hook("changed", unit="mysql/1", change_version=9))

    assert state.members == {"mysql/0": 1, "mysql/1": 9}


def test_changed_of_an_application_is_kept_apart() -> None:
    state = after(*joined("mysql/0"), hook("changed", change_version=4))

    assert (state.members, state.applications) == ({"mysql/0": 1}, {"mysql": 4})


def test_who_departs_is_no_member_and_may_join_again() -> None:
    gone = after(*joined("mysql/0"), *joined("mysql/1"), hook("departed", unit="mysql/0"))
    back = after(hook("joined", unit="mysql/0", change_version=5), state=gone)

    assert gone.members == {"mysql/1": 1}
    assert (back.members["mysql/0"], back.changed_pending) == (5, "mysql/0")


def test_created_is_marked() -> None:
    assert after(hook("created")).is_created


def test_broken_may_follow_when_all_have_departed() -> None:
    after(*joined("mysql/0"), hook("departed", unit="mysql/0")).validate(hook("broken"))


@pytest.mark.parametrize(
    ("before", "refused"),
    [
        ((), hook("joined", relation=2, unit="mysql/0")),
        ((hook("joined", unit="mysql/0"),), hook("joined", unit="mysql/1")),
        ((*joined("mysql/1"), hook("joined", unit="mysql/0")), hook("changed", unit="mysql/1")),
        ((hook("joined", unit="mysql/0"),), hook("changed")),
        (joined("mysql/0"), hook("joined", unit="mysql/0")),
        (joined("mysql/0"), hook("changed", unit="mysql/7")),
        (joined("mysql/0"), hook("departed", unit="mysql/7")),
        (joined("mysql/0"), hook("broken")),
        ((hook("joined", unit="mysql/0"),), hook("departed", unit="mysql/0")),
        ((hook("created"),), hook("created")),
    ],
)
def test_what_does_not_follow_is_refused_by_name(before: tuple[HookInfo, ...], refused: HookInfo) -> None:
    state = after(*before)

    with pytest.raises(NotValidError, match=f"inappropriate {refused.kind}"):
        state.validate(refused)


async def test_records_are_none_where_nothing_was_written(tmp_path: Path) -> None:
    records = await RelationRecords.open(tmp_path / "new" / "relations.json")

    assert records.states() == {}
    assert not (tmp_path / "new" / "relations.json").exists()


async def test_records_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "relations.json"
    records = await RelationRecords.open(path)
    state = after(*joined("mysql/0", 7), hook("changed", change_version=3), hook("joined", unit="mysql/1"))
    await records.put(state)
    await records.put(RelationState(id=0, is_created=True))

    again = await RelationRecords.open(path)

    assert again.states() == {0: RelationState(id=0, is_created=True), 1: state}


async def test_a_record_that_was_removed_is_gone(tmp_path: Path) -> None:
    records = await RelationRecords.open(tmp_path / "relations.json")
    await records.put(NEW)

    await records.remove({1})
    await records.remove({1})

    assert (await RelationRecords.open(tmp_path / "relations.json")).get(1) is None


async def test_memory_stays_as_the_file_is_when_writing_fails(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    records = await RelationRecords.open(folder / "relations.json")
    folder.rmdir()

    with pytest.raises(FileNotFoundError):
        await records.put(NEW)

    assert records.get(1) is None


@pytest.mark.parametrize(
    "content",
    [
        "{",
        '{"relations": [{"members": {}}]}',
        '{"relations": [{"id": 1, "members": {"mysql/0": "new"}}]}',
        '{"relations": [{"id": 1, "members": {"../mysql": 1}}]}',
        '{"relations": [{"id": 1}, {"id": 1}]}',
        '{"relations": [{"id": 1, "changed_pending": "mysql/0"}]}',
    ],
)
async def test_a_damaged_file_is_named_and_left_alone(tmp_path: Path, content: str) -> None:
    path = tmp_path / "relations.json"
    path.write_text(content)

    with pytest.raises(NotValidError, match=f"{path} is damaged"):
        await RelationRecords.open(path)

    assert path.read_text() == content
