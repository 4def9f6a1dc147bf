"""What belongs to a unit or an application without lying under its name: found by reading all of it once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import msgspec

from undercroft_model.tables import (
    ACTIONS,
    CONFIG,
    LEADER_SETTINGS,
    LEADERS,
    METER,
    OPERATIONS,
    PORTS,
    RELATIONS,
    SECRET_CONSUMERS,
    SECRET_GRANTS,
    SECRET_REVISIONS,
    SECRETS,
    STATUS,
    STATUS_LOG,
    STORAGE_REQUESTS,
    UNIT_ACTIONS,
    UNIT_STATE,
    parts_of,
)

if TYPE_CHECKING:
    from undercroft_hookspecs.identity import ModelId
    from undercroft_hookspecs.state import Action, Relation, Secret
    from undercroft_hookspecs.store import Store
    from undercroft_model.rows import Operation, SecretConsumer, SecretGrant, SecretRevision
    from undercroft_model.table import ModelTable

R = TypeVar("R", bound=msgspec.Struct)
Found = Mapping[tuple[str, ...], R]


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftovers:
    """All records of a model that may belong to something that goes."""

    model: ModelId
    relations: Found[Relation]
    actions: Found[Action]
    operations: Found[Operation]
    secrets: Found[Secret]
    revisions: Found[SecretRevision]
    grants: Found[SecretGrant]
    consumers: Found[SecretConsumer]

    def of_unit(self, name: str) -> list[str]:
        """The keys that go with a unit, but for its own record."""
        model, parts = self.model, parts_of(name)
        keys = [table.of(model).key(*parts) for table in (PORTS, UNIT_STATE, METER, UNIT_ACTIONS, STORAGE_REQUESTS)]
        keys += [table.of(model).key(kind, *parts) for table in (STATUS, STATUS_LOG) for kind in ("unit", "agent")]
        keys += [ACTIONS.of(model).key(*parts) for parts, action in self.actions.items() if action.unit == name]
        # Not its leadership, which goes with the lease: the unit may be alive still, and believe in it for a while.
        return [*keys, *self._secrets_of(name)]

    def of_application(self, name: str) -> list[str]:
        """The keys that go with an application, but for its own record and its resources."""
        model = self.model
        keys = [table.of(model).key(name) for table in (CONFIG, LEADERS, LEADER_SETTINGS, METER)]
        keys += [table.of(model).key("application", name) for table in (STATUS, STATUS_LOG)]
        return [*keys, *self._secrets_of(name)]

    def of_relation(self, relation: int) -> list[str]:
        """The grants that last as long as a relation."""
        table = SECRET_GRANTS.of(self.model)
        return [table.key(*parts) for parts, grant in self.grants.items() if grant.relation == relation]

    def operations_without(self, gone: Sequence[str]) -> list[str]:
        """The operations none of whose tasks is left when the actions of these units are gone."""
        mine = {action.id for action in self.actions.values() if action.unit in gone}
        left = {action.id for action in self.actions.values()} - mine
        return [
            OPERATIONS.of(self.model).key(*parts)
            for parts, operation in self.operations.items()
            if mine.intersection(operation.tasks) and not left.intersection(operation.tasks)
        ]

    def _secrets_of(self, name: str) -> Iterator[str]:
        """What somebody owns, may read, and follows."""
        model, holder = self.model, parts_of(name)
        owned = {parts[0] for parts, secret in self.secrets.items() if secret.owner == name}
        yield from (SECRETS.of(model).key(secret) for secret in owned)
        yield from (SECRET_REVISIONS.of(model).key(*parts) for parts in self.revisions if parts[0] in owned)
        for table, found in ((SECRET_GRANTS, self.grants), (SECRET_CONSUMERS, self.consumers)):
            for parts in found:
                if parts[0] in owned or parts[1:] == holder:
                    yield table.of(model).key(*parts)


async def read_leftovers(store: Store, model: ModelId) -> Leftovers:
    """Read them, as they are now."""

    async def read(table: ModelTable[R]) -> Found[R]:
        rows = table.of(model)
        return {rows.parts(entry.key): rows.decode(entry) for entry in (await store.list(rows.prefix)).entries}

    return Leftovers(
        model=model,
        relations=await read(RELATIONS),
        actions=await read(ACTIONS),
        operations=await read(OPERATIONS),
        secrets=await read(SECRETS),
        revisions=await read(SECRET_REVISIONS),
        grants=await read(SECRET_GRANTS),
        consumers=await read(SECRET_CONSUMERS),
    )
