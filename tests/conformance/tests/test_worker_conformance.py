"""The kit on a plugin that keeps every rule, and on one bad plugin for each rule, caught by the rule's name."""

from __future__ import annotations

import asyncio
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, runtime_checkable

import msgspec
import pytest

from undercroft import NoOpWorker, SimpleWorker, Stop, Tomb
from undercroft.dependency import Missing, OutputError
from undercroft.testing import FakeAgent, ForeverWorker, MemoryStore
from undercroft.testing.agent import FakeUnitAgent
from undercroft_conformance import Subject, WorkerConformance
from undercroft_conformance.drive import judge
from undercroft_conformance.life import Case
from undercroft_conformance.plugin import load
from undercroft_conformance.verdict import RuleBroken, Unjudged
from undercroft_conformance.worker_conformance import CHECKS
from undercroft_hookspecs import Agent, Context, Event, Manifold, Store, UnitAgent, Worker, hookimpl


@runtime_checkable
class Model(Protocol):
    """What the specimen takes as `model`."""

    async def names(self, *, prefix: str) -> Sequence[str]: ...


class FakeModel:
    async def names(self, *, prefix: str) -> Sequence[str]:
        return [prefix + "a"]


@runtime_checkable
class Count(Protocol):
    """What the specimen gives."""

    def count(self, name: str) -> int: ...


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    poll_seconds: float = 1.0


class Specimen:
    """A worker that keeps every rule."""

    def __init__(self, agent: Agent, model: Model) -> None:
        self._agent, self._model = agent, model
        self._names: Sequence[str] = ()
        self._worker = SimpleWorker(self._work, name="specimen")

    def kill(self) -> None:
        self._worker.kill()

    async def wait(self) -> None:
        await self._worker.wait()

    def report(self) -> dict[str, object]:
        return {"names": list(self._names)}

    def count(self, name: str) -> int:
        return len(name)

    async def _work(self, stop: Stop) -> None:
        self._names = await self._model.names(prefix="x")
        (self._agent.data_dir / "state").write_text("here")
        await stop.wait()


def output(worker: Worker, kind: type) -> object:
    if isinstance(worker, Specimen) and kind is Count:
        return worker
    raise OutputError(f"no {kind.__name__} here")


async def start_reader(context: Context) -> Worker:
    context.get("specimen", Count)
    context.get("store", Store)
    await asyncio.sleep(0)
    return NoOpWorker()


def specimen_manifolds(agent: Agent) -> dict[str, Manifold]:
    def start(context: Context) -> Worker:
        return Specimen(agent, context.get("model", Model))

    return {
        "specimen": Manifold(start=start, inputs=("model",), output=output),
        "reader": Manifold(start=start_reader, inputs=("specimen", "store")),
    }


def module_of(**names: object) -> ModuleType:
    """A plugin made of these names; what is called like a hook is one."""
    made = ModuleType("specimen_plugin")
    for name, value in names.items():
        setattr(made, name, value)
    return made


@hookimpl
def undercroft_config() -> type[msgspec.Struct]:
    return Config


@hookimpl
def undercroft_manifolds(agent: Agent) -> Mapping[str, Manifold]:
    return specimen_manifolds(agent)


@hookimpl
def undercroft_unit_manifolds(unit: UnitAgent) -> Mapping[str, Manifold]:
    return specimen_manifolds(unit)


@hookimpl
def undercroft_worker_event(event: Event) -> None:
    assert event.path


@hookimpl
def undercroft_check(agent: Agent) -> Sequence[str]:
    return [f"{agent.data_dir} is fine"]


GOOD = {
    "undercroft_config": undercroft_config,
    "undercroft_manifolds": undercroft_manifolds,
    "undercroft_unit_manifolds": undercroft_unit_manifolds,
    "undercroft_worker_event": undercroft_worker_event,
    "undercroft_check": undercroft_check,
}

NEEDS_A_FILE = {"import-budget", "import-effects"}


def subject_of(agent: Agent) -> Subject:
    return Subject(agent, resources={"model": FakeModel(), "store": MemoryStore()}, outputs={"specimen": (Count,)})


