from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st
from plugins.uniter.tests.sight import hook, members, seen, snapshot

from undercroft_hookspecs.relation_facades import RelationMembers
from undercroft_hookspecs.state import Life
from undercroft_uniter.hook.info import HookInfo, HookKind
from undercroft_uniter.relation.choice import Sight, following, next_hook, sight_of
from undercroft_uniter.relation.state import RelationState

KNOWN = RelationState(id=1, members={"mysql/0": 1}, is_created=True)


def sight(*, over: bool = False, peer: bool = False, leaving: str = "", **versions: int) -> Sight:
    present = members(**versions)
    return Sight(remote_application="mysql", members=present, is_over=over, is_peer=peer, departing_local_unit=leaving)


def test_nothing_is_due_where_nobody_is() -> None:
    assert next_hook(RelationState(id=1), sight()) is None


def test_a_new_unit_joins_with_its_version() -> None:
    assert next_hook(RelationState(id=1), sight(mysql_0=3)) == hook("joined", unit="mysql/0", change_version=3)


def test_who_joined_changes_though_the_version_is_equal() -> None:
    state = RelationState(id=1, members={"mysql/0": 3}, changed_pending="mysql/0")

    assert next_hook(state, sight(mysql_0=3)) == hook("changed", unit="mysql/0", change_version=3)


def test_who_joined_changes_though_it_has_left_and_the_relation_is_over() -> None:
    state = RelationState(id=1, members={"mysql/0": 3}, changed_pending="mysql/0")

    assert next_hook(state, sight(over=True)) == hook("changed", unit="mysql/0", change_version=0)


def test_another_version_is_a_change_be_it_higher_or_lower() -> None:
    state = replace_members(mysql_0=5)

    assert next_hook(state, sight(mysql_0=6)) == hook("changed", unit="mysql/0", change_version=6)
    assert next_hook(state, sight(mysql_0=2)) == hook("changed", unit="mysql/0", change_version=2)
    assert next_hook(state, sight(mysql_0=5)) is None


def test_who_has_left_departs_with_the_version_that_was_known() -> None:
    expected = hook("departed", unit="mysql/0", change_version=1, departing_unit="mysql/0")

    assert next_hook(KNOWN, sight()) == expected


def test_departures_come_before_everything_new() -> None:
    found = next_hook(KNOWN, sight(mysql=9, mysql_1=1))

    assert found is not None
    assert found.kind is HookKind.RELATION_DEPARTED


def test_an_application_s_change_comes_before_new_units() -> None:
    assert next_hook(RelationState(id=1), sight(mysql=2, mysql_0=1)) == hook("changed", change_version=2)


def test_an_application_that_never_said_anything_causes_nothing() -> None:
    state = RelationState(id=1, applications={"mysql": 2})

    assert next_hook(RelationState(id=1), sight()) is None
    assert next_hook(state, sight(mysql=2)) is None


def test_units_join_sorted_as_text() -> None:
    found = next_hook(RelationState(id=1), sight(mysql_2=1, mysql_10=1))

    assert found is not None
    assert found.remote_unit == "mysql/10"


def test_joining_comes_before_changes_of_others() -> None:
    found = next_hook(KNOWN, sight(mysql_0=2, mysql_1=1))

    assert found is not None
    assert (found.kind, found.remote_unit) == (HookKind.RELATION_JOINED, "mysql/1")


def test_what_is_over_departs_and_then_breaks() -> None:
    first = next_hook(KNOWN, sight(over=True, mysql_0=1))

    assert first == hook("departed", unit="mysql/0", change_version=1, departing_unit="mysql/0")
    assert next_hook(KNOWN.apply(first), sight(over=True, mysql_0=1)) == hook("broken")


def test_peers_depart_and_never_break() -> None:
    first = next_hook(KNOWN, sight(over=True, peer=True))

    assert first is not None
    assert first.kind is HookKind.RELATION_DEPARTED
    assert next_hook(KNOWN.apply(first), sight(over=True, peer=True)) is None


def test_it_is_the_unit_itself_that_departs_when_it_is_on_its_way_out() -> None:
    found = next_hook(KNOWN, sight(over=True, leaving="shop/0"))

    assert found is not None
    assert found.departing_unit == "shop/0"


def test_what_makes_a_relation_be_over() -> None:
    relation = seen(mysql_0=1)

    assert not sight_of(relation, snapshot(), unit="shop/0").is_over
    assert sight_of(relation, snapshot(life=Life.DYING), unit="shop/0").is_over
    assert sight_of(seen(suspended=True), snapshot(), unit="shop/0").is_over
    assert sight_of(seen(life=Life.DYING), snapshot(), unit="shop/0").is_over
    assert not sight_of(relation, snapshot(application_life=Life.DYING), unit="shop/0").is_over


def test_who_departs_is_said_of_a_dying_unit_or_application() -> None:
    relation = seen(mysql_0=1)

    assert sight_of(relation, snapshot(), unit="shop/0").departing_local_unit == ""
    assert sight_of(relation, snapshot(life=Life.DYING), unit="shop/0").departing_local_unit == "shop/0"
    dying = snapshot(application_life=Life.DYING)
    assert sight_of(relation, dying, unit="shop/0").departing_local_unit == "shop/0"


