"""Units and their facades."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import pytest
from plugins.model.tests.conftest import HERE, MYSQL, World, charm, endpoints

from undercroft_hookspecs import HostId
from undercroft_hookspecs.charm import OptionSpec, StorageSpec
from undercroft_hookspecs.state import Relation
from undercroft_model.encryption import Keyring
from undercroft_model.hosts import register_host
from undercroft_model.unitside.facades import UnitFacades
from undercroft_model.unitside.standpoint import Standpoint

T = TypeVar("T")

SHOP = charm(
    "shop",
    endpoints("requirer", "db:mysql"),
    endpoints("peer", "cluster"),
    options={"colour": OptionSpec(default="red"), "size": OptionSpec(type="int")},
    storage={"data": StorageSpec(maximum=None)},
    extra_bindings=("public",),
)


class Units:
    """The units of a model, each with its facades: `units.of("mysql/0", UnitFacade)`."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self._keyring = Keyring(world.store, default=folder / "secrets.key")
        self._facades: dict[str, UnitFacades] = {}

    def of(self, unit: str, kind: type[T]) -> T:
        """A facade of a unit."""
        if unit not in self._facades:
            world = self.world
            here = Standpoint(
                store=world.store,
                model=world.model,
                unit=unit,
                host=HostId.parse(HERE.id),
                clock=world.clock,
                rng=world.rng,
            )
            self._facades[unit] = UnitFacades(here, self._keyring, dict)
        found = self._facades[unit].get(kind)
        assert isinstance(found, kind)
        return found

    async def related(self) -> Relation:
        """Two shops related to a mysql; nobody has entered yet."""
        await self.world.change(lambda tx: register_host(tx, HERE))
        await self.world.deploy(SHOP, units=2)
        await self.world.deploy(MYSQL, units=2)
        await self.world.start("shop/0", "shop/1", "mysql/0", "mysql/1")
        return await self.world.integrate("shop:db", "mysql:server")


@pytest.fixture
def units(world: World, tmp_path: Path) -> Units:
    """The units of the model."""
    return Units(world, tmp_path)