class TestGoodPlugin(WorkerConformance):
    plugin = module_of(**GOOD)

    @pytest.fixture
    def subject(self, tmp_path: Path) -> Subject:
        return subject_of(FakeAgent(data_dir=tmp_path))


class TestGoodUnitPlugin(WorkerConformance):
    plugin = module_of(**GOOD)

    @pytest.fixture
    def subject(self, tmp_path: Path) -> Subject:
        return subject_of(FakeUnitAgent(data_dir=tmp_path))


def hook(name: str, function: Callable[..., object]) -> dict[str, object]:
    """A plugin that has this hook, in place of the good one."""
    return {**GOOD, name: hookimpl(function)}


def config(kind: type[msgspec.Struct]) -> dict[str, object]:
    return hook("undercroft_config", lambda: kind)


def starting(start: Callable[..., object], *, inputs: Any = (), **more: Any) -> dict[str, object]:
    """A plugin whose one manifold starts like this; `start` gets the context and the agent."""

    def manifolds(agent: Agent) -> Mapping[str, Manifold]:
        if asyncio.iscoroutinefunction(start):

            async def begin_later(context: Context) -> object:
                return await start(context, agent)

            return {"bad": Manifold(start=begin_later, inputs=inputs, **more)}  # type: ignore[arg-type]

        def begin(context: Context) -> object:
            return start(context, agent)

        return {"bad": Manifold(start=begin, inputs=inputs, **more)}  # type: ignore[arg-type]

    return hook("undercroft_manifolds", manifolds)


def running(make: Callable[[Agent], object]) -> dict[str, object]:
    """A plugin whose one worker is this, needs nothing, and is made when it starts."""
    return starting(lambda _, agent: make(agent))


def working(work: Callable[[Stop], Any]) -> dict[str, object]:
    """A plugin whose one worker does this."""
    return running(lambda _: SimpleWorker(work))