def replace_members(**versions: int) -> RelationState:
    return RelationState(id=1, members=members(**versions).units)


UNITS = tuple(f"mysql/{number}" for number in range(4))


@dataclass
class Remote:
    """The other side, as anything may happen to it; versions only ever differ."""

    units: dict[str, int] = field(default_factory=dict)
    applications: dict[str, int] = field(default_factory=dict)
    version: int = 0

    def happen(self, event: str, unit: str) -> None:
        self.version += 1
        if event == "say" and unit in self.units:
            self.units[unit] = self.version
        elif event == "enter":
            self.units.setdefault(unit, self.version)
        elif event == "leave":
            self.units.pop(unit, None)
        elif event == "application":
            self.applications["mysql"] = self.version

    def sight(self, *, is_over: bool, is_peer: bool) -> Sight:
        present = RelationMembers(units=dict(self.units), applications=dict(self.applications))
        return Sight(remote_application="mysql", members=present, is_over=is_over, is_peer=is_peer)


@dataclass
class Charm:
    """What a charm is told, and what it may count on."""

    state: RelationState = field(default_factory=lambda: RelationState(id=1))
    told: list[HookInfo] = field(default_factory=list)
    members: set[str] = field(default_factory=set)
    is_broken: bool = False

    def run(self, found: HookInfo) -> None:
        """Take one hook, with all that must be true of it."""
        assert not self.is_broken
        found.validate()
        self.state.validate(found)
        if self.told and self.told[-1].kind is HookKind.RELATION_JOINED:
            assert (found.kind, found.remote_unit) == (HookKind.RELATION_CHANGED, self.told[-1].remote_unit)
        if found.kind is HookKind.RELATION_JOINED:
            assert found.remote_unit not in self.members
            self.members.add(found.remote_unit)
        elif found.remote_unit:
            assert found.remote_unit in self.members
        if found.kind is HookKind.RELATION_DEPARTED:
            self.members.remove(found.remote_unit)
        if found.kind is HookKind.RELATION_BROKEN:
            assert not self.members
            self.is_broken = True
        else:
            self.state = self.state.apply(found)
            assert self.state.apply(found) == self.state
            assert set(self.state.members) == self.members
        self.told.append(found)

    def catch_up(self, sight: Sight) -> None:
        """Run whatever is due, until nothing is."""
        for _ in range(3 * len(UNITS) + 3):
            if self.is_broken or (found := next_hook(self.state, sight)) is None:
                return
            self.run(found)
        raise AssertionError(f"it does not end: {self.told[-5:]}")


EVENTS = st.tuples(st.sampled_from(["enter", "leave", "say", "application", "look"]), st.sampled_from(UNITS))


@given(st.lists(EVENTS, max_size=60), st.booleans(), st.booleans())
def test_any_history_is_told_in_order_and_to_its_end(history: list[tuple[str, str]], ends: bool, is_peer: bool) -> None:
    remote, charm = Remote(), Charm()

    for event, unit in history:
        remote.happen(event, unit)
        if event == "look" and (found := next_hook(charm.state, remote.sight(is_over=False, is_peer=is_peer))):
            charm.run(found)
    charm.catch_up(remote.sight(is_over=False, is_peer=is_peer))

    assert charm.state.members == remote.units
    assert charm.state.applications == remote.applications
    if ends:
        charm.catch_up(remote.sight(is_over=True, is_peer=is_peer))
        assert not charm.members
        assert charm.is_broken is not is_peer


@given(st.lists(st.tuples(EVENTS, st.booleans()), max_size=60))
def test_a_suspension_at_any_time_is_told_as_one_break(history: list[tuple[tuple[str, str], bool]]) -> None:
    remote, charm = Remote(), Charm()
    for (event, unit), is_suspended in history:
        remote.happen(event, unit)
        found = next_hook(charm.state, remote.sight(is_over=is_suspended, is_peer=False))
        if found is not None:
            charm.run(found)
        if charm.is_broken:
            # The unit leaves the scope, and enters it anew when the relation is resumed.
            charm = Charm()

    charm.catch_up(remote.sight(is_over=False, is_peer=False))

    assert charm.state.members == remote.units


def test_what_follows_is_what_would_be_due_one_after_the_other() -> None:
    present = sight(mysql=4, mysql_1=1, mysql_2=7)
    state, told = KNOWN, []
    first = due = next_hook(state, present)
    while due is not None:
        told.append(due)
        state = state.apply(due)
        due = next_hook(state, present)

    assert first is not None
    assert [first, *following(first, KNOWN, present)] == told
    assert len(told) == 6


def test_what_follows_ends_before_the_relation_breaks() -> None:
    present = sight(over=True)
    first = next_hook(KNOWN, present)

    assert first is not None
    assert first.kind is HookKind.RELATION_DEPARTED
    assert list(following(first, KNOWN, present)) == []
