from __future__ import annotations

from undercroft_uniter.context.members import MemberSettings


def test_nobody_is_a_member_at_first() -> None:
    members = MemberSettings()

    assert members.members(1) == ()
    assert members.get(1, "a/0") is None


def test_members_are_sorted() -> None:
    members = MemberSettings()

    members.prune({1: ["a/2", "a/0"], 2: ["b/0"]})

    assert members.members(1) == ("a/0", "a/2")


def test_what_a_member_has_said_is_kept_and_what_others_have_is_not() -> None:
    members = MemberSettings()
    members.prune({1: ["a/0"]})

    members.put(1, "a/0", {"k": "v"})
    members.put(1, "a/1", {"k": "w"})

    assert members.get(1, "a/0") == {"k": "v"}
    assert members.get(1, "a/1") is None


def test_invalidating_makes_a_member_and_forgets_what_it_has_said() -> None:
    members = MemberSettings()
    members.prune({1: ["a/0"]})
    members.put(1, "a/0", {"k": "v"})

    members.invalidate(1, "a/0")
    members.invalidate(1, "a/1")

    assert members.get(1, "a/0") is None
    assert members.members(1) == ("a/0", "a/1")


def test_removing_forgets_the_member_and_what_it_has_said() -> None:
    members = MemberSettings()
    members.prune({1: ["a/0"]})
    members.put(1, "a/0", {"k": "v"})

    members.remove(1, "a/0")
    members.remove(7, "a/0")

    assert members.members(1) == ()
    assert members.get(1, "a/0") is None


def test_pruning_keeps_what_those_have_said_who_stay() -> None:
    members = MemberSettings()
    members.prune({1: ["a/0", "a/1"], 2: ["b/0"]})
    for relation, unit in ((1, "a/0"), (1, "a/1"), (2, "b/0")):
        members.put(relation, unit, {"of": unit})

    members.prune({1: ["a/0", "a/2"]})

    assert members.get(1, "a/0") == {"of": "a/0"}
    assert members.get(1, "a/1") is None
    assert members.get(2, "b/0") is None
    assert members.members(1) == ("a/0", "a/2")
