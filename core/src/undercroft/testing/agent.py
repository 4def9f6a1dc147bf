"""What a plugin's hooks are given, faked: an agent, a unit's agent, a process runner with answers prepared, a meter.

agent = FakeAgent(config=Config(poll_seconds=1), process=FakeProcess({("smartctl",): Completed((), 0)}))
"""

from __future__ import annotations

import random
import re
import shutil
import tempfile
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

import msgspec

from undercroft.clock import SystemClock
from undercroft_hookspecs.agent import CommandFailedError, Completed
from undercroft_hookspecs.errors import NotFoundError, NotValidError
from undercroft_hookspecs.identity import HostId, MachineId, ModelId, UnitName

if TYPE_CHECKING:
    from undercroft_hookspecs.agent import Process
    from undercroft_hookspecs.worker import Clock

C = TypeVar("C", bound=msgspec.Struct)

Answer: TypeAlias = Completed | BaseException | Callable[[Sequence[str]], Completed]

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_ZERO = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True)
class Call:
    """One run of a program that was asked for."""

    argv: tuple[str, ...]
    timeout: float
    stdin: bytes = b""
    env: Mapping[str, str] | None = None
    cwd: Path | None = None


class FakeProcess:
    """A Process that runs nothing and answers from a table.

    The answer is that of the longest key that the command line begins with: a Completed, an exception to raise, or a
    function of the command line. A command line that no key begins is a missing executable.
    """

    def __init__(self, answers: Mapping[tuple[str, ...] | str, Answer] | None = None) -> None:
        self.calls: list[Call] = []
        self._answers: dict[tuple[str, ...], Answer] = {}
        for begin, answer in (answers or {}).items():
            self.answer(begin, answer)

    def answer(self, begin: tuple[str, ...] | str, answer: Answer) -> None:
        """Answer command lines that begin like this with `answer` from now on; a str is the program alone."""
        self._answers[(begin,) if isinstance(begin, str) else tuple(begin)] = answer

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
        """Note the call, yield to the loop once, and give the answer prepared.

        Raises:
            NotFoundError: no answer is prepared; its name is `argv[0]`.
            CommandFailedError: the answer has another status than 0, and `check` is on.
        """
        line = tuple(argv)
        self.calls.append(Call(line, timeout, stdin, env, cwd))
        await SystemClock().sleep(0)
        answer = self._answer(line)
        if isinstance(answer, BaseException):
            raise answer
        said = answer if isinstance(answer, Completed) else answer(line)
        done = Completed(line, said.returncode, said.stdout, said.stderr)
        if check and done.returncode != 0:
            raise CommandFailedError(done)
        return done

    def _answer(self, argv: tuple[str, ...]) -> Answer:
        for length in range(len(argv), 0, -1):
            if (answer := self._answers.get(argv[:length])) is not None:
                return answer
        raise NotFoundError(argv[0])


class RecordingInstrument:
    """A gauge or a counter; `values` has what it stands at, by label values."""

    def __init__(self, kind: Literal["gauge", "counter"], name: str, summary: str, labels: tuple[str, ...]) -> None:
        self.kind, self.name, self.summary, self.labels = kind, name, summary, labels
        self.values: dict[tuple[str, ...], float] = {}

    def set(self, value: float, *labels: str) -> None:
        """Set the value for these label values."""
        self.values[self._key(labels)] = float(value)

    def replace(self, values: Mapping[tuple[str, ...], float]) -> None:
        """Set the values for these label values, and forget all others."""
        self.values = {self._key(labels): float(value) for labels, value in values.items()}

    def add(self, amount: float = 1, *labels: str) -> None:
        """Add to the value for these label values."""
        if not amount >= 0:
            raise NotValidError(f"{self.name} only grows: cannot add {amount}", field="amount")
        key = self._key(labels)
        self.values[key] = self.values.get(key, 0.0) + amount

    def _key(self, labels: Sequence[str]) -> tuple[str, ...]:
        if len(labels) != len(self.labels):
            raise NotValidError(f"{self.name} takes values for the labels {list(self.labels)}", field="labels")
        return tuple(labels)


