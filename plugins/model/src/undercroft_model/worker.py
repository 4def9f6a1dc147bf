"""The worker `model`: what the model puts out, and in the agent what keeps it going.

The agent's registers this host and keeps it present, and removes what is to be removed. A command's does nothing of
that. An outage of the store is waited for: to end would end every unit's engine.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal

from undercroft import NoOpWorker, SimpleWorker, Stop
from undercroft.dependency import OutputError
from undercroft_hookspecs import BlobFacade, BlockDeviceFacade, BlockDeviceView, MachineId
from undercroft_model.blobs import Blobs
from undercroft_model.devices import HostDevices
from undercroft_model.operator import Operator
from undercroft_model.presence import HostPresence
from undercroft_model.reaping import Reaping

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from undercroft_hookspecs import Agent, ModelId, Role, Store, UnitName, Worker
    from undercroft_model.plugin import Config


async def start_model(agent: Agent, config: Config, *, role: Role, store: Store) -> ModelWorker:
    """The worker, running."""
    return ModelWorker(agent, config, role=role, store=store)


def model_output(worker: Worker, kind: type) -> object:
    """The output function of the manifold `model`."""
    if not isinstance(worker, ModelWorker):
        raise OutputError(f"{type(worker).__name__} is not the model's worker")
    return worker.output(kind)


class ModelWorker:
    """Runs until killed."""

    def __init__(self, agent: Agent, config: Config, *, role: Role, store: Store) -> None:
        self.role: Literal["agent", "client"] = role.role
        clock, rng = agent.clock, agent.rng
        blobs = Blobs(config.blobs or str(agent.data_dir / "blobs"), clock=clock)
        devices = HostDevices(store, agent.host, clock=clock, rng=rng)
        self._presence = HostPresence(store, agent.host, clock=clock, rng=rng)
        self._reaping = Reaping(store, clock=clock, rng=rng)
        operator = Operator(
            store=store,
            host=agent.host,
            data_dir=agent.data_dir,
            clock=clock,
            rng=rng,
            blobs=blobs,
            # Core's Role of a command knows the model's name that the command was given.
            wanted=getattr(role, "model", None),
        )
        self._outputs: Mapping[type, object] = {
            BlockDeviceFacade: devices,
            BlockDeviceView: devices,
            BlobFacade: blobs,
            Operator: operator,
        }
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
        """What is bound to a unit."""
        raise NotImplementedError

    async def _work(self, _: Stop) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._presence.keep(), name="presence")
            tasks.create_task(self._reaping.go_on(), name="reaping")


def _chosen(outputs: Mapping[type, object], kind: type) -> object:
    if kind in outputs:
        return outputs[kind]
    known = ", ".join(sorted(each.__name__ for each in outputs))
    raise OutputError(f"`model` has no {kind.__name__} here; there are: {known}")
