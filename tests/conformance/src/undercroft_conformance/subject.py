"""What a plugin's author gives the kit: an agent, and fakes for what the plugin's workers take."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from undercroft_hookspecs.agent import Agent, UnitAgent


@dataclass(frozen=True, slots=True)
class Subject:
    """What a plugin is judged with.

    `agent` is given to its hooks; a UnitAgent makes it the unit's manifolds that are judged. `resources` are fakes by
    manifold name, as `undercroft.testing.StubContext` takes them: a list offers several candidates. `outputs` says for
    each manifold that has an output which kinds it gives. `optional` are inputs without which a worker comes up all
    the same. `writable` are the folders and files that the plugin has been told to write to, beside its own folder.
    """

    agent: Agent
    resources: Mapping[str, object] = field(default_factory=dict)
    outputs: Mapping[str, tuple[type, ...]] = field(default_factory=dict)
    optional: Collection[str] = ()
    writable: Sequence[Path] = ()

    @property
    def is_unit(self) -> bool:
        """Whether it is a unit's agent."""
        return isinstance(self.agent, UnitAgent)

    def folders(self) -> tuple[Path, ...]:
        """Everything that the plugin may write to."""
        own = [self.agent.data_dir]
        if isinstance(self.agent, UnitAgent):
            own.append(self.agent.unit_dir)
        return (*own, *self.writable)
