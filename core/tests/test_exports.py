"""The import paths: what they hold, that it is the same object everywhere, and what importing them costs."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys

import pytest

import undercroft
import undercroft.testing
import undercroft_hookspecs

ERRORS = {
    "UndercroftError", "NotValidError", "NotFoundError", "AlreadyExistsError", "DeadError", "AbortedError",
    "WorkerCancelled", "StartError", "Killed", "RestartLimitError", "AgentSignal", "TerminateAgent", "RestartAgent",
    "RebootMachine", "ShutdownMachine", "caused_by",
}  # fmt: skip
WORKERS = {
    "Worker", "Reporter", "stop", "outcome", "dead", "closing_on_error", "Stop", "Tomb", "FinishedWorker", "NoOpWorker",
    "SimpleWorker", "PeriodicTimer", "Timer", "PeriodicWorker",
}  # fmt: skip
TIMES = {"Backoff", "Clock", "SystemClock", "current_worker", "Event", "Metrics", "RESTART_DELAY"}
SHARED = {
    "Worker", "Reporter", "Abort", "Context", "Manifold", "StartFunc", "OutputFunc", "FilterFunc", "Clock", "Event",
    "UndercroftError", "NotValidError", "NotFoundError", "AlreadyExistsError", "AgentSignal", "TerminateAgent",
    "RestartAgent", "RebootMachine", "ShutdownMachine",
}  # fmt: skip
CHECKS = {
    "ALIVE_DELAY", "KILL_TIMEOUT", "check_alive", "check_killed", "check_kill", "clean_kill", "dirty_kill",
    "check_none_or_kill", "ErrorWorker", "DeadWorker", "ForeverWorker", "FakeWatcher", "StubContext", "FakeClock",
    "FakeAgent", "FakeProcess", "MemoryStore",
}  # fmt: skip
MODULES = {
    "undercroft.catacomb": {"Plan", "invoke", "DyingError", "MisuseError", "Catacomb", "CatacombWorker"},
    "undercroft.dependency": {
        "EngineSignal", "Missing", "Bounce", "Uninstall", "ExpiredError", "CycleError", "OutputError", "EngineConfig",
        "Engine", "Installer", "install", "validate", "self_manifold", "ValueWorker", "value_output",
        "Manifold", "Context", "StartFunc", "OutputFunc", "FilterFunc",
    },
    "undercroft.fortress": {"Guard", "Guest", "Fortress", "manifold", "occupy"},
    "undercroft.gate": {
        "Waiter", "Unlocker", "Lock", "AlreadyUnlocked", "manifold", "Flag", "GateUnlocked", "GateFlag", "flag_output",
        "flag_manifold",
    },
    "undercroft.housing": {"Housing"},
}  # fmt: skip


def run(script: str) -> str:
    """Run a script in a fresh interpreter, and give what it prints."""
    done = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_undercroft_holds_exactly_the_librarys_common_part() -> None:
    assert set(undercroft.__all__) == ERRORS | WORKERS | TIMES | SHARED | {"Runner"}
    assert len(set(undercroft.__all__)) == len(undercroft.__all__)


def test_testing_holds_exactly_the_test_bench() -> None:
    assert set(undercroft.testing.__all__) == CHECKS
    assert len(set(undercroft.testing.__all__)) == len(undercroft.testing.__all__)


@pytest.mark.parametrize("package", [undercroft, undercroft.testing])
def test_every_name_is_there_and_listed(package: object) -> None:
    names: list[str] = package.__all__  # type: ignore[attr-defined]

    assert all(getattr(package, name) is not None for name in names)
    assert set(dir(package)) == set(names)


@pytest.mark.parametrize("package", [undercroft, undercroft.testing])
def test_a_name_that_is_not_there_is_an_attribute_error(package: object) -> None:
    with pytest.raises(AttributeError, match="Manager"):
        package.Manager  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize("name", sorted(SHARED))
def test_what_hookspecs_defines_is_the_same_object(name: str) -> None:
    assert getattr(undercroft, name) is getattr(undercroft_hookspecs, name)


@pytest.mark.parametrize("name", ["Manifold", "Context", "StartFunc", "OutputFunc", "FilterFunc"])
def test_dependency_gives_the_manifolds_types_as_they_are(name: str) -> None:
    dependency = importlib.import_module("undercroft.dependency")

    assert getattr(dependency, name) is getattr(undercroft_hookspecs, name)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_module_holds_its_section(module: str) -> None:
    namespace = importlib.import_module(module)

    assert {name for name in MODULES[module] if not hasattr(namespace, name)} == set()


def test_restart_delay_is_the_runners_default() -> None:
    assert undercroft.RESTART_DELAY == 3.0
    assert inspect.signature(undercroft.Runner).parameters["restart_delay"].default == undercroft.RESTART_DELAY


def test_current_worker_is_nobody_outside_of_any() -> None:
    assert undercroft.current_worker.get() is None


def test_importing_undercroft_imports_next_to_nothing() -> None:
    script = """
import sys
before = set(sys.modules)
import undercroft, undercroft.testing
print(*sorted(set(sys.modules) - before - {"typing", "importlib", "collections.abc"}))
"""
    new = set(run(script).split())

    assert {name for name in new if name.startswith("undercroft")} == {
        "undercroft", "undercroft.testing", "undercroft_hookspecs", "undercroft_hookspecs.lazy",
    }  # fmt: skip
    assert new.isdisjoint({"asyncio", "msgspec", "pluggy", "uvloop", "logging", "datetime", "random"})


def test_the_library_works_with_the_standard_library_and_hookspecs_contracts_alone() -> None:
    script = """
import sys

REFUSED = {"msgspec", "pluggy", "uvloop", "click", "structlog", "rich", "packaging", "aiofiles", "pyudev"}

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in REFUSED:
            raise ImportError(f"{name} is not for the supervision library")

sys.meta_path.insert(0, Refuse())
import asyncio
from undercroft import Runner, SimpleWorker, Stop, Tomb, PeriodicWorker, Backoff
from undercroft.catacomb import CatacombWorker
from undercroft.dependency import Engine, Manifold
from undercroft.fortress import manifold as fortress
from undercroft.gate import flag_manifold, manifold as gate
from undercroft.housing import Housing
from undercroft.testing import FakeClock, StubContext, check_alive, clean_kill

async def main():
    async with Runner("r") as runner:
        await runner.start_worker("w", lambda: SimpleWorker(Stop.wait))
        await runner.worker("w")
    async with Engine() as engine:
        await engine.install("fortress", fortress())
        await engine.install("gate", gate())
        await engine.install("flag", Housing(occupy="fortress").decorate(flag_manifold("gate")))
        await check_alive(engine)
    await clean_kill(CatacombWorker("c"))

asyncio.run(main())
print(*sorted(name for name in sys.modules if name.startswith("undercroft_hookspecs.")))
"""
    assert run(script).split() == [
        "undercroft_hookspecs.errors",
        "undercroft_hookspecs.lazy",
        "undercroft_hookspecs.manifold",
        "undercroft_hookspecs.worker",
    ]
