"""The worker `model`: what the model puts out, and in the agent what keeps it going.

The agent's registers this host and keeps it present, and removes what is to be removed. A command's does nothing of
that. An outage of the store is waited for: to end would end every unit's engine.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Literal
from weakref import WeakValueDictionary

from undercroft import NoOpWorker, SimpleWorker, Stop
from undercroft.dependency import OutputError
from undercroft.files import in_thread
from undercroft_hookspecs import (
    BlobFacade,
    BlockDeviceFacade,
    BlockDeviceView,
    CharmArchiveFacade,
    MachineId,
    PlacementFacade,
    RemovedUnitsFacade,
    StoreUnavailable,
)
from undercroft_hookspecs.storage_facades import ProvisionerFacade
from undercroft_hookspecs.unit_facades import ModelFacade
from undercroft_model.blobs import Blobs
from undercroft_model.charms.archives import CharmArchives
from undercroft_model.chosenmodel import ChosenModel
from undercroft_model.devices import HostDevices
from undercroft_model.encryption import Keyring
from undercroft_model.operator import Operator
from undercroft_model.placement import Placement, RemovedUnits
from undercroft_model.presence import HostPresence
from undercroft_model.reaping import Reaping
from undercroft_model.storage.pools import Providers, collected
from undercroft_model.storage.provisioning import HostStorage
from undercroft_model.unitside.facades import UnitFacades
from undercroft_model.unitside.standpoint import Standpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from undercroft_hookspecs import Agent, ModelId, Role, Store, UnitName, Worker
    from undercroft_model.plugin import Config


async def start_model(agent: Agent, config: Config, *, role: Role, store: Store) -> ModelWorker:
    """The worker, running.

    Raises:
        SecretsKeyError: the agent's key of the secrets is missing or another one than the store's secrets have.
    """
    keyring = Keyring(store, default=key_path(agent.data_dir), given=config.secrets_key_file)
    if role.role == "agent":
        with suppress(StoreUnavailable):  # Then it is seen when it is first needed.
            await keyring.check()
    # Where they are not in a folder, all that opens a URL is imported.
    blobs = await in_thread(Blobs, config.blobs or str(agent.data_dir / "blobs"), clock=agent.clock)
    return ModelWorker(agent, role=role, store=store, keyring=keyring, blobs=blobs)


def key_path(data_dir: Path) -> Path:
    """Where the key of the secrets is if the config does not say: in the data folder, which this plugin's own one is
    `plugins/model` of."""
    return (data_dir.parents[1] if data_dir.parts[-2:] == ("plugins", "model") else data_dir) / "secrets.key"


def model_output(worker: Worker, kind: type) -> object:
    """The output function of the manifold `model`."""
    if not isinstance(worker, ModelWorker):
        raise OutputError(f"{type(worker).__name__} is not the model's worker")
    return worker.output(kind)


class ModelWorker:
    """Runs until killed."""

    def __init__(self, agent: Agent, *, role: Role, store: Store, keyring: Keyring, blobs: Blobs) -> None:
        self.role: Literal["agent", "client"] = role.role
        clock, rng = agent.clock, agent.rng
        self._agent, self._store, self._keyring = agent, store, keyring
        self._units: WeakValueDictionary[tuple[ModelId, UnitName], UnitFacades] = WeakValueDictionary()
        self._placement = Placement(store, agent.host, clock=clock, rng=rng)
        devices = HostDevices(store, agent.host, clock=clock, rng=rng)
        self._presence = HostPresence(store, agent.host, clock=clock, rng=rng)
        self._reaping = Reaping(store, blobs, clock=clock, rng=rng)
        operator = Operator(
            store=store,
            host=agent.host,
            data_dir=agent.data_dir,
            clock=clock,
            rng=rng,
            blobs=blobs,
            keyring=keyring,
            providers=self._providers,
            # Core's Role of a command knows the model's name that the command was given.
            wanted=getattr(role, "model", None),
        )
        self._outputs: Mapping[type, object] = {
            BlockDeviceFacade: devices,
            BlockDeviceView: devices,
            BlobFacade: blobs,
            CharmArchiveFacade: CharmArchives(blobs),
            PlacementFacade: self._placement,
            RemovedUnitsFacade: RemovedUnits(store, agent.host, clock=clock, rng=rng),
            ProvisionerFacade: HostStorage(store, agent.host, clock=clock, rng=rng),
            Operator: operator,
        }
        if self.role == "client":
            self._outputs = {**self._outputs, ModelFacade: ChosenModel(operator)}
        self._worker: Worker = NoOpWorker()
        if self.role == "agent":
            self._worker = SimpleWorker(self._work, name="model", grace=0, clock=clock)

    def kill(self) -> None:
        """Ask for a stop, and return at once."""
        self._worker.kill()

    async def wait(self) -> None:
        """Return when the worker is dead, or raise the error that it died of."""
        await self._worker.wait()

    def report(self) -> dict[str, object]:
        """What is going on."""
        if self.role == "client":
            return {"role": self.role}
        since = self._presence.since
        return {
            "role": self.role,
            "present": since.isoformat(timespec="seconds") if since is not None else "not yet: waiting for the store",
            "reaped": self._reaping.reaped,
        }

    def output(self, kind: type) -> object:
        """What is bound to this host. Raises OutputError for what is not known, or is a unit's."""
        return _chosen(self._outputs, kind)

    def for_unit(self, model: ModelId, unit: UnitName) -> Callable[[type], object]:
        """What is bound to a unit: its own facades, those of its host, and its `MachineId`, once it has been placed.

        As long as somebody holds what this gives, all who ask for the unit share one set of facades.
        """
        facades = self._units.get((model, unit))
        if facades is None:
            here = Standpoint(
                store=self._store,
                model=model,
                unit=str(unit),
                host=self._agent.host,
                clock=self._agent.clock,
                rng=self._agent.rng,
            )
            facades = self._units[model, unit] = UnitFacades(here, self._keyring, self._providers)
        kinds = (BlockDeviceView, BlobFacade, CharmArchiveFacade)
        shared: dict[type, object] = {kind: self._outputs[kind] for kind in kinds}

        def output(kind: type) -> object:
            if kind is MachineId:
                return self._machine(model, unit)
            found = facades.get(kind)
            return found if found is not None else _chosen(shared, kind, *facades.kinds, MachineId)

        return output

    def _providers(self) -> Providers:
        return collected(self._agent.collect("undercroft_storage_providers"))

    def _machine(self, model: ModelId, unit: UnitName) -> MachineId:
        machine = self._placement.machine_of(model, str(unit))
        if machine is None:
            raise OutputError(f"unit {unit} of model {model} has not been seen on this host")
        return MachineId.parse(machine)

    async def _work(self, _: Stop) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._presence.keep(), name="presence")
                tasks.create_task(self._reaping.go_on(), name="reaping")
        except BaseExceptionGroup as group:
            raise _first(group) from None  # What a worker dies of is looked at by its kind.


def _chosen(outputs: Mapping[type, object], kind: type, *others: type) -> object:
    if kind in outputs:
        return outputs[kind]
    known = ", ".join(sorted(each.__name__ for each in (*outputs, *others)))
    raise OutputError(f"`model` has no {kind.__name__} here; there are: {known}")


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
