"""A total order that can be mended in place: a list whose members know their rank, whatever is put between them."""

from __future__ import annotations

from itertools import count

# Halving a gap this wide takes 256 insertions at one and the same place, and then everything is ranked anew.
_GAP = 1 << 256


class Ranked:
    """A member of an order: of two members, the one with the lower rank comes first."""

    __slots__ = ("after", "before", "rank")

    def __init__(self) -> None:
        self.rank = 0
        self.before: Ranked = self
        self.after: Ranked = self


class Order:
    """A doubly linked ring through `ends`, which stands before the first member and after the last."""

    __slots__ = ("_ends",)

    def __init__(self) -> None:
        self._ends = Ranked()

    def prepend(self, member: Ranked) -> None:
        """Put a new member first."""
        self.insert(member, self._ends)

    def append(self, member: Ranked) -> None:
        """Put a new member last."""
        self.insert(member, self._ends.before)

    def insert(self, member: Ranked, anchor: Ranked) -> None:
        """Put a new member right after another one."""
        member.before, member.after = anchor, anchor.after
        anchor.after.before = member
        anchor.after = member
        low = member.after.rank - 2 * _GAP if anchor is self._ends else anchor.rank
        high = member.before.rank + 2 * _GAP if member.after is self._ends else member.after.rank
        member.rank = (low + high) // 2
        if member.rank == low:
            self._rank_anew()

    def remove(self, member: Ranked) -> None:
        """Take a member out."""
        member.before.after, member.after.before = member.after, member.before
        member.before = member.after = member

    def _rank_anew(self) -> None:
        member = self._ends.after
        for place in count():
            if member is self._ends:
                return
            member.rank = place * _GAP
            member = member.after
