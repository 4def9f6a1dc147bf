"""All facades of one unit, by their kind; each is made when it is first asked for, and once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from undercroft_hookspecs.facades import CharmFacade
from undercroft_hookspecs.hook_facades import HookFacade, SecretFacade
from undercroft_hookspecs.relation_facades import LeadershipFacade, RelationFacade
from undercroft_hookspecs.storage_facades import UnitStorageFacade
from undercroft_hookspecs.unit_facades import (
    ActionFacade,
    ApplicationFacade,
    ConfigFacade,
    ConnectionFacade,
    MeterFacade,
    MeterStatusFacade,
    ModelFacade,
    NetworkFacade,
    ResourceFacade,
    StatusFacade,
    UnitFacade,
)
from undercroft_model.unitside.config import OwnCharm, OwnConfig, OwnModel
from undercroft_model.unitside.connection import OwnConnection
from undercroft_model.unitside.hook import OwnHooks
from undercroft_model.unitside.host import OwnActions, OwnMeter, OwnNetwork, OwnResources
from undercroft_model.unitside.leadership import OwnLeadership
from undercroft_model.unitside.relation import OwnRelations
from undercroft_model.unitside.secret import OwnSecrets
from undercroft_model.unitside.storage import OwnStorage
from undercroft_model.unitside.unit import OwnApplication, OwnStatus, OwnUnit

if TYPE_CHECKING:
    from undercroft_model.encryption import Keyring
    from undercroft_model.storage.pools import Providers
    from undercroft_model.unitside.standpoint import Standpoint


class UnitFacades:
    """The facades of one unit."""

    def __init__(self, here: Standpoint, keyring: Keyring, providers: Callable[[], Providers]) -> None:
        leadership = OwnLeadership(here)
        self._made: dict[type, object] = {}
        self._makers: Mapping[type, Callable[[], object]] = {
            ActionFacade: lambda: OwnActions(here),
            ApplicationFacade: lambda: OwnApplication(here),
            CharmFacade: lambda: OwnCharm(here),
            ConfigFacade: lambda: OwnConfig(here),
            ConnectionFacade: lambda: OwnConnection(here),
            HookFacade: lambda: OwnHooks(here, keyring),
            LeadershipFacade: lambda: leadership,
            MeterFacade: lambda: OwnMeter(here),
            MeterStatusFacade: lambda: OwnMeter(here),
            ModelFacade: lambda: OwnModel(here),
            NetworkFacade: lambda: OwnNetwork(here),
            RelationFacade: lambda: OwnRelations(here),
            ResourceFacade: lambda: OwnResources(here),
            SecretFacade: lambda: OwnSecrets(here, keyring),
            StatusFacade: lambda: OwnStatus(here),
            UnitFacade: lambda: OwnUnit(here, leadership),
            UnitStorageFacade: lambda: OwnStorage(here, providers),
        }

    @property
    def kinds(self) -> tuple[type, ...]:
        """The kinds that there are."""
        return tuple(self._makers)

    def get(self, kind: type) -> object | None:
        """The facade of that kind, or None if there is none."""
        if kind not in self._made and kind in self._makers:
            self._made[kind] = self._makers[kind]()
        return self._made.get(kind)
