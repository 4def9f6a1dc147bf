"""The facades of the model that the contexts of charm code work with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar

from undercroft_hookspecs.facades import BlobFacade, CharmFacade
from undercroft_hookspecs.hook_facades import HookFacade, SecretFacade
from undercroft_hookspecs.relation_facades import LeadershipFacade, RelationFacade
from undercroft_hookspecs.storage_facades import UnitStorageFacade
from undercroft_hookspecs.unit_facades import (
    ActionFacade,
    ApplicationFacade,
    ConfigFacade,
    MeterFacade,
    ModelFacade,
    NetworkFacade,
    ResourceFacade,
    StatusFacade,
    UnitFacade,
)

T = TypeVar("T")


class Finder(Protocol):
    """Finds a facade by its kind, as the manifold `model` does."""

    def __call__(self, kind: type[T], /) -> T:
        """The facade of that kind."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Facades:
    """One unit's facades."""

    action: ActionFacade
    application: ApplicationFacade
    blobs: BlobFacade
    charm: CharmFacade
    config: ConfigFacade
    hooks: HookFacade
    leadership: LeadershipFacade
    meter: MeterFacade
    model: ModelFacade
    network: NetworkFacade
    relation: RelationFacade
    resource: ResourceFacade
    secret: SecretFacade
    status: StatusFacade
    storage: UnitStorageFacade
    unit: UnitFacade

    @classmethod
    def found(cls, find: Finder) -> Facades:
        """All of them, as `find` gives them: `lambda kind: context.get("model", kind)`."""
        return cls(
            action=find(ActionFacade),
            application=find(ApplicationFacade),
            blobs=find(BlobFacade),
            charm=find(CharmFacade),
            config=find(ConfigFacade),
            hooks=find(HookFacade),
            leadership=find(LeadershipFacade),
            meter=find(MeterFacade),
            model=find(ModelFacade),
            network=find(NetworkFacade),
            relation=find(RelationFacade),
            resource=find(ResourceFacade),
            secret=find(SecretFacade),
            status=find(StatusFacade),
            storage=find(UnitStorageFacade),
            unit=find(UnitFacade),
        )
