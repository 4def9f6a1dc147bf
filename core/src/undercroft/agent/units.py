"""A unit's engine: filled by every plugin's unit manifolds, with the top engine's outputs passed through."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, cast

from undercroft import NoOpWorker, SimpleWorker
from undercroft.agent.blueprint import UNIT_HOOK, passed_through, unit_folder
from undercroft.agent.handle import UnitPlace, asking
from undercroft.agent.host import make_folders
from undercroft.agent.plan import CORE, Claim, Plan, difference, why_refused
from undercroft.agent.plugin_engine import PluginEngine
from undercroft.dependency import CycleError, Missing, OutputError
from undercroft.files import in_thread
from undercroft_hookspecs import MachineId, Manifold, NotValidError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from undercroft import Stop
    from undercroft.agent.plan import Claim
    from undercroft.agent.site import Site
    from undercroft_hookspecs import Context, ModelId, UnitName, Worker

_log = logging.getLogger(__name__)


class UnitRooms:
    """The `UnitEngines` that the manifold `agent` puts out."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def engine(self, model: ModelId, unit: UnitName) -> UnitEngine:
        """A new engine for the unit, running. Whoever asks sees to it that the last one has ended."""
        return UnitEngine(model, unit, self._site)


class UnitEngine:
    """One unit's engine as a Worker and a Reporter, from the moment it is asked for."""

    def __init__(self, model: ModelId, unit: UnitName, site: Site) -> None:
        self.name = f"{model}/{unit}"
        self.model, self.unit = model, unit
        self.inner: PluginEngine | None = None
        """The engine, once its folders are made."""
        self._site = site
        self._place: UnitPlace | None = None
        self._worker = SimpleWorker(self._run, name=self.name, clock=site.surroundings.clock)

    def kill(self) -> None:
        """Stop the unit's workers, what depends before what it depends on."""
        self._worker.kill()
        if self.inner is not None:
            self.inner.kill()

    async def wait(self) -> None:
        """Return at a clean end, or raise the AgentSignal that one of the unit's workers raised."""
        await self._worker.wait()

    def report(self) -> dict[str, object]:
        """The engine's report; empty before there is one."""
        return self.inner.report() if self.inner is not None else {}

    async def refresh(self, plugins: Collection[str], collectors: Collection[str]) -> None:
        """Ask these plugins once more, and replace their manifolds, and those named by `collectors`."""
        if self.inner is None or self._place is None:
            return
        gone, fresh = difference(self.inner.claims, self._claims(self._place), plugins, collectors)
        passed = {name for name, claim in fresh.items() if claim.is_passed and name in self.inner.claims}
        await self.inner.replace(gone, {name: claim for name, claim in fresh.items() if name not in passed})

    async def _run(self, stop: Stop) -> None:
        # The task was made in the context of whoever runs the units; what is collected here is not for its account.
        asking.set(None)
        place = self._place = self._placed()
        claims = self._claims(place)
        plugins = {claim.plugin for claim in claims.values()} - {CORE}
        await in_thread(make_folders, [place.unit_dir / plugin for plugin in plugins])
        if stop.is_set():
            return
        engine = self.inner = PluginEngine(self.name, claims, self._site.surroundings)
        self._site.units[self.name] = self
        try:
            await engine.fill()
            if stop.is_set():
                engine.kill()
            await engine.wait()
        finally:
            engine.kill()
            if self._site.units.get(self.name) is self:
                del self._site.units[self.name]
                self._site.handles.forget_engine(self.name)
                self._site.handles.instruments.forget_unit(str(self.model), str(self.unit))

    def _placed(self) -> UnitPlace:
        folder = unit_folder(self._site.handles.data_dir, self.model, self.unit)
        return UnitPlace(self.model, self.unit, self._machine(), folder)

    def _machine(self) -> MachineId:
        """The machine that the model has the unit on; in a model that does not say, the first."""
        model = self._site.top.present.get("model")
        outputs = getattr(model, "for_unit", None)
        if callable(outputs):
            try:
                machine = outputs(self.model, self.unit)(MachineId)
            except OutputError:
                machine = None
            if isinstance(machine, MachineId):
                return machine
        return MachineId.parse("0")

    def _claims(self, place: UnitPlace) -> Mapping[str, Claim]:
        handles, learnt = self._site.handles, self._site.blueprint.unit.claims
        token = asking.set(None)
        try:
            answers = handles.registry.hooks.collect(UNIT_HOOK, lambda name: handles.unit(name, place), breaks=False)
        finally:
            asking.reset(token)
        plan = Plan()
        for plugin, answer in answers:
            manifolds = cast("Mapping[str, Manifold]", answer)
            try:
                _check_constant(plugin, manifolds, learnt)
                plan.add(plugin, manifolds)
            except (NotValidError, CycleError) as error:
                _log.error("unit %s goes without plugin %r: %s", self.unit, plugin, why_refused(error))
        top = self._site.top
        passed = passed_through(plan.claims, top.claims)
        through = {name: Claim(CORE, self._pass_through(name), is_passed=True) for name in sorted(passed)}
        return through | dict(plan.claims)

    def _pass_through(self, name: str) -> Manifold:
        """A manifold that stands for the top engine's worker of that name."""
        top = self._site.top

        def start(_: Context) -> Worker:
            provider = top.present.get(name)
            if provider is None:
                raise Missing(name, "stopped")
            for_unit = getattr(provider, "for_unit", None)
            return PassThrough(for_unit(self.model, self.unit) if callable(for_unit) else None)

        def output(worker: Worker, kind: type) -> object:
            if not isinstance(worker, PassThrough):
                raise OutputError(f"{name!r} is passed through from the top engine; this worker is not")
            return top.expose(name, kind) if worker.outputs is None else worker.outputs(kind)

        return Manifold(start=start, output=output)


class PassThrough(NoOpWorker):
    """Stands for a worker of the top engine in a unit's; `outputs` is the unit's own view of it, if it has one."""

    def __init__(self, outputs: Callable[[type], object] | None) -> None:
        super().__init__()
        self.outputs = outputs


def _check_constant(plugin: str, manifolds: Mapping[str, Manifold], learnt: Mapping[str, Claim]) -> None:
    """Refuse manifolds that are not those of the specimen: what the units take from the top engine would not hold."""
    expected = {name: set(claim.manifold.inputs) for name, claim in learnt.items() if claim.plugin == plugin}
    if {name: set(manifold.inputs) for name, manifold in manifolds.items()} != expected:
        raise NotValidError(f"{UNIT_HOOK} answers other names or inputs than for the specimen", field="manifolds")
