"""What is known of one plugin, and the errors that speak of plugins."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from undercroft_hookspecs.errors import UndercroftError


class PluginState(StrEnum):
    """What became of a plugin."""

    ACTIVE = "active"
    DISABLED = "disabled"
    INCOMPATIBLE = "incompatible"
    BROKEN = "broken"
    SHADOWED = "shadowed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """One plugin as it stands now: a later change makes a new one.

    `why` says what is wrong and what to do, and is empty for an active plugin. `requires` is its requirement on
    undercroft-hookspecs, as written. `hooks` are the names that it implements. `error` is the exception that broke it,
    with its traceback.
    """

    name: str
    state: PluginState
    why: str = ""
    distribution: str = ""
    version: str = ""
    requires: str = ""
    hooks: tuple[str, ...] = ()
    error: BaseException | None = field(default=None, compare=False)


class PluginBrokenError(UndercroftError):
    """A plugin does not keep the contract: `name`, and `why`."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(name, why)
        self.name = name
        self.why = why

    def __str__(self) -> str:
        return f"plugin {self.name!r} is broken: {self.why}"


class RequiredPluginError(UndercroftError):
    """Plugins that the config requires are not active: `problems` maps each name to what is the matter."""

    def __init__(self, problems: dict[str, str]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        listed = "; ".join(f"{name} is {problem}" for name, problem in sorted(self.problems.items()))
        return f"`required` in the config is not met: {listed}"
