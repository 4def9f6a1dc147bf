"""Whether a charm has an endpoint of a relation: one of a newer charm waits until the unit has been upgraded."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from undercroft_hookspecs.charm import Charm
    from undercroft_hookspecs.relation_facades import UnitRelation


def is_implemented(relation: UnitRelation, charm: Charm) -> bool:
    """Whether the unit's side of a relation is an endpoint of its charm; an implicit one is of every charm."""
    if relation.is_implicit:
        return True
    wanted, spec = relation.endpoint, charm.endpoints.get(relation.endpoint.name)
    if spec is None or (spec.role, spec.interface) != (wanted.role, wanted.interface):
        return False
    # A relation of global scope does not fit an endpoint that wants units beside it alone.
    return wanted.scope == "container" or spec.scope == "global"
