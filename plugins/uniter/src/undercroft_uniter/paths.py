"""Where a unit's files are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from undercroft_hookspecs import UnitAgent


@dataclass(frozen=True, slots=True)
class UnitPaths:
    """The files of one unit: `unit` is its folder, `own` that of this plugin in it."""

    unit: Path
    own: Path

    @classmethod
    def of(cls, agent: UnitAgent) -> UnitPaths:
        """Those of the unit that the agent is bound to."""
        return cls(agent.unit_dir, agent.data_dir)

    @property
    def charm(self) -> Path:
        """The charm's folder. Charms write beside it, too: its parent is the unit's own."""
        return self.unit / "charm"

    @property
    def resources(self) -> Path:
        """The charm's resources, each in a folder of its name."""
        return self.unit / "resources"

    @property
    def run_socket(self) -> Path:
        """Where `juju-exec` asks for commands to be run."""
        return self.unit / "run.socket"

    @property
    def tool_socket(self) -> Path:
        """Where the hook tools of hooks, actions and commands are answered."""
        return self.unit / "agent.socket"

    @property
    def restricted_socket(self) -> Path:
        """Where the hook tools of restricted hooks are answered."""
        return self.unit / "restricted.socket"

    @property
    def debug(self) -> Path:
        """Which hooks somebody wants to run by hand; not there if nobody does."""
        return self.unit / "debug.json"

    @property
    def tools(self) -> Path:
        """The hook tools that charms find on their PATH."""
        return self.own / "tools"

    @property
    def operation(self) -> Path:
        """What the unit was at (`OperationState`)."""
        return self.own / "operation.json"

    @property
    def running(self) -> Path:
        """The process of charm code that runs now."""
        return self.own / "running.json"

    @property
    def relations(self) -> Path:
        """What the unit has seen in its relations."""
        return self.own / "relations.json"

    @property
    def storage(self) -> Path:
        """Which storage the charm has been told of."""
        return self.own / "storage.json"

    @property
    def secrets(self) -> Path:
        """Which news of secrets the charm has been told of."""
        return self.own / "secrets.json"

    @property
    def deployer(self) -> Path:
        """What the charm's deployer writes down: which paths are the charm's, and which charm is being deployed."""
        return self.own / "deployer"

    @property
    def bundles(self) -> Path:
        """Charm archives on their way."""
        return self.own / "bundles"
