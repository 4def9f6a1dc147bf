"""What a plugin's hooks are given, and what the top engine's manifold `agent` puts out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar, runtime_checkable

import msgspec

from undercroft_hookspecs.errors import UndercroftError

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from undercroft_hookspecs.identity import HostId, MachineId, ModelId, UnitName
    from undercroft_hookspecs.worker import Clock, Worker

C = TypeVar("C", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class Completed:
    """A process that has ended. A negative returncode is the signal that it died of."""

    argv: tuple[str, ...]
    returncode: int
    stdout: bytes = b""
    stderr: bytes = b""


class CommandFailedError(UndercroftError):
    """A process ended with another status than 0 (`completed`)."""

    def __init__(self, completed: Completed) -> None:
        super().__init__(completed)
        self.completed = completed

    def __str__(self) -> str:
        done = self.completed
        how = f"was killed by signal {-done.returncode}" if done.returncode < 0 else f"exited {done.returncode}"
        said = done.stderr.decode("utf-8", "replace").strip()
        return f"{done.argv[0]} {how}" + (f": {said[-500:]}" if said else "")


@runtime_checkable
class Process(Protocol):
    """How a worker runs a program."""

    async def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float,
        check: bool = True,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> Completed:
        """Run a program to its end: no shell, `LC_ALL=C`, in a process group of its own.

        `env` is added to the agent's environment. On a timeout (seconds) or a cancellation the group is killed and
        reaped before this returns or raises.

        Raises:
            NotFoundError: there is no such executable; its name is `argv[0]`.
            CommandFailedError: it ended with another status than 0, and `check` is on.
            TimeoutError: it ran for longer than `timeout`.
        """
        ...


class Gauge(Protocol):
    """A value that goes up and down, one for each set of label values."""

    def set(self, value: float, *labels: str) -> None:
        """Set the value for these label values."""

    def replace(self, values: Mapping[tuple[str, ...], float]) -> None:
        """Set the values for these label values, and forget all others."""


class Counter(Protocol):
    """A value that only grows, one for each set of label values."""

    def add(self, amount: float = 1, *labels: str) -> None:
        """Add to the value for these label values. Raises NotValidError(field="amount") if it is negative."""


class Meter(Protocol):
    """Where a plugin's instruments come from: exposed as `undercroft_<plugin>_<name>`.

    Asking again for a name gives the same instrument. Raises NotValidError if a name is malformed or stands already for
    something else.
    """

    def gauge(self, name: str, summary: str, labels: Sequence[str] = ()) -> Gauge:
        """A gauge with these label names."""
        ...

    def counter(self, name: str, summary: str, labels: Sequence[str] = ()) -> Counter:
        """A counter with these label names."""
        ...


@runtime_checkable
class Agent(Protocol):
    """What the agent gives a plugin: each plugin has one of its own, and it is read-only."""

    @property
    def host(self) -> HostId:
        """This host."""
        ...

    @property
    def data_dir(self) -> Path:
        """The plugin's own folder: it writes nowhere else without being told to."""
        ...

    @property
    def clock(self) -> Clock:
        """Time."""
        ...

    @property
    def rng(self) -> random.Random:
        """Randomness."""
        ...

    @property
    def process(self) -> Process:
        """How to run a program."""
        ...

    @property
    def meter(self) -> Meter:
        """The plugin's own instruments."""
        ...

    def config(self, kind: type[C]) -> C:
        """This plugin's section of the config, validated."""
        ...

    def collect(self, hook: str) -> Sequence[tuple[str, object]]:
        """Ask all plugins a hook: (plugin, its result), in the order of their names. The only way a plugin calls a
        hook.

        Raises:
            NotValidError: no such hook, or a unit's hook asked from a top Agent.
        """
        ...


@runtime_checkable
class UnitAgent(Agent, Protocol):
    """What the agent gives a plugin for one unit. The meter adds the labels `model` and `unit`."""

    @property
    def model(self) -> ModelId:
        """The unit's model."""
        ...

    @property
    def unit(self) -> UnitName:
        """The unit."""
        ...

    @property
    def machine(self) -> MachineId:
        """The machine of that model that the unit is placed on."""
        ...

    @property
    def unit_dir(self) -> Path:
        """The unit's folder: its charm and its sockets."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The present value of one instrument for one set of labels."""

    name: str
    kind: Literal["gauge", "counter"]
    summary: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


@runtime_checkable
class Control(Protocol):
    """The running agent's control, exactly as its control socket offers it."""

    async def ask(self, request: Mapping[str, object]) -> Mapping[str, object]:
        """Answer one request: `{"request": "report" | "graph" | "explain" | "transitions" | "restart" | ..., ...}`."""
        ...


@runtime_checkable
class Samples(Protocol):
    """All instruments of all plugins."""

    def samples(self) -> Sequence[Sample]:
        """Their present values, sorted by name and labels."""
        ...


@runtime_checkable
class UnitEngines(Protocol):
    """Where `unit-deployer` gets a unit's engine from."""

    def engine(self, model: ModelId, unit: UnitName) -> Worker:
        """A new engine for the unit, running, filled by every plugin's `undercroft_unit_manifolds`."""
        ...


@runtime_checkable
class Role(Protocol):
    """What process this is: the agent itself, or a command that opened a private engine."""

    @property
    def role(self) -> Literal["agent", "client"]:
        """`agent` renews, reaps and announces; `client` only reads and writes desired state."""
        ...