class RecordingMeter:
    """A Meter whose instruments can be looked at: `meter.values("disk_healthy")`."""

    def __init__(self) -> None:
        self.instruments: dict[str, RecordingInstrument] = {}

    def gauge(self, name: str, summary: str, labels: Sequence[str] = ()) -> RecordingInstrument:
        """A gauge with these label names."""
        return self._instrument("gauge", name, summary, labels)

    def counter(self, name: str, summary: str, labels: Sequence[str] = ()) -> RecordingInstrument:
        """A counter with these label names."""
        return self._instrument("counter", name, summary, labels)

    def values(self, name: str) -> Mapping[tuple[str, ...], float]:
        """What the instrument stands at, by label values; nothing if nobody has asked for it."""
        instrument = self.instruments.get(name)
        return {} if instrument is None else instrument.values

    def _instrument(
        self, kind: Literal["gauge", "counter"], name: str, summary: str, labels: Sequence[str]
    ) -> RecordingInstrument:
        for word, field in ((name, "name"), *((label, "labels") for label in labels)):
            if _NAME.fullmatch(word) is None:
                raise NotValidError(f"{word!r} is not a name: lower-case letters, digits and _", field=field)
        known = self.instruments.setdefault(name, RecordingInstrument(kind, name, summary, tuple(labels)))
        if (known.kind, known.labels) != (kind, tuple(labels)):
            message = f"{name} is a {known.kind} with labels {list(known.labels)} already"
            raise NotValidError(message, field="name")
        return known


class FakeAgent:
    """An Agent for tests.

    `config` is the plugin's section, as its struct or as it stands in the file; None: all defaults. `answers` is what
    `collect` gives, by hook. Without `data_dir` a temporary folder is made when it is first asked for; it goes with the
    agent. Randomness is seeded, the clock is the machine's unless another is given.
    """

    def __init__(
        self,
        *,
        # The values of a section are what TOML has: strings, numbers, lists, tables.
        config: msgspec.Struct | Mapping[str, Any] | None = None,
        process: Process | None = None,
        data_dir: Path | None = None,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        host: HostId | None = None,
        answers: Mapping[str, Sequence[tuple[str, object]]] | None = None,
    ) -> None:
        self.host = host if host is not None else HostId.parse(_ZERO)
        self.clock: Clock = clock if clock is not None else SystemClock()
        self.rng = rng if rng is not None else random.Random(0)  # noqa: S311 - Tests want it repeatable.
        self.process: Process = process if process is not None else FakeProcess()
        self.meter = RecordingMeter()
        self._config, self._answers = config, dict(answers or {})
        self._data_dir = data_dir

    @property
    def data_dir(self) -> Path:
        """The plugin's own folder; there, and empty."""
        if self._data_dir is None:
            self._data_dir = self._temporary()
        return self._data_dir

    def config(self, kind: type[C]) -> C:
        """This plugin's section, as a `kind`."""
        if isinstance(self._config, kind):
            return self._config
        if isinstance(self._config, msgspec.Struct):
            raise TypeError(f"this agent's config is a {type(self._config).__name__}, not a {kind.__name__}")
        return msgspec.convert(self._config or {}, kind)

    def collect(self, hook: str) -> Sequence[tuple[str, object]]:
        """The answers given for that hook.

        Raises:
            NotValidError: none are given.
        """
        if hook not in self._answers:
            raise NotValidError(f"no hook called {hook!r} is answered here", field="hook")
        return sorted(self._answers[hook], key=lambda answer: answer[0])

    def _temporary(self) -> Path:
        folder = Path(tempfile.mkdtemp(prefix="undercroft-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return folder


class FakeUnitAgent(FakeAgent):
    """A UnitAgent for tests: `specimen/0` on machine 0 of the model zero, unless told otherwise."""

    def __init__(
        self,
        *,
        config: msgspec.Struct | Mapping[str, Any] | None = None,
        process: Process | None = None,
        data_dir: Path | None = None,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        host: HostId | None = None,
        answers: Mapping[str, Sequence[tuple[str, object]]] | None = None,
        model: ModelId | None = None,
        unit: UnitName | None = None,
        machine: MachineId | None = None,
        unit_dir: Path | None = None,
    ) -> None:
        super().__init__(
            config=config, process=process, data_dir=data_dir, clock=clock, rng=rng, host=host, answers=answers
        )
        self.model = model if model is not None else ModelId.parse(_ZERO)
        self.unit = unit if unit is not None else UnitName.parse("specimen/0")
        self.machine = machine if machine is not None else MachineId.parse("0")
        self._unit_dir = unit_dir

    @property
    def unit_dir(self) -> Path:
        """The unit's folder; there, and empty."""
        if self._unit_dir is None:
            self._unit_dir = self._temporary()
        return self._unit_dir
