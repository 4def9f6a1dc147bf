"""Records in the store: where each kind lives, and how a kind is read, listed and followed.

A record is one key, its value the record as JSON. A kind's keys are `<prefix><id>`, with every part of the id that
comes from outside percent-quoted, so that no name can reach into another's keys.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar
from urllib.parse import quote, unquote

import msgspec

from undercroft_hookspecs.errors import UndercroftError

if TYPE_CHECKING:
    from undercroft_hookspecs.identity import ModelId
    from undercroft_hookspecs.store import Entry

R = TypeVar("R", bound=msgspec.Struct)


class RecordDamagedError(UndercroftError):
    """A record in the store cannot be read: it was written by something else, or by a newer version."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(key, reason)
        self.key, self.reason = key, reason

    def __str__(self) -> str:
        return f"the record {self.key} cannot be read ({self.reason}): upgrade undercroft-model, or restore a backup"


@dataclass(frozen=True, slots=True)
class Table(Generic[R]):
    """All records of one kind: of a model, or (`hosts/...`) of the whole store."""

    prefix: str
    kind: type[R]

    def key(self, *parts: str) -> str:
        """The key of one record; an id of several parts is given in parts."""
        return self.prefix + "/".join(quote(part, safe="") for part in parts)

    def parts(self, key: str) -> tuple[str, ...]:
        """The id that a key of this table stands for."""
        parts = tuple(key.removeprefix(self.prefix).split("/"))
        return tuple(map(unquote, parts)) if "%" in key else parts

    def under(self, *parts: str) -> str:
        """The prefix of all records whose id begins with these parts."""
        return self.key(*parts, "") if parts else self.prefix

    def decode(self, entry: Entry) -> R:
        """The record of an entry.

        Raises:
            RecordDamagedError: it is not one of this kind.
        """
        try:
            return msgspec.json.decode(entry.value, type=self.kind)
        except msgspec.DecodeError as error:
            raise RecordDamagedError(entry.key, str(error)) from error


@dataclass(frozen=True, slots=True)
class ModelTable(Generic[R]):
    """A kind of record that every model has of its own."""

    name: str
    kind: type[R]

    def of(self, model: ModelId) -> Table[R]:
        """The table in one model."""
        return Table(f"/models/{model}/{self.name}/", self.kind)
