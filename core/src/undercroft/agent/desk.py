"""What the control tells and does, over the top engine and every unit's engine.

A unit's manifold is named `<model>/<unit>/<manifold>`; `<unit>/<manifold>` will do where only one model has that unit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from undercroft.agent.plain import text
from undercroft.agent.story import explain, graph, state
from undercroft.plugins.status import plugin_rows
from undercroft_hookspecs import NotFoundError, NotValidError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from undercroft.agent.plugin_engine import PluginEngine
    from undercroft.agent.site import Site


class AgentDesk:
    """See `undercroft.agent.control.Desk`."""

    def __init__(self, site: Site, *, reload: Callable[[], Awaitable[dict[str, object]]]) -> None:
        self._site, self._reload = site, reload

    def report(self) -> dict[str, object]:
        """The top engine's report, with the names in quarantine; a unit's is in that of whatever runs the units."""
        return self._site.top.report()

    def graph(self) -> dict[str, object]:
        """Every manifold of every engine, with its inputs by their names in the same answer."""
        manifolds = dict(graph(self._site.top))
        for engine in self._unit_engines():
            for name, entry in graph(engine).items():
                manifolds[f"{engine.name}/{name}"] = _qualified(engine, name, entry)
        return {"manifolds": manifolds}

    def explain(self, name: str) -> dict[str, object]:
        """Why a manifold is in the state that it is in."""
        engine, inner = self._find(name)
        return {"name": name, "state": state(engine, inner), "sentences": explain(engine, inner)}

    def transitions(self) -> list[object]:
        """The last transitions of all engines, oldest first."""
        return self._site.events.transitions()

    def plugins(self) -> list[dict[str, object]]:
        """What has become of each plugin, with its manifolds: the top engine's, then those of every unit."""
        names: dict[str, list[str]] = {}
        for plan in (self._site.blueprint.top, self._site.blueprint.unit):
            for name, claim in sorted(plan.claims.items()):
                names.setdefault(claim.plugin, []).append(name)
        return plugin_rows(self._site.setup.registry, names)

    async def restart(self, name: str) -> None:
        """Stop and start one worker, out of quarantine too."""
        engine, inner = self._find(name)
        await engine.restart(inner)

    async def reload(self) -> dict[str, object]:
        """Read the config again, and replace what has changed."""
        return await self._reload()

    def _unit_engines(self) -> Iterator[PluginEngine]:
        return (unit.inner for _, unit in sorted(self._site.units.items()) if unit.inner is not None)

    def _find(self, name: str) -> tuple[PluginEngine, str]:
        top = self._site.top
        if name in top.claims:
            return top, name
        place, _, inner = name.rpartition("/")
        found = [
            engine
            for engine in self._unit_engines()
            if inner in engine.claims and place and (engine.name == place or engine.name.endswith(f"/{place}"))
        ]
        if len(found) > 1:
            names = ", ".join(f"{engine.name}/{inner}" for engine in found)
            raise NotValidError(f"{name!r} may be any of {names}; say which", field="name")
        if not found:
            known = ", ".join(sorted(top.claims))
            raise NotFoundError(name, f"there is no worker {text(name)[:80]!r}; there are: {known}")
        return found[0], inner


def _qualified(engine: PluginEngine, name: str, entry: Mapping[str, object]) -> dict[str, object]:
    """A unit manifold's entry, its inputs named as in the whole graph; what is passed through leads to the top."""
    claim = engine.claims[name]
    if claim.is_passed:
        return {**entry, "inputs": [name]}
    missing = cast("list[str]", entry["missing"])
    return {
        **entry,
        "inputs": [f"{engine.name}/{needed}" for needed in claim.manifold.inputs],
        "missing": [f"{engine.name}/{needed}" for needed in missing],
    }
