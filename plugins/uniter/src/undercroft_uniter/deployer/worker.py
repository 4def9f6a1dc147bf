"""The worker `unit-deployer`: the units that are placed on this machine, in all models, each in an engine of its own.

A unit has one while it is alive or dying. Once it is dead its engine is stopped, its folder removed, and the model
told that nothing is left. A unit whose record has gone from under it (its removal was forced, or its model destroyed)
is removed likewise, but only if it was seen before by this very agent: then its record is known to have been deleted.
What is absent for any other reason, as in a store that was restored, stays on the disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
from typing import TYPE_CHECKING

from undercroft import Backoff, Runner, SimpleWorker
from undercroft.files import in_thread
from undercroft_hookspecs import AgentSignal, NotFoundError, NotValidError, StoreUnavailable, UnitName
from undercroft_hookspecs.state import Life

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    from undercroft import Stop
    from undercroft_hookspecs import Agent, Clock, ModelId, PlacementFacade, UnitEngines, Worker
    from undercroft_hookspecs.state import Unit

GRACE_SECONDS = 120.0
"""A hook that runs may end, and then its unit's rooms are closed."""
TELL_AGAIN_SECONDS = 5.0
RESTART = Backoff(delay=1.0, factor=2.0, max_delay=60.0, jitter=0.2)
DOOMED = ".removed-"
"""Begins the name of a unit's folder that is being removed."""

_log = logging.getLogger(__name__)


