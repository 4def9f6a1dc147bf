"""The plugin `uniter`: its config, and its manifolds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec

from undercroft_hookspecs import (
    Agent,
    Context,
    Manifold,
    PlacementFacade,
    RemovedUnitsFacade,
    UnitAgent,
    UnitEngines,
    Worker,
    hookimpl,
)


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section `[plugins.uniter]`."""

    machine_lock_patience: Annotated[float, msgspec.Meta(gt=0)] = 300.0
    """For how many seconds a hook may keep those of other units waiting."""


@hookimpl
def undercroft_config() -> type[msgspec.Struct]:
    """The struct of this plugin's section."""
    return Config


@hookimpl
def undercroft_manifolds(agent: Agent) -> Mapping[str, Manifold]:
    """The worker `unit-deployer`, and what all units of this machine share: the lock of its hooks, and their logs."""

    def start_lock(_: Context) -> Worker:
        # Late, as all of these: other commands should not pay for it.
        from undercroft_uniter.machinelock import HookLock, MachineLockWorker, shared_file  # noqa: PLC0415

        patience = agent.config(Config).machine_lock_patience
        return MachineLockWorker(HookLock(patience=patience, clock=agent.clock, file=shared_file()))

    def start_logs(_: Context) -> Worker:
        from undercroft_uniter.unitlog import UnitLogsWorker  # noqa: PLC0415

        return UnitLogsWorker(clock=agent.clock)

    def start_deployer(context: Context) -> Worker:
        placement, removals = context.get("model", PlacementFacade), context.get("model", RemovedUnitsFacade)
        engines = context.get("agent", UnitEngines)
        from undercroft_uniter.deployer.worker import UnitDeployer  # noqa: PLC0415

        return UnitDeployer(agent, placement=placement, removals=removals, engines=engines)

    def lock_output(worker: Worker, kind: type) -> object:
        from undercroft_uniter.machinelock import machine_lock_output  # noqa: PLC0415

        return machine_lock_output(worker, kind)

    def logs_output(worker: Worker, kind: type) -> object:
        from undercroft_uniter.unitlog import unit_logs_output  # noqa: PLC0415

        return unit_logs_output(worker, kind)

    return {
        "machine-lock": Manifold(start=start_lock, output=lock_output),
        "unit-logs": Manifold(start=start_logs, output=logs_output),
        "unit-deployer": Manifold(start=start_deployer, inputs=("agent", "model")),
    }


@hookimpl
def undercroft_unit_manifolds(unit: UnitAgent) -> Mapping[str, Manifold]:
    """The workers of one unit."""
    from undercroft_uniter.manifolds import unit_manifolds  # noqa: PLC0415

    return unit_manifolds(unit)


@hookimpl
def undercroft_check(agent: Agent) -> Sequence[str]:
    """What this host lacks for charms to run, and the remedy."""
    from undercroft_uniter.check import missing  # noqa: PLC0415

    return missing()