class RequiredField(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    path: str


class Thawed(msgspec.Struct, forbid_unknown_fields=True):
    path: str = ""


class Inner(msgspec.Struct, frozen=True):
    path: str = ""


class Permissive(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    inner: Inner = Inner()


def takes_long() -> None:
    end = time.thread_time() + 0.5
    while time.thread_time() < end:
        pass


def config_that_takes_long() -> type[msgspec.Struct]:
    takes_long()
    return Config


def counted_manifolds() -> dict[str, object]:
    counter = iter(range(1000))
    return hook("undercroft_manifolds", lambda agent: {f"bad-{next(counter)}": Manifold(lambda _: NoOpWorker())})


async def misspelt(agent: Agent) -> Mapping[str, Manifold]:
    return {}


class Wrapped:
    """A worker around one of the library's; each subclass gets one thing wrong."""

    def __init__(self, _: Agent) -> None:
        self.tomb = Tomb()
        self.tomb.go(self.work(), grace=0)

    async def work(self) -> None:
        await asyncio.Event().wait()

    def kill(self) -> None:
        self.tomb.kill()

    async def wait(self) -> None:
        await self.tomb.wait()


class NeedsATurn(Wrapped):
    """Its task sets up what its kill needs."""

    async def work(self) -> None:
        self.stopping = asyncio.Event()
        await self.stopping.wait()
        self.tomb.kill()

    def kill(self) -> None:
        if hasattr(self, "stopping"):
            self.stopping.set()


class KillBlocks(Wrapped):
    def kill(self) -> None:
        time.sleep(0.4)
        super().kill()


class KillRaises(Wrapped):
    def kill(self) -> None:
        super().kill()
        raise RuntimeError("not now")


class KillTwiceFails(Wrapped):
    killed = False

    def kill(self) -> None:
        self.tomb.kill(RuntimeError("twice") if self.killed else None)
        self.killed = True


class KillFromLoopOnly(Wrapped):
    def kill(self) -> None:
        asyncio.get_running_loop().call_soon(self.tomb.kill)


class KillDeadRaises(Wrapped):
    def kill(self) -> None:
        if self.tomb.state == "dead":
            raise RuntimeError("it is dead already")
        super().kill()


class DiesDirty(Wrapped):
    async def work(self) -> None:
        try:
            await super().work()
        except asyncio.CancelledError:
            raise RuntimeError("interrupted") from None


class TellsOneWaiter(Wrapped):
    """Its first waiter takes the end away from all others."""

    def __init__(self, agent: Agent) -> None:
        super().__init__(agent)
        self.ends: asyncio.Queue[None] = asyncio.Queue()

    async def work(self) -> None:
        try:
            await super().work()
        finally:
            self.ends.put_nowait(None)

    async def wait(self) -> None:
        await self.ends.get()


class WaitsOnceOnly(Wrapped):
    waited = False

    async def wait(self) -> None:
        await super().wait()
        if self.waited:
            raise RuntimeError("told you already")
        self.waited = True


class DiesWithItsWaiter(Wrapped):
    async def wait(self) -> None:
        try:
            await super().wait()
        except asyncio.CancelledError:
            self.kill()
            raise


class Reports(Wrapped):
    def report(self) -> object:
        return {"path": Path("/somewhere")}


class LeaksTask(Wrapped):
    kept: list[object] = []

    async def work(self) -> None:
        self.kept.append(asyncio.get_running_loop().create_task(asyncio.sleep(60)))
        await super().work()


class LeaksDescriptor(Wrapped):
    async def work(self) -> None:
        os.open("/dev/null", os.O_RDONLY)
        await super().work()


class LeaksThread(Wrapped):
    events: list[threading.Event] = []

    async def work(self) -> None:
        self.events.append(threading.Event())
        threading.Thread(target=self.events[-1].wait, daemon=True).start()
        await super().work()


class LeaksChild(Wrapped):
    children: list[subprocess.Popen[bytes]] = []

    async def work(self) -> None:
        self.children.append(subprocess.Popen(["sleep", "60"], stdin=subprocess.DEVNULL))
        await super().work()


async def blocks(stop: Stop) -> None:
    await asyncio.sleep(0)
    time.sleep(0.3)
    await stop.wait()


async def fails(_: Stop) -> None:
    raise RuntimeError("at once")


async def shouts(stop: Stop) -> None:
    async def fail() -> None:
        raise ValueError("nobody takes me")

    asyncio.get_running_loop().create_task(fail())
    await stop.wait()


def writes_to(path: Path) -> dict[str, object]:
    async def work(stop: Stop) -> None:
        path.write_text("here")
        await stop.wait()

    return working(work)


def swallows_missing(context: Context, _: Agent) -> Worker:
    try:
        context.get("model", Model)
    except Missing:
        pass
    return NoOpWorker()


def wraps_missing(context: Context, _: Agent) -> Worker:
    try:
        context.get("model", Model)
    except Missing:
        raise RuntimeError("no model") from None
    return NoOpWorker()


def asks_for_others(context: Context, _: Agent) -> Worker:
    try:
        context.get("store")
    except Missing:
        pass
    return NoOpWorker()


async def cannot_be_called_off(context: Context, _: Agent) -> Worker:
    made = LeaksTask(FakeAgent())
    await asyncio.sleep(0.02)
    return made


def dies_dirty_with_the_model(context: Context, agent: Agent) -> Worker:
    context.get("model", Model)
    return DiesDirty(agent)


def fails_when_bounced() -> dict[str, object]:
    """Its second life fails."""
    lives = iter(range(1000))

    def start(context: Context, _: Agent) -> Worker:
        context.get("model", Model)
        if next(lives) % 2:
            raise RuntimeError("not again")
        return NoOpWorker()

    return starting(start, inputs=("model",))


def gives_anything(worker: Worker, kind: type) -> object:
    return worker


class WrongCount(Wrapped):
    def count(self) -> int:
        return 0


def bad_output(make: Callable[[Agent], object]) -> dict[str, object]:
    def manifolds(agent: Agent) -> Mapping[str, Manifold]:
        return {"specimen": Manifold(lambda _: make(agent), output=gives_anything)}  # type: ignore[arg-type, return-value]

    return hook("undercroft_manifolds", manifolds)


BAD_PLUGINS: Mapping[str, Sequence[Mapping[str, object]]] = {
    "hook-known": [
        {**GOOD, "undercroft_manifolsd": hookimpl(misspelt)},
        {**GOOD, "undercroft_check": lambda agent: []},
        {},
    ],
    "hook-arguments": [
        hook("undercroft_manifolds", lambda agnt: {}),
        hook("undercroft_manifolds", lambda *arguments: {}),
    ],
    "hook-synchronous": [hook("undercroft_manifolds", misspelt)],
    "hook-answer": [
        hook("undercroft_manifolds", lambda agent: [Manifold(lambda _: NoOpWorker())]),
        hook("undercroft_manifolds", lambda agent: {"bad": NoOpWorker}),
        hook("undercroft_manifolds", lambda agent: {"": Manifold(lambda _: NoOpWorker())}),
        hook("undercroft_manifolds", lambda agent: 1 // 0),
        hook("undercroft_config", Config),
        hook("undercroft_check", lambda agent: "not a list"),
        hook("undercroft_worker_event", lambda event: True),
        hook("undercroft_storage_providers", lambda agent: {"bad": 1}),
    ],
    "hook-cheap": [
        hook("undercroft_config", config_that_takes_long),
        hook("undercroft_manifolds", lambda agent: {"bad": Manifold(lambda _: NoOpWorker()), "x": LeaksThread(agent)}),
    ],
    "hook-repeatable": [counted_manifolds()],
    "config-defaults": [config(RequiredField)],
    "config-frozen": [config(Thawed)],
    "config-unknown": [config(Permissive)],
    "manifold-declared": [
        starting(swallows_missing, inputs="model"),
        starting(swallows_missing, inputs=("bad",)),
        starting(swallows_missing, output=1),
        hook("undercroft_manifolds", lambda agent: {"bad": Manifold(None)}),  # type: ignore[arg-type]
    ],
    "start-worker": [
        running(lambda _: None),
        starting(lambda context, _: 1 // 0),
        working(fails),
    ],
    "start-declared": [starting(asks_for_others, inputs=("model",))],
    "start-nothing": [starting(swallows_missing, inputs=("model",)), starting(wraps_missing, inputs=("model",))],
    "start-missing": [
        starting(swallows_missing, inputs=("model",)),
        starting(wraps_missing, inputs=("model",)),
        starting(lambda _, agent: NoOpWorker(), inputs=("model",)),
    ],
    "start-cancelled": [starting(cannot_be_called_off)],
    "start-killed": [running(NeedsATurn)],
    "kill-at-once": [running(KillBlocks)],
    "kill-silent": [running(KillRaises)],
    "kill-twice": [running(KillTwiceFails)],
    "kill-thread": [running(KillFromLoopOnly)],
    "kill-dead": [running(KillDeadRaises)],
    "kill-clean": [running(DiesDirty), running(lambda _: ForeverWorker())],
    "kill-engine": [running(DiesDirty), running(lambda _: ForeverWorker())],
    "wait-many": [running(TellsOneWaiter)],
    "wait-dead": [running(WaitsOnceOnly)],
    "wait-cancelled": [running(DiesWithItsWaiter)],
    "engine-bounce": [fails_when_bounced(), starting(dies_dirty_with_the_model, inputs=("model",))],
    "leak-free": [running(LeaksTask), running(LeaksDescriptor), running(LeaksThread), running(LeaksChild)],
    "loop-free": [working(blocks)],
    "no-noise": [working(shouts)],
    "report-json": [running(Reports)],
    "output-kind": [bad_output(Wrapped), bad_output(WrongCount)],
    "output-refuses": [bad_output(Wrapped)],
}


@pytest.fixture
def _tidy() -> Iterator[None]:
    """Put an end to what the bad plugins leave behind on purpose."""
    yield
    LeaksTask.kept.clear()
    for event in LeaksThread.events:
        event.set()
    for child in LeaksChild.children:
        child.kill()
        child.wait()
    LeaksThread.events.clear()
    LeaksChild.children.clear()


def judged(rule: str, plugin: str | ModuleType, subject: Subject, loop: str = "asyncio") -> None:
    (check,) = (check for check in CHECKS if check.rule.id == rule)
    judge(check, lambda bench: Case(load(plugin), subject, bench), loop=loop, seconds=0.5)


@pytest.mark.usefixtures("_tidy")
@pytest.mark.allow_leaks
@pytest.mark.loop_errors
@pytest.mark.slow_callbacks
@pytest.mark.parametrize(
    ("rule", "names"), [(rule, names) for rule, plugins in BAD_PLUGINS.items() for names in plugins]
)
def test_a_plugin_that_breaks_a_rule_is_caught_by_its_name(
    rule: str, names: Mapping[str, object], tmp_path: Path
) -> None:
    with pytest.raises(RuleBroken) as caught:
        judged(rule, module_of(**names), subject_of(FakeAgent(data_dir=tmp_path)))

    assert caught.value.rule.id == rule
    assert f"[{rule}]" in str(caught.value)
    assert caught.value.rule.sentence in str(caught.value)
    assert "was raised in" not in str(caught.value)


def test_every_rule_has_a_bad_plugin() -> None:
    assert {check.rule.id for check in CHECKS} == {*BAD_PLUGINS, *NEEDS_A_FILE, "writes-inside"}


BAD_FILES = [
    (
        "import-budget",
        "import time\nend = time.process_time() + 0.7\nwhile time.process_time() < end:\n    pass\n",
        r"takes \d{3,} ms of processor time",
    ),
    (
        "import-effects",
        "import threading, time\nthreading.Thread(target=time.sleep, args=(1,), name='mine', daemon=True).start()\n",
        "left: thread: 'mine'",
    ),
    ("import-effects", "import os\nkept = os.open('/dev/null', os.O_RDONLY)\n", "left: fd: .*/dev/null"),
    ("import-effects", "import subprocess\nkept = subprocess.Popen(['sleep', '0.1'])\n", "left: child: process"),
    ("import-effects", "1 // 0", "ZeroDivisionError"),
]


@pytest.mark.slow_callbacks
@pytest.mark.parametrize(("rule", "text", "found"), BAD_FILES, ids=["budget", "thread", "file", "child", "error"])
def test_a_module_that_does_too_much_when_imported_is_caught(
    rule: str, text: str, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("bad_import")
    module.__spec__ = ModuleSpec("bad_import", None)
    (tmp_path / "bad_import.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(RuleBroken, match=found) as caught:
        judged(rule, module, subject_of(FakeAgent(data_dir=tmp_path)))

    assert caught.value.rule.id == rule


@pytest.mark.parametrize("rule", sorted(NEEDS_A_FILE))
def test_a_module_that_only_declares_passes(rule: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "good_" + rule.replace("-", "_")
    (tmp_path / name).mkdir()
    (tmp_path / name / "plugin.py").write_text("from undercroft_hookspecs import hookimpl\n")
    monkeypatch.syspath_prepend(tmp_path)

    judged(rule, f"{name}.plugin", subject_of(FakeAgent(data_dir=tmp_path)))


def test_a_write_outside_the_data_folder_is_caught(tmp_path: Path) -> None:
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    data.mkdir()
    plugin = module_of(**writes_to(elsewhere))

    with pytest.raises(RuleBroken, match=r"\[writes-inside\] .*/elsewhere"):
        judged("writes-inside", plugin, Subject(FakeAgent(data_dir=data)))
    judged("writes-inside", plugin, Subject(FakeAgent(data_dir=data), writable=[elsewhere]))


def test_what_there_is_no_fake_for_is_unjudged_and_says_so(tmp_path: Path) -> None:
    with pytest.raises(Unjudged, match="'specimen' takes 'model', for which there is no fake"):
        judged("kill-clean", module_of(**GOOD), Subject(FakeAgent(data_dir=tmp_path)))


def test_a_start_without_any_input_is_judged_without_fakes(tmp_path: Path) -> None:
    judged("start-nothing", module_of(**GOOD), Subject(FakeAgent(data_dir=tmp_path)))


def test_an_optional_input_may_be_missing(tmp_path: Path) -> None:
    plugin = module_of(**starting(swallows_missing, inputs=("model",)))

    with pytest.raises(Unjudged):
        judged(
            "start-missing", plugin, Subject(FakeAgent(data_dir=tmp_path), {"model": FakeModel()}, optional=["model"])
        )


def test_a_plugin_without_manifolds_is_unjudged(tmp_path: Path) -> None:
    with pytest.raises(Unjudged, match="has no undercroft_manifolds"):
        judged("kill-clean", module_of(undercroft_config=undercroft_config), Subject(FakeAgent(data_dir=tmp_path)))