class UnitDeployer:
    """Runs until killed, or until a unit's worker wishes something of the agent: that is its error then."""

    def __init__(self, agent: Agent, *, placement: PlacementFacade, engines: UnitEngines) -> None:
        self._agent, self._placement, self._engines = agent, placement, engines
        self._folder = agent.data_dir.parents[1] / "models"
        self._runner = Runner(
            "units",
            is_fatal=lambda error: isinstance(error, AgentSignal),
            restart_delay=RESTART,
            clock=agent.clock,
            rng=agent.rng,
        )
        self._models: dict[ModelId, ModelUnits] = {}
        self._worker = SimpleWorker(self._run, name="unit-deployer", grace=GRACE_SECONDS, clock=agent.clock)

    def kill(self) -> None:
        """Ask for a stop, and return at once: the hooks that run may end, for a while."""
        self._worker.kill()
        self._runner.kill()

    async def wait(self) -> None:
        """Return when all units' workers have ended, or raise the AgentSignal of one of them."""
        await self._worker.wait()

    def report(self) -> dict[str, object]:
        """The units that run, and those that are being removed."""
        removing = [name for units in self._models.values() for name in units.removing()]
        return {"units": self._runner.report(), "removing": sorted(removing)}

    async def _run(self, stop: Stop) -> None:
        await in_thread(_sweep, self._folder)
        following: asyncio.Task[None] | None = None
        try:
            following = asyncio.get_running_loop().create_task(self._follow(), name="follow the placed units")
            running = asyncio.get_running_loop().create_task(self._runner.wait(), name="wait for the units")
            await asyncio.wait((following, running), return_when=asyncio.FIRST_COMPLETED)
            if following.done():
                following.result()
        finally:
            self._runner.kill()
            if following is not None:
                following.cancel()
                await asyncio.wait((following,))
        await running

    async def _follow(self) -> None:
        tasks: dict[ModelId, asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as group, self._placement.watch_models() as states:
            async for models in states:
                for gone in self._models.keys() - set(models):
                    tasks.pop(gone).cancel()
                    self._models.pop(gone).forget_all()
                for model in models:
                    if model not in tasks:
                        units = self._models[model] = self._units(model, group)
                        tasks[model] = group.create_task(units.follow(), name=f"units of {model}")

    def _units(self, model: ModelId, group: asyncio.TaskGroup) -> ModelUnits:
        folder = self._folder / str(model) / "agents"
        return ModelUnits(
            model,
            folder,
            group,
            runner=self._runner,
            placement=self._placement,
            engines=self._engines,
            clock=self._agent.clock,
        )


class ModelUnits:
    """The units of one model on this machine."""

    def __init__(
        self,
        model: ModelId,
        folder: Path,
        group: asyncio.TaskGroup,
        *,
        runner: Runner,
        placement: PlacementFacade,
        engines: UnitEngines,
        clock: Clock,
    ) -> None:
        self._model, self._folder, self._group = model, folder, group
        self._runner, self._placement, self._engines, self._clock = runner, placement, engines, clock
        self._wanted: Mapping[str, Unit] = {}
        self._known: dict[str, Unit] = {}
        self._removing: set[str] = set()

    def removing(self) -> Sequence[str]:
        """The units that are being removed."""
        return sorted(self._removing)

    async def follow(self) -> None:
        """Have the units run that are to run, and remove the others, until cancelled."""
        async with self._placement.watch_units(self._model) as states:
            async for units in states:
                self._wanted = units
                await self._apply()

    def forget_all(self) -> None:
        """The model has been destroyed: its units go, too."""
        self._wanted = {}
        for name in [*self._known]:
            self._begin_removal(name, tell=False)

    async def _apply(self) -> None:
        for name, known in [*self._known.items()]:
            wanted = self._wanted.get(name)
            if wanted is None or wanted.created != known.created:
                self._begin_removal(name, tell=False)
        for name, unit in self._wanted.items():
            if name in self._removing:
                continue
            if unit.life is Life.DEAD:
                self._known[name] = unit
                self._begin_removal(name, tell=True)
            elif name not in self._known:
                self._known[name] = unit
                starter = self._starter(UnitName.parse(name), is_new=not unit.charm)
                await self._runner.start_worker(self._id(name), starter)

    def _starter(self, unit: UnitName, *, is_new: bool) -> Callable[[], Awaitable[Worker]]:
        """What starts the unit's engine.

        A folder that is there before the unit has ever run anything is that of an older one of its name, which was
        removed while nobody here was looking; going on with what that was at would skip the new one's install.
        """
        is_stale = is_new

        async def start() -> Worker:
            nonlocal is_stale
            if is_stale:
                await in_thread(_remove_folder, self._folder, unit)
                is_stale = False
            return self._engines.engine(self._model, unit)

        return start

    def _begin_removal(self, name: str, *, tell: bool) -> None:
        if name not in self._removing:
            self._removing.add(name)
            self._group.create_task(self._remove(name, tell=tell), name=f"remove {name}")

    async def _remove(self, name: str, *, tell: bool) -> None:
        """Stop a unit's workers, remove its folder, and tell the model; what has come of it meanwhile is seen to."""
        _log.info("unit %s of model %s is removed from this machine", name, self._model)
        with contextlib.suppress(NotFoundError):
            await self._runner.stop_and_remove_worker(self._id(name))
        await in_thread(_remove_folder, self._folder, UnitName.parse(name))
        if tell:
            await self._tell(name)
            # The watch shows it dead for a moment longer: it is not to be removed all over again.
            others = self._wanted.items()
            self._wanted = {other: unit for other, unit in others if other != name or unit.life is not Life.DEAD}
        self._known.pop(name, None)
        self._removing.discard(name)
        await self._apply()

    async def _tell(self, name: str) -> None:
        while True:
            try:
                await self._placement.unit_gone(self._model, name)
            except NotValidError:  # It is another one of that name by now.
                return
            except StoreUnavailable as error:
                _log.warning("the model is told again later that nothing is left of unit %s: %s", name, error)
                await self._clock.sleep(TELL_AGAIN_SECONDS)
            else:
                return

    def _id(self, name: str) -> str:
        return f"{self._model}/{name}"


def _remove_folder(folder: Path, unit: UnitName) -> None:
    """Remove a unit's folder, in two steps: one that is half removed is not taken for a unit's any more."""
    own = folder / f"unit-{unit.application}-{unit.number}"
    doomed = folder / f"{DOOMED}{own.name}"
    shutil.rmtree(doomed, ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):
        own.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def _sweep(models: Path) -> None:
    """Finish the removals that were cut off."""
    for doomed in models.glob(f"*/agents/{DOOMED}*"):
        shutil.rmtree(doomed, ignore_errors=True)
