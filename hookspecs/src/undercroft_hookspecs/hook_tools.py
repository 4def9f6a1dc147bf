"""Hook tools: the commands that a charm calls from its hooks, and what a tool may ask of the hook that it is called in.

A plugin adds tools with `undercroft_hook_tools`. A tool declares its flags and arguments and is given each call parsed;
the uniter does the rest: flags anywhere, `--` ends them, `--help`, `--format`, `--output`, exit codes. One tool at a
time runs in one hook. What a tool needs of the hook it takes by kind, `context.get(StatusContext)`, one narrow Protocol
each; a restricted hook (collect-metrics, meter-status-changed) has but few of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeVar, runtime_checkable

from undercroft_hookspecs.errors import UndercroftError
from undercroft_hookspecs.hook_contexts import (
    ActionContext,
    CharmStateContext,
    ConfigContext,
    CredentialContext,
    GoalStateContext,
    HookStorage,
    LeadershipContext,
    LogContext,
    NetworkContext,
    PortsContext,
    RebootContext,
    RelationContext,
    RelationsContext,
    ResourcesContext,
    SecretsContext,
    StatusContext,
    StorageContext,
)

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "ActionContext",
    "CharmStateContext",
    "ConfigContext",
    "CredentialContext",
    "Flag",
    "GoalStateContext",
    "HookContext",
    "HookStorage",
    "HookTool",
    "LeadershipContext",
    "LogContext",
    "NetworkContext",
    "NotInContextError",
    "PortsContext",
    "RebootContext",
    "RelationContext",
    "RelationsContext",
    "ResourcesContext",
    "SecretsContext",
    "StatusContext",
    "StorageContext",
    "ToolCall",
    "ToolUsageError",
]

T = TypeVar("T")


class ToolUsageError(UndercroftError):
    """The charm called a tool wrongly: the tool exits 2. Any other UndercroftError makes it exit 1."""


class NotInContextError(UndercroftError):
    """This kind of hook has nothing of the sort: the tool exits 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """A flag of a tool. `names` are without dashes, one letter for a short one; the last is the one it is known by."""

    names: tuple[str, ...]
    summary: str
    value: str = ""
    """What its value is called in the help; empty for a switch, which may be given as `--name=true`, too."""
    default: str = ""
    """The value where it is not given; shown by the help as `(= DEFAULT)`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """One call of a tool, parsed."""

    arguments: tuple[str, ...]
    values: Mapping[str, str] = field(default_factory=dict)
    """The values of the flags that were given, or have a default."""
    switches: frozenset[str] = frozenset()
    """The switches that are on."""
    format: str = ""
    """How the answer is going to be printed: one of the tool's `formats`; empty where it has none."""
    folder: Path
    """Where the charm called it from, absolute."""
    read: Callable[[str], Awaitable[bytes]] = field(repr=False)
    """The content of a file as the charm names it (relative to `folder`), or with `-` what the charm pipes in.

    Raises UndercroftError when it cannot be read, or is larger than a tool takes.
    """
    warn: Callable[[str], None] = field(repr=False)
    """Add a line to the tool's stderr."""


@runtime_checkable
class HookTool(Protocol):
    """A hook tool that charms can call."""

    @property
    def name(self) -> str:
        """The command that a charm runs: `relation-get`."""
        ...

    @property
    def summary(self) -> str:
        """One line for the help."""
        ...

    @property
    def usage(self) -> str:
        """The arguments as the help shows them: `<key> [<unit>]`."""
        ...

    @property
    def details(self) -> str:
        """More for the help; may be empty."""
        ...

    @property
    def formats(self) -> Sequence[str]:
        """Which of `smart`, `json` and `yaml` the answer can be printed in, the default first; empty: the answer is a
        str (or None), printed as it is."""
        ...

    @property
    def arity(self) -> tuple[int, int | None]:
        """The fewest and the most arguments; None: any number."""
        ...

    def flags(self, context: HookContext) -> Sequence[Flag]:
        """The flags in that hook, besides `--help`, `--format` and `--output`."""
        ...

    async def run(self, context: HookContext, call: ToolCall) -> object:
        """Do it, and give the answer: what `formats` can print, None for nothing.

        Raises:
            ToolUsageError: it was called wrongly; exit status 2.
            UndercroftError: it failed; exit status 1.
        """
        ...


@runtime_checkable
class HookContext(Protocol):
    """The hook (or action, or commands) that a tool is called in."""

    @property
    def id(self) -> str:
        """What the hook's environment has as JUJU_CONTEXT_ID; nobody else can guess it."""
        ...

    @property
    def unit(self) -> str:
        """The unit."""
        ...

    @property
    def hook(self) -> str:
        """The name of the script: `db-relation-changed`; the action's name; `juju-exec` for commands."""
        ...

    def get(self, kind: type[T]) -> T:
        """A part of the hook: one of the Protocols below.

        Raises:
            NotInContextError: this kind of hook does not have it.
        """
        ...
