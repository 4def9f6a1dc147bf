"""A unit's view of its charm, its application's config, and its model."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from undercroft_hookspecs.unit_facades import ConfigHashes
from undercroft_model.charmrecords import need_application
from undercroft_model.modelconfig import model_settings, update_status_seconds
from undercroft_model.rows import Config
from undercroft_model.tables import APPLICATIONS, CHARMS, CONFIG, HOSTS, MODEL
from undercroft_model.watching import record

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from undercroft_hookspecs.charm import Charm, Scalar
    from undercroft_hookspecs.state import Model
    from undercroft_model.transaction import Transaction
    from undercroft_model.unitside.standpoint import Standpoint


class OwnCharm:
    """The facade `CharmFacade`."""

    def __init__(self, here: Standpoint) -> None:
        self._here = here

    async def charm(self, sha256: str) -> Charm:
        """The charm whose archive has that SHA-256."""
        return await self._here.look().need(CHARMS.of(self._here.model), sha256, what="charm")


class OwnConfig:
    """The facade `ConfigFacade`."""

    def __init__(self, here: Standpoint) -> None:
        self._here = here

    async def settings(self) -> Mapping[str, Scalar]:
        """All options of the unit's present charm."""
        tx, model = self._here.look(), self._here.model
        charm = await charm_of_unit(tx, self._here)
        values = (await tx.get(CONFIG.of(model), self._here.application) or Config()).values
        found: dict[str, Scalar] = {}
        for name, option in charm.options.items():
            value = values.get(name)
            found[name] = option.default if value is None else value
        return found

    def watch_hashes(self) -> AbstractAsyncContextManager[AsyncIterator[ConfigHashes]]:
        """Hashes of what config-changed is run for, and again whenever one has changed."""
        model, name = self._here.model, self._here.application
        config, application = record(CONFIG.of(model), name), record(APPLICATIONS.of(model), name)
        host = record(HOSTS, str(self._here.host), "host")

        def build() -> ConfigHashes:
            present, values, machine = application.need(), config.one() or Config(), host.one()
            return ConfigHashes(
                config=_hash([present.charm, sorted(values.values.items())]),
                trust=_hash(present.trust),
                addresses=_hash(machine.addresses if machine is not None else ()),
            )

        return self._here.watch([config, application, host], build)


class OwnModel:
    """The facade `ModelFacade`."""

    def __init__(self, here: Standpoint) -> None:
        self._here = here

    async def model(self) -> Model:
        """The model's record."""
        return await self._here.look().need(MODEL.of(self._here.model), "self", what="model")

    async def model_settings(self) -> Mapping[str, str | bool | int]:
        """All settings of the model."""
        return {key: setting.value for key, setting in model_settings(await self.model()).items()}

    def watch_update_status_seconds(self) -> AbstractAsyncContextManager[AsyncIterator[float]]:
        """How long to wait between two update-status hooks."""
        model = record(MODEL.of(self._here.model), "self")
        return self._here.watch([model], lambda: update_status_seconds(model.need()))


async def charm_of_unit(tx: Transaction, here: Standpoint) -> Charm:
    """The charm that a unit runs; before its first one, its application's."""
    unit = await here.need_unit(tx)
    application = await need_application(tx, here.model, here.application)
    found = await tx.get(CHARMS.of(here.model), unit.charm or application.charm)
    return found or await tx.need(CHARMS.of(here.model), application.charm, what="charm")


def _hash(matter: object) -> str:
    return hashlib.sha256(msgspec.json.encode(matter)).hexdigest()
