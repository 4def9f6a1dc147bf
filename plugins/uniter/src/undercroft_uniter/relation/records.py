"""What a unit has seen in its relations, written down in one file: a change of it is whole, or not at all."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from undercroft_hookspecs import NotValidError
from undercroft_hookspecs.records import Record
from undercroft_uniter.relation.state import RelationState
from undercroft_uniter.statefile import read_state, write_state

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self


class _File(Record, frozen=True, kw_only=True):
    relations: tuple[RelationState, ...] = ()


class RelationRecords:
    """The states by relation; memory follows the file. One user at a time."""

    def __init__(self, path: Path, states: Mapping[int, RelationState]) -> None:
        self._path, self._states = path, dict(states)

    @classmethod
    async def open(cls, path: Path) -> Self:
        """Those that were written last.

        Raises:
            NotValidError: the file is damaged.
        """
        found = await read_state(path, _File) or _File()
        states = {state.id: state for state in found.relations}
        try:
            if len(states) < len(found.relations):
                raise NotValidError("a relation is in it twice", field="id")
            for state in found.relations:
                state.check()
        except NotValidError as error:
            raise NotValidError(f"{path} is damaged: {error}", field=path.name) from error
        return cls(path, states)

    def states(self) -> Mapping[int, RelationState]:
        """All of them, by id in order."""
        return {number: self._states[number] for number in sorted(self._states)}

    def get(self, relation: int) -> RelationState | None:
        """That of one relation."""
        return self._states.get(relation)

    async def put(self, state: RelationState) -> None:
        """Write one down; nothing if it is as it was."""
        if self._states.get(state.id) != state:
            await self._write({**self._states, state.id: state})

    async def remove(self, relations: Collection[int]) -> None:
        """Forget some; nothing for those that there are not."""
        left = {number: state for number, state in self._states.items() if number not in relations}
        if len(left) < len(self._states):
            await self._write(left)

    async def _write(self, states: Mapping[int, RelationState]) -> None:
        await write_state(self._path, _File(relations=tuple(states[number] for number in sorted(states))))
        self._states = dict(states)
