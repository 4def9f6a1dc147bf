"""The names of spooled files: order, size and identity of a commit, from the name alone, without opening it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from typing import Self

_FORM: Final = re.compile(
    r"([0-9]{20})-([0-9]{10})-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})-([0-9]{1,9})-([0-9]{1,9})\.b", re.ASCII
)


@dataclass(frozen=True, slots=True)
class FileName:
    """A spooled file: when it was made (nanoseconds since the epoch, never going back), which one of that run, the id
    of its first batch, how many batches are in it, and how many samples are in those."""

    created: int
    number: int
    id: str
    batches: int
    samples: int

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read a name; None where it is no spooled file's."""
        match = _FORM.fullmatch(text)
        if match is None:
            return None
        created, number, first, batches, samples = match.groups()
        return cls(int(created), int(number), first, int(batches), int(samples))

    def __str__(self) -> str:
        return f"{self.created:020d}-{self.number:010d}-{self.id}-{self.batches}-{self.samples}.b"
