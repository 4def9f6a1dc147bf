"""The worker `unit-deployer`: the units that are placed on this machine, in all models, each in an engine of its own.

A unit has one while it is alive or dying. Once it is dead its engine is stopped, its folder removed, and the model told
that nothing is left. A unit that is removed by force, or with its whole model, is not seen dead; that it was removed
the model writes down for its host, even if no agent runs there then. A record that is absent for any other reason, as
in a store that was restored, stops the unit's engine, and leaves its folder.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from undercroft import Backoff, Runner, SimpleWorker
from undercroft.files import in_thread
from undercroft_hookspecs import AgentSignal, ModelId
from undercroft_uniter.deployer.folders import sweep
from undercroft_uniter.deployer.units import ModelUnits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from undercroft import Stop
    from undercroft_hookspecs import Agent, PlacementFacade, RemovedUnitsFacade, UnitEngines
    from undercroft_hookspecs.state import RemovedUnit

GRACE_SECONDS = 120.0
"""A hook that runs may end, and then its unit's rooms are closed."""
RESTART = Backoff(delay=1.0, factor=2.0, max_delay=60.0, jitter=0.2)


class UnitDeployer:
    """Runs until killed, or until a unit's worker wishes something of the agent: that is its error then."""

    def __init__(
        self, agent: Agent, *, placement: PlacementFacade, removals: RemovedUnitsFacade, engines: UnitEngines
    ) -> None:
        self._agent, self._placement, self._removals, self._engines = agent, placement, removals, engines
        self._folder = agent.data_dir.parents[1] / "models"
        self._runner = Runner(
            "units",
            is_fatal=lambda error: isinstance(error, AgentSignal),
            restart_delay=RESTART,
            clock=agent.clock,
            rng=agent.rng,
        )
        self._models: dict[ModelId, ModelUnits] = {}
        self._following: dict[ModelId, asyncio.Task[None]] = {}
        self._removed: Sequence[RemovedUnit] = ()
        self._are_models_known = False
        self._worker = SimpleWorker(self._run, name="unit-deployer", grace=GRACE_SECONDS, clock=agent.clock)

    def kill(self) -> None:
        """Ask for a stop, and return at once: the hooks that run may end, for a while."""
        self._worker.kill()
        self._runner.kill()

    async def wait(self) -> None:
        """Return when all units' workers have ended, or raise the AgentSignal of one of them."""
        await self._worker.wait()

    def report(self) -> dict[str, object]:
        """The units that run, and those that are being stopped or removed."""
        busy = [name for units in self._models.values() for name in units.busy()]
        return {"units": self._runner.report(), "removing": sorted(busy)}

    async def _run(self, _: Stop) -> None:
        await in_thread(sweep, self._folder)
        loop = asyncio.get_running_loop()
        following = loop.create_task(self._follow(), name="follow the placed units")
        running = loop.create_task(self._runner.wait(), name="wait for the units")
        try:
            await asyncio.wait((following, running), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._runner.kill()
            following.cancel()
            await asyncio.wait((following, running))
        running.result()  # First, for an AgentSignal of a unit is what matters.
        if not following.cancelled():
            following.result()

    async def _follow(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow_models(group), name="follow the models")
                group.create_task(self._follow_removed(group), name="follow the removed units")
        except BaseExceptionGroup as failures:
            raise _first(failures) from None  # What a worker dies of is looked at by its kind.

    async def _follow_models(self, group: asyncio.TaskGroup) -> None:
        async with self._placement.watch_models() as states:
            async for models in states:
                self._are_models_known = True
                for gone in self._following.keys() - set(models):
                    self._following.pop(gone).cancel()
                    await self._models[gone].model_gone()
                for model in (model for model in models if model not in self._following):
                    units = self._units(model, group)
                    self._following[model] = group.create_task(units.follow(), name=f"units of {model}")
                await self._share_out(group)

    async def _follow_removed(self, group: asyncio.TaskGroup) -> None:
        async with self._removals.watch_removed() as states:
            async for removed in states:
                self._removed = removed
                await self._share_out(group)

    async def _share_out(self, group: asyncio.TaskGroup) -> None:
        """Tell each model's units which of them are no more, and the units of models that are no more, too."""
        if not self._are_models_known:
            return
        named = {ModelId.parse(removed.model) for removed in self._removed}
        for model in {*self._models, *named}:
            units = self._units(model, group)
            if model not in self._following:
                await units.model_gone()
            await units.take_removed([removed for removed in self._removed if removed.model == str(model)])

    def _units(self, model: ModelId, group: asyncio.TaskGroup) -> ModelUnits:
        if model not in self._models:
            self._models[model] = ModelUnits(
                model,
                self._folder / str(model),
                group,
                runner=self._runner,
                placement=self._placement,
                removals=self._removals,
                engines=self._engines,
                clock=self._agent.clock,
            )
        return self._models[model]


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = failures
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
