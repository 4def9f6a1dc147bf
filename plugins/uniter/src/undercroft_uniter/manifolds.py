"""The manifolds of one unit."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from undercroft import closing_on_error, fortress
from undercroft_hookspecs import CharmArchiveFacade, Manifold
from undercroft_hookspecs.relation_facades import LeadershipFacade
from undercroft_hookspecs.unit_facades import UnitFacade
from undercroft_uniter.assembly import UnitWorker
from undercroft_uniter.context.facades import Facades
from undercroft_uniter.hookrunner import HookRunnerWorker, hook_runner_output
from undercroft_uniter.leadership.worker import leadership_output, start_leadership
from undercroft_uniter.remotestate.facades import Facades as WatchedFacades
from undercroft_uniter.seams import Leadership, MachineLock
from undercroft_uniter.unitlog import UnitLogs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from undercroft_hookspecs import Context, UnitAgent, Worker
    from undercroft_uniter.seams import UnitLock, UnitLog

T = TypeVar("T")


def unit_manifolds(unit: UnitAgent) -> Mapping[str, Manifold]:
    """`charm-dir`, `leadership`, `hook-runner` and `uniter` of a unit."""

    async def leadership(context: Context) -> Worker:
        return await start_leadership(
            str(unit.unit),
            leadership=context.get("model", LeadershipFacade),
            units=context.get("model", UnitFacade),
            clock=unit.clock,
            rng=unit.rng,
        )

    async def hook_runner(context: Context) -> Worker:
        worker = HookRunnerWorker(unit, facades=_facades(context), lock=_lock(context, unit), log=_log(context, unit))
        async with closing_on_error(worker):
            await worker.open()
        return worker

    def uniter(context: Context) -> Worker:
        return UnitWorker(
            unit,
            facades=_facades(context),
            watched=WatchedFacades.of(context),
            archives=context.get("model", CharmArchiveFacade),
            guard=context.get("charm-dir", fortress.Guard),
            leadership=context.get("leadership", Leadership),
            lock=_lock(context, unit),
            log=_log(context, unit),
        )

    shared = ("model", "machine-lock", "unit-logs")
    return {
        "charm-dir": fortress.manifold(),
        "leadership": Manifold(start=leadership, inputs=("model",), output=leadership_output),
        "hook-runner": Manifold(start=hook_runner, inputs=shared, output=hook_runner_output),
        "uniter": Manifold(start=uniter, inputs=(*shared, "charm-dir", "leadership")),
    }


def _facades(context: Context) -> Facades:
    def find(kind: type[T], /) -> T:
        return context.get("model", kind)

    return Facades.found(find)


def _lock(context: Context, unit: UnitAgent) -> UnitLock:
    return context.get("machine-lock", MachineLock).of(str(unit.model), str(unit.unit))


def _log(context: Context, unit: UnitAgent) -> UnitLog:
    file = unit.unit_dir.parents[1] / "debug.log"
    return context.get("unit-logs", UnitLogs).of(file, str(unit.unit))
