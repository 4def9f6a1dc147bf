"""The settings of a relation's members, as charms see them.

They are frozen: from one joined or changed hook of a unit to its next, every hook sees the same, however often the unit
has said something else since. So they outlive the hooks that read them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


class MemberSettings:
    """What is known of the members of one unit's relations."""

    def __init__(self) -> None:
        self._members: dict[int, set[str]] = {}
        self._settings: dict[tuple[int, str], Mapping[str, str]] = {}

    def prune(self, members: Mapping[int, Collection[str]]) -> None:
        """These are the members now, by relation: forget what all others have said."""
        self._members = {relation: set(units) for relation, units in members.items()}
        self._settings = {key: bag for key, bag in self._settings.items() if self.is_member(*key)}

    def members(self, relation: int) -> tuple[str, ...]:
        """A relation's members, sorted."""
        return tuple(sorted(self._members.get(relation, ())))

    def is_member(self, relation: int, unit: str) -> bool:
        """The unit is a member, so that what it says is kept."""
        return unit in self._members.get(relation, ())

    def invalidate(self, relation: int, unit: str) -> None:
        """The unit is a member, and has said something that is to be seen from now on."""
        self._members.setdefault(relation, set()).add(unit)
        self._settings.pop((relation, unit), None)

    def remove(self, relation: int, unit: str) -> None:
        """The unit is a member no longer."""
        self._members.get(relation, set()).discard(unit)
        self._settings.pop((relation, unit), None)

    def get(self, relation: int, unit: str) -> Mapping[str, str] | None:
        """What a member has said; None if it was not read yet, or is no member."""
        return self._settings.get((relation, unit))

    def put(self, relation: int, unit: str, settings: Mapping[str, str]) -> None:
        """Keep what a member has said; nothing for others."""
        if self.is_member(relation, unit):
            self._settings[(relation, unit)] = settings
