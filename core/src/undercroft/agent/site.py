"""One agent's parts, for those that need one another: the control tells of the engine, whose `agent` puts it out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from undercroft.agent.blueprint import Blueprint, Draughtsman
    from undercroft.agent.events import Events
    from undercroft.agent.handle import Handles
    from undercroft.agent.plugin_engine import PluginEngine, Surroundings
    from undercroft.agent.setup import Setup
    from undercroft.agent.units import UnitEngine


@dataclass(kw_only=True, slots=True)
class Site:
    """The parts that there are from the start, and those that the composition root adds as it makes them."""

    setup: Setup
    handles: Handles
    events: Events
    surroundings: Surroundings
    draughtsman: Draughtsman = field(init=False)
    blueprint: Blueprint = field(init=False)
    """What runs now; a reload draws another."""
    top: PluginEngine = field(init=False)
    units: dict[str, UnitEngine] = field(default_factory=dict)
    """The units' engines that run, by name: `<model>/<unit>`."""
