"""The worker `storage-provisioner`: what is wanted on this host, in all models, is made so."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from undercroft import SimpleWorker
from undercroft.clock import alarm
from undercroft.linux import mountinfo
from undercroft_hookspecs import FilesystemId, NotFoundError, NotValidError, PermanentError, StoreUnavailable, VolumeId
from undercroft_hookspecs.state import Status
from undercroft_hookspecs.storage_facades import WantedStorage
from undercroft_storageprovisioner.deeds import Deeds
from undercroft_storageprovisioner.plan import Actual, Deed, Kind, Step, plan
from undercroft_storageprovisioner.retries import Retries
from undercroft_storageprovisioner.schedule import trim_due
from undercroft_storageprovisioner.sight import Sight
from undercroft_storageprovisioner.threads import Hangs, in_thread
from undercroft_storageprovisioner.turns import Turns
from undercroft_storageprovisioner.usage import Gauges, measure

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence
    from pathlib import Path

    from undercroft import Stop
    from undercroft_hookspecs import (
        Agent,
        AttachInfo,
        BlockDeviceView,
        ModelId,
        PlacementFacade,
        StorageProvider,
    )
    from undercroft_hookspecs.storage_facades import ProvisionerFacade
    from undercroft_storageprovisioner.plugin import Config

NO_STATUS = Status(current="", since=datetime.fromtimestamp(0, UTC))
STEP_SECONDS = 3600.0
"""A provider that takes longer for one step is given up, and asked again later."""

_log = logging.getLogger(__name__)


class StorageProvisioner:
    """Runs until killed; every step under way is cancelled then, and taken again after the next start.

    `hangs` is of the whole agent: what hangs in the kernel outlives the worker that began it.
    """

    def __init__(
        self,
        agent: Agent,
        config: Config,
        *,
        placement: PlacementFacade,
        facade: ProvisionerFacade,
        # Any: each provider has a struct of attributes of its own.
        providers: Mapping[str, StorageProvider[Any]],
        devices: BlockDeviceView | None = None,
        hangs: Hangs | None = None,
    ) -> None:
        self._devices, self._hangs = devices, hangs or Hangs()
        self._agent, self._config = agent, config
        self._placement, self._facade, self._providers = placement, facade, providers
        self._turns = Turns(config.parallel, agent.clock)
        self._models: dict[ModelId, ModelStorage] = {}
        self._gauges = Gauges(agent.meter)
        self._worker = SimpleWorker(self._run, name="storage-provisioner", grace=0, clock=agent.clock)

    def kill(self) -> None:
        """Ask for a stop, and return at once."""
        self._worker.kill()

    async def wait(self) -> None:
        """Return when the worker is dead, or raise the error that it died of."""
        await self._worker.wait()

    def report(self) -> dict[str, object]:
        """By model, what is attached, what is being done, and what has failed."""
        return {str(model): storage.report() for model, storage in self._models.items()}

    async def _run(self, _: Stop) -> None:
        tasks: dict[ModelId, asyncio.Task[None]] = {}
        # Mount points follow no symbolic link: one on the way to the data folder itself is the administrator's.
        top = await in_thread(self._agent.data_dir.resolve)
        async with asyncio.TaskGroup() as group, self._placement.watch_models() as states:
            async for models in states:
                self._end(tasks, models)
                for model in (model for model in models if model not in tasks):
                    storage = self._models[model] = self._storage(model, top)
                    tasks[model] = group.create_task(storage.go_on(), name=f"storage of {model}")

    def _end(self, tasks: dict[ModelId, asyncio.Task[None]], models: Sequence[ModelId]) -> None:
        for gone in tasks.keys() - set(models):
            tasks.pop(gone).cancel()
            self._models.pop(gone, None)
            self._gauges.show(str(gone), {})

    def _storage(self, model: ModelId, top: Path) -> ModelStorage:
        deeds = Deeds(
            model,
            top / str(model),
            facade=self._facade,
            providers=self._providers,
            process=self._agent.process,
            named=self._agent.data_dir / str(model),
            devices=self._devices,
        )
        retries = Retries(self._agent.clock, self._agent.rng)
        return ModelStorage(
            model,
            self._facade,
            deeds,
            retries,
            turns=self._turns,
            hangs=self._hangs,
            clock=self._agent.clock,
            config=self._config,
            gauges=self._gauges,
            view=self._devices,
        )


class ModelStorage:
    """The storage of one model on this host."""

    def __init__(
        self,
        model: ModelId,
        facade: ProvisionerFacade,
        deeds: Deeds,
        retries: Retries,
        *,
        turns: Turns,
        hangs: Hangs,
        clock: Any,  # Clock: `alarm` takes it as it is.
        config: Config,
        gauges: Gauges,
        view: BlockDeviceView | None,
    ) -> None:
        self._model, self._facade, self._deeds, self._retries = model, facade, deeds, retries
        self._turns, self._hangs, self._clock = turns, hangs, clock
        self._config, self._gauges, self._view = config, gauges, view
        self._changed, self._unsure, self._mounted = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._wanted: WantedStorage | None = None
        self._sight = Sight()
        self._is_tidy = False
        self._done: dict[Step, WantedStorage] = {}
        """By step that was taken, what was wanted then, where that did not show yet that it was."""
        self._busy: dict[tuple[Kind, str], Step] = {}
        self._volumes_in_use: dict[tuple[Kind, str], str] = {}
        """By what is busy, the volume that it is at work on."""

    def report(self) -> dict[str, object]:
        """What is attached, what is being done, and what has failed."""
        return {
            **self._sight.report(),
            "doing": [str(step) for step in self._busy.values()],
            "failed": self._retries.report(),
        }

    async def go_on(self) -> None:
        """Follow what is wanted until cancelled, or the model is gone."""
        async with asyncio.TaskGroup() as group, mountinfo.watch(self._unsure.set):
            following = group.create_task(self._follow(), name=f"follow the storage of {self._model}")
            besides = [
                group.create_task(work, name=f"{what} of {self._model}")
                for work, what in (
                    (self._measure(), "measure the storage"),
                    (self._see(), "see the devices"),
                    (self._look(), "look at the storage"),
                )
            ]
            try:
                await self._work(group, following)
                await self._tidy()
            finally:
                for task in (following, *besides):
                    task.cancel()

    async def _follow(self) -> None:
        with contextlib.suppress(NotFoundError):  # In here: out of a group it would come as a group.
            async with self._facade.watch_storage(self._model) as states:
                async for wanted in states:
                    self._wanted = wanted
                    self._changed.set()

    async def _see(self) -> None:
        if self._view is None:
            return
        async with self._view.watch_block_devices() as states:
            async for devices in states:
                self._sight.hosts = devices
                self._unsure.set()

    async def _work(self, group: asyncio.TaskGroup, following: asyncio.Task[None]) -> None:
        following.add_done_callback(lambda _: self._changed.set())
        while not following.done():
            await self._next_change()
            wanted = self._wanted
            if wanted is None:
                continue
            if not (wanted.volumes or wanted.filesystems or self._busy or self._is_tidy):
                await self._tidy()
            if wanted.machine is None:
                continue
            steps = plan(wanted, self._actual(wanted))
            self._retries.keep(frozenset(steps))
            self._done = {step: then for step, then in self._done.items() if then is wanted}
            for step in steps:
                if self._done.get(step) is wanted:
                    continue
                if self._is_free(step) and self._retries.is_due(step, self._about(step, wanted)):
                    self._begin(step, wanted)
                    group.create_task(self._take(step, wanted), name=f"{step} of {self._model}")

    async def _tidy(self) -> None:
        self._is_tidy = True
        with contextlib.suppress(OSError):  # It hangs: what is empty can stay.
            await self._deeds.tidy()

    def _is_free(self, step: Step) -> bool:
        """Whether nothing is being done about the entity, nor hangs, nor is on the volume that is to be taken away."""
        in_use = step.deed is Deed.DETACH and step.kind is Kind.VOLUME and step.entity in self._volumes_in_use.values()
        is_busy = (step.kind, step.entity) in self._busy or self._hangs.hangs(self._key(step))
        return not is_busy and not in_use

    def _key(self, step: Step) -> Hashable:
        """What a call is about that hangs."""
        return (str(self._model), step.kind, step.entity)

    def _begin(self, step: Step, wanted: WantedStorage) -> None:
        key = (step.kind, step.entity)
        self._busy[key], self._is_tidy = step, False
        filesystem = wanted.filesystems.get(step.entity) if step.kind is Kind.FILESYSTEM else None
        if filesystem is not None and filesystem.volume:
            self._volumes_in_use[key] = filesystem.volume

    async def _next_change(self) -> None:
        """Wait until something has changed, or a failure is due again."""
        due = self._retries.next_seconds(besides=self._busy.keys())
        await self._wait(self._changed, self._config.resync_seconds if due is None else due)

    async def _look(self) -> None:
        """See whether what is attached still is, when mounts or devices have changed, and now and then."""
        due = self._clock.monotonic() + self._config.resync_seconds
        while True:
            await self._wait(self._unsure, max(0.0, due - self._clock.monotonic()))
            is_due = self._clock.monotonic() >= due
            wanted = self._wanted or WantedStorage()
            places = {name: str(self._deeds.place(each)) for name, each in wanted.filesystem_attachments.items()}
            try:
                has_changed = await self._sight.look(wanted, places, self._busy.keys(), is_whole=is_due)
            except (OSError, TimeoutError) as error:
                _log.warning("cannot see what is attached of model %s: %s", self._model, error)
                has_changed = False
            if is_due or has_changed:
                self._changed.set()
            if is_due:
                due = self._clock.monotonic() + self._config.resync_seconds

    async def _wait(self, event: asyncio.Event, seconds: float) -> None:
        timer = alarm(self._clock, seconds, event.set)
        try:
            await event.wait()
        finally:
            timer.cancel()
        event.clear()

    async def _measure(self) -> None:
        """Look how full the filesystems are, after each mount and now and then."""
        while True:
            await self._wait(self._mounted, self._config.usage_seconds)
            if self._wanted is not None:
                await self._tell_usage(self._wanted)

    async def _tell_usage(self, wanted: WantedStorage) -> None:
        places = {
            name: mounted.info.path
            for name, mounted in wanted.filesystem_attachments.items()
            if name in self._sight.mounts and mounted.info is not None and mounted.info.path
        }
        # The edge to providers, and to a store that may be away: the next look is in a minute.
        try:
            found = await measure(places, wanted.filesystems, self._deeds.sources, self._hangs)
            await self._facade.set_usage(self._model, {FilesystemId.parse(name): each for name, each in found.items()})
        except Exception as error:
            _log.warning("cannot tell how full the filesystems of model %s are: %s", self._model, error)
            return
        storage = {name: each.storage for name, each in wanted.filesystems.items()}
        self._gauges.show(str(self._model), {(storage.get(name, ""), name): each for name, each in found.items()})

    def _actual(self, wanted: WantedStorage) -> Actual:
        due = trim_due(wanted.filesystems.values(), self._clock.now())
        sight = self._sight
        return Actual(volumes=frozenset(sight.devices), filesystems=frozenset(sight.mounts), trim_due=due)

    async def _take(self, step: Step, wanted: WantedStorage) -> None:
        try:
            with self._hangs.about(self._key(step), lambda: self._came_back(step)):
                async with self._turns.turn(), asyncio.timeout(STEP_SECONDS):
                    info = await self._deeds.take(step, wanted)
        # The edge to providers, which are anybody's: what they raise is the entity's trouble, not the worker's.
        except Exception as error:
            await self._failed(step, wanted, error)
        else:
            self._retries.succeeded(step)
            await self._note(step, info)
            now = self._wanted
            # What has been written may be on its way yet: it is not done again for that.
            if step.deed is not Deed.ATTACH and now is not None and about(step, now) == about(step, wanted):
                self._done[step] = now
        finally:
            del self._busy[step.kind, step.entity]
            self._volumes_in_use.pop((step.kind, step.entity), None)
            self._changed.set()

    def _came_back(self, step: Step) -> None:
        """A call that hung is over: what it was to do can be taken up again at once."""
        self._retries.succeeded(step)
        self._changed.set()

    async def _note(self, step: Step, info: AttachInfo | None) -> None:
        if step.deed in _CARE:
            return
        if step.deed is not Deed.ATTACH:
            self._sight.forget(step)
        elif info is not None:
            await self._sight.note(step, info)
            if step.kind is Kind.FILESYSTEM:
                self._mounted.set()

    def _about(self, step: Step, wanted: WantedStorage) -> object:
        """What a step is about, and what is in its way: when that has changed, it is tried again."""
        in_the_way = self._sight.instead.get(step.entity) if step.kind is Kind.FILESYSTEM else None
        return (about(step, wanted), in_the_way)

    async def _failed(self, step: Step, wanted: WantedStorage, error: Exception) -> None:
        if self._wanted is not None and about(step, wanted) != about(step, self._wanted):
            _log.info("cannot %s of model %s, and something else is wanted by now: %s", step, self._model, error)
            return
        final = isinstance(error, PermanentError | NotValidError)
        reason = str(error) or type(error).__name__
        if isinstance(error, TimeoutError) and not str(error):
            reason = f"it took longer than {STEP_SECONDS:.0f} s"
        if step.kind is Kind.FILESYSTEM and step.deed is Deed.ATTACH:
            place = self._deeds.place(wanted.filesystem_attachments[step.entity])
            with contextlib.suppress(OSError):
                await self._sight.see_instead(step.entity, str(place))
        self._retries.failed(step, self._about(step, wanted), reason, final=final)
        _log.warning("cannot %s of model %s: %s", step, self._model, reason)
        entity = VolumeId.parse(step.entity) if step.kind is Kind.VOLUME else FilesystemId.parse(step.entity)
        current = _current(step, wanted) if step.deed in _CARE else "error" if final else _MEANWHILE[step.deed]
        with contextlib.suppress(StoreUnavailable):  # It is said again with the next failure.
            await self._facade.set_status(self._model, entity, current, f"cannot {step.deed}: {reason}")


_CARE = frozenset({Deed.GROW, Deed.SNAPSHOT, Deed.TRIM})
"""Of what is there, and stays as it is if they fail."""

_MEANWHILE = {
    Deed.CREATE: "pending",
    Deed.IMPORT: "pending",
    Deed.ATTACH: "attaching",
    Deed.DETACH: "detaching",
    Deed.DESTROY: "destroying",
}


def _current(step: Step, wanted: WantedStorage) -> str:
    """How an entity is about which nothing but its care has failed."""
    attachments = wanted.volume_attachments if step.kind is Kind.VOLUME else wanted.filesystem_attachments
    return "attached" if step.entity in attachments else "detached"


def about(step: Step, wanted: WantedStorage) -> object:
    """What a step is about, but for how it is going: when that has changed, the step is another."""
    if step.kind is Kind.VOLUME:
        volume = wanted.volumes.get(step.entity)
        held = wanted.volume_attachments.get(step.entity)
        return (None if volume is None else msgspec.structs.replace(volume, status=NO_STATUS), held)
    filesystem = wanted.filesystems.get(step.entity)
    mounted = wanted.filesystem_attachments.get(step.entity)
    return (
        None if filesystem is None else msgspec.structs.replace(filesystem, status=NO_STATUS),
        mounted,
        wanted.volume_attachments.get(filesystem.volume) if filesystem is not None else None,
    )
