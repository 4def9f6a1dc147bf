"""Load the plugins in this process and draw up what an agent would run: nothing is started, and nothing written."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from undercroft.agent.blueprint import Blueprint, Draughtsman
from undercroft.agent.handle import Handles
from undercroft.agent.host import HOST_ID
from undercroft.agent.meter import Instruments
from undercroft.agent.top import outputs_manifold, state_manifolds
from undercroft.clock import SystemClock
from undercroft.plugins import Registry
from undercroft.process import SystemProcess
from undercroft_hookspecs import HostId

if TYPE_CHECKING:
    from pathlib import Path

    from undercroft.config import Config
    from undercroft.plugins import Installed

_NO_HOST = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True)
class Survey:
    """The plugins as they are in this process, and the plan of an agent that would run them."""

    registry: Registry
    handles: Handles
    blueprint: Blueprint

    def manifolds(self) -> dict[str, list[str]]:
        """The manifold names of each plugin: those of the top engine, then those of every unit."""
        names: dict[str, list[str]] = {}
        for plan in (self.blueprint.top, self.blueprint.unit):
            for name, claim in sorted(plan.claims.items()):
                names.setdefault(claim.plugin, []).append(name)
        return names


def survey(config: Config, data_dir: Path, *, installed: Installed | None = None) -> Survey:
    """Load every plugin and ask it for its manifolds.

    Raises:
        ConfigError: the config cannot be used.
    """
    # What the loader logs about each plugin is part of the answer already.
    logging.getLogger("undercroft").addHandler(logging.NullHandler())
    registry, clock, host = Registry.load(config, installed=installed), SystemClock(), _host(data_dir)
    handles = Handles(
        registry, host=host, data_dir=data_dir, clock=clock, process=SystemProcess(), instruments=Instruments()
    )
    core = {"agent": outputs_manifold({}), **state_manifolds(registry, host=host, data_dir=data_dir, clock=clock)}
    return Survey(registry, handles, Draughtsman(handles, core).draw())


def _host(data_dir: Path) -> HostId:
    """The host's identity if there is one: making one is the agent's, and who only looks must not leave a trace."""
    try:
        return HostId.parse((data_dir / HOST_ID).read_text().strip())
    except (OSError, ValueError):
        return HostId.parse(_NO_HOST)
