"""What of the model is watched for a unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from undercroft_hookspecs.hook_facades import SecretFacade
from undercroft_hookspecs.relation_facades import LeadershipFacade, RelationFacade
from undercroft_hookspecs.storage_facades import UnitStorageFacade
from undercroft_hookspecs.unit_facades import ActionFacade, ApplicationFacade, ConfigFacade, ModelFacade, UnitFacade

if TYPE_CHECKING:
    from typing import Self

    from undercroft_hookspecs import Context


@dataclass(frozen=True, slots=True, kw_only=True)
class Facades:
    """The facades that the watcher needs, all of the same unit."""

    units: UnitFacade
    applications: ApplicationFacade
    config: ConfigFacade
    model: ModelFacade
    relations: RelationFacade
    leadership: LeadershipFacade
    actions: ActionFacade
    secrets: SecretFacade
    storage: UnitStorageFacade

    @classmethod
    def of(cls, context: Context) -> Self:
        """Those that the manifold `model` puts out."""
        return cls(
            units=context.get("model", UnitFacade),
            applications=context.get("model", ApplicationFacade),
            config=context.get("model", ConfigFacade),
            model=context.get("model", ModelFacade),
            relations=context.get("model", RelationFacade),
            leadership=context.get("model", LeadershipFacade),
            actions=context.get("model", ActionFacade),
            secrets=context.get("model", SecretFacade),
            storage=context.get("model", UnitStorageFacade),
        )
