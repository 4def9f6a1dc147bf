"""What the agent is to run, drawn up from the plugins' answers: the top engine's plan, and that of every unit's engine.

Drawn at the start and again at each reload. A plugin whose answers cannot be used is broken and contributes nothing, to
neither plan; the message says why.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from undercroft.agent.handle import UnitPlace, asking
from undercroft.agent.plan import CORE, Claim, Plan, why_refused
from undercroft.dependency import CycleError
from undercroft.plugins import PluginBrokenError
from undercroft_hookspecs import MachineId, ModelId, NotValidError, UnitName

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from undercroft.agent.handle import Handles
    from undercroft_hookspecs import Manifold

DEPLOYER = "unit-deployer"
TOP_HOOK = "undercroft_manifolds"
UNIT_HOOK = "undercroft_unit_manifolds"


@dataclass(frozen=True, slots=True)
class Blueprint:
    """Both plans. `passed` are the top engine's names that unit manifolds take as inputs."""

    top: Plan
    unit: Plan
    passed: frozenset[str]


class Draughtsman:
    """Asks the plugins for their manifolds, keeps their answers, and puts them together."""

    def __init__(self, handles: Handles, core: Mapping[str, Manifold]) -> None:
        self._handles, self._registry = handles, handles.registry
        self._core = dict(core)
        self._top: dict[str, Mapping[str, Manifold]] = {}
        self._unit: dict[str, Mapping[str, Manifold]] = {}

    def draw(self, again: Collection[str] = ()) -> Blueprint:
        """Ask every plugin that was not asked yet, and those in `again` once more; then draw both plans."""
        token = asking.set(None)
        try:
            self._ask(self._top, TOP_HOOK, "agent", self._handles.top, again)
            self._ask(self._unit, UNIT_HOOK, "unit", self._specimen, again)
        finally:
            asking.reset(token)
        while True:
            blueprint = self._assemble()
            if blueprint is not None:
                return blueprint

    def _ask(
        self,
        answers: dict[str, Mapping[str, Manifold]],
        hook: str,
        argument: str,
        handle: Callable[[str], object],
        again: Collection[str],
    ) -> None:
        for plugin in self._registry.active():
            if not self._registry.hooks.implements(plugin, hook) or (plugin in answers and plugin not in again):
                continue
            try:
                answer = self._registry.hooks.ask(plugin, hook, **{argument: handle(plugin)})
            except PluginBrokenError:
                continue
            answers[plugin] = dict(cast("Mapping[str, Manifold]", answer))

    def _specimen(self, plugin: str) -> object:
        return self._handles.unit(plugin, specimen(self._handles.data_dir))

    def _assemble(self) -> Blueprint | None:
        """Both plans; None if a plugin turned out to be broken on the way, so that all must be done again."""
        top = Plan({name: Claim(CORE, manifold) for name, manifold in self._core.items()})
        unit = Plan()
        for plan, answers in ((top, self._top), (unit, self._unit)):
            for plugin in self._registry.active():
                try:
                    plan.add(plugin, answers.get(plugin, {}))
                except (NotValidError, CycleError) as error:
                    self._registry.break_plugin(plugin, why_refused(error), error)
                    return None
        above = top.dependents(DEPLOYER)
        for name, claim in unit.claims.items():
            forbidden = [needed for needed in claim.manifold.inputs if needed in above and needed not in unit.claims]
            if forbidden:
                why = f"its unit manifold {name!r} takes {forbidden[0]!r}, which runs the units: that is a circle"
                self._registry.break_plugin(claim.plugin, why)
                return None
        passed = passed_through(unit.claims, top.claims)
        return Blueprint(_extended(top, passed), unit, passed)


def specimen(data_dir: Path) -> UnitPlace:
    """The unit that every unit hook is asked for once, at load; it never runs."""
    model, unit = ModelId.parse("00000000-0000-0000-0000-000000000000"), UnitName.parse("specimen/0")
    return UnitPlace(model, unit, MachineId.parse("0"), unit_folder(data_dir, model, unit))


def unit_folder(data_dir: Path, model: ModelId, unit: UnitName) -> Path:
    """`<data>/models/<uuid>/agents/<unit>`, the unit's name written as Juju writes it in a path: `unit-mysql-0`."""
    return data_dir / "models" / str(model) / "agents" / f"unit-{unit.application}-{unit.number}"


def passed_through(unit: Mapping[str, Claim], top: Mapping[str, Claim]) -> frozenset[str]:
    """The inputs of unit manifolds that no unit manifold provides, but the top engine does."""
    needed = {name for claim in unit.values() for name in claim.manifold.inputs}
    return frozenset((needed - unit.keys()) & top.keys())


def _extended(top: Plan, passed: frozenset[str]) -> Plan:
    """The same plan, with what the units take from it among the inputs of whatever runs the units."""
    claims = dict(top.claims)
    deployer = claims.get(DEPLOYER)
    if deployer is not None:
        inputs = tuple(dict.fromkeys((*deployer.manifold.inputs, *sorted(passed))))
        claims[DEPLOYER] = replace(deployer, manifold=replace(deployer.manifold, inputs=inputs))
    return Plan(claims)
