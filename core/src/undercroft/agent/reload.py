"""Read the config again, and exchange what has changed and nothing else."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from undercroft.agent.blueprint import DEPLOYER
from undercroft.agent.host import HOST_ID, make_folders
from undercroft.agent.plan import difference
from undercroft.agent.quarantine import Limit
from undercroft.files import in_thread
from undercroft.settings import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from undercroft.agent.site import Site
    from undercroft.config import Config

_log = logging.getLogger(__name__)

_NEEDS_RESTART = ("store", "required", "disabled")


@dataclass(slots=True)
class Outcome:
    """What came of a reload: the plugins that were replaced, the keys that need a restart, and what is wrong."""

    changed: list[str] = field(default_factory=list)
    needs_restart: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def answer(self) -> dict[str, object]:
        """The same as the control's answer."""
        return {"changed": self.changed, "needs_restart": self.needs_restart, "errors": self.errors}


class Reloader:
    """Reloads one agent, one reload at a time."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._turn = asyncio.Lock()

    async def reload(self) -> dict[str, object]:
        """Read and compare, then replace; a config that cannot be used changes nothing."""
        async with self._turn:
            outcome = await self._reload()
        for line in outcome.errors:
            _log.error("reload: %s", line)
        if outcome.needs_restart:
            _log.warning("reload: the change of %s takes a restart", ", ".join(outcome.needs_restart))
        _log.info("reload: replaced %s", ", ".join(outcome.changed) or "nothing")
        return outcome.answer()

    async def _reload(self) -> Outcome:
        registry, outcome = self._site.setup.registry, Outcome()
        before = registry.config
        try:
            config = await in_thread(self._site.setup.read_config)
            outcome.changed = list(registry.reload(config))
        except ConfigError as error:
            outcome.errors.append(str(error))
            return outcome
        outcome.needs_restart = [key for key in _NEEDS_RESTART if getattr(before, key) != getattr(config, key)]
        if await in_thread(_other_host, self._site.setup.data_dir, str(self._site.setup.host)):
            outcome.needs_restart.append(HOST_ID)
        self._take_over(config)
        if outcome.changed:
            await in_thread(make_folders, [self._site.setup.data_dir / "plugins" / name for name in outcome.changed])
            broken = set(registry.active())
            await self._exchange(self._with_collecting_plugins(outcome.changed))
            broken -= set(registry.active())
            outcome.errors += [f"plugin {name!r} is broken: {registry.plugin(name).why}" for name in sorted(broken)]
        return outcome

    def _take_over(self, config: Config) -> None:
        self._site.surroundings.limit = Limit(config.restart_limit.failures, config.restart_limit.seconds)
        self._site.surroundings.allow_reboot = config.allow_reboot

    def _with_collecting_plugins(self, changed: Collection[str]) -> set[str]:
        """The changed plugins, and those whose own hooks collected a hook that one of these implements."""
        found, fresh = set(changed), list(changed)
        while fresh:
            for place in self._collectors([fresh.pop()], engine=None):
                if place not in found:
                    found.add(place)
                    fresh.append(place)
        return found

    def _collectors(self, plugins: Collection[str], *, engine: str | None) -> set[str]:
        """Whoever in that engine has collected a hook that one of the plugins implements."""
        registry = self._site.setup.registry
        hooks = {hook for name in plugins for hook in registry.plugin(name).hooks}
        places = (place for hook in hooks for place in self._site.handles.collectors(hook))
        return {place.name for place in places if place.engine == engine}

    async def _exchange(self, plugins: set[str]) -> None:
        before, after = self._site.blueprint, self._site.draughtsman.draw(again=plugins)
        self._site.blueprint = after
        touched = self._collectors(plugins, engine=self._site.top.name)
        gone, fresh = difference(before.top.claims, after.top.claims, plugins, touched)
        await self._site.top.replace(gone, fresh)
        if DEPLOYER in fresh or DEPLOYER in gone:
            return  # Its workers are new, and with them every unit's engine.
        units = list(self._site.units.values())
        collectors = (self._collectors(plugins, engine=unit.name) for unit in units)
        await asyncio.gather(*(unit.refresh(plugins, names) for unit, names in zip(units, collectors, strict=True)))


def _other_host(data_dir: Path, present: str) -> bool:
    try:
        return (data_dir / HOST_ID).read_text("utf-8", "replace").strip() != present
    except OSError:
        return False
