"""docs/reference/from-juju.md: what it names can be imported, and it names what people will look for."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "from-juju.md"
OURS = re.compile(r"(undercroft[\w.]*)(?:\((\w+)=\))?")

SOUGHT = {
    "worker": {
        "Worker", "Reporter", "Stop", "Dead", "NewRunner", "Runner", "RunnerParams", "NewSimpleWorker",
        "NewPeriodicWorker", "NewNoOpWorker", "FinishedWorker", "PeriodicTimer", "NewTimer", "Timer", "NewTimerFunc",
        "PeriodicWorkerCall", "RestartDelay", "ErrDead", "ErrAborted", "ErrKilled", "ErrTerminateAgent",
        "ErrRestartAgent", "ErrRebootMachine", "ErrShutdownMachine", "Jitter",
    },
    "tomb": {"Tomb", "Tomb.Go", "Tomb.Kill", "Tomb.Wait", "Tomb.Dying", "Tomb.Err", "ErrDying", "ErrStillAlive"},
    "catacomb": {"Catacomb", "Plan", "Invoke", "Catacomb.Add", "Catacomb.ErrDying", "Catacomb.Context"},
    "dependency": {
        "Engine", "NewEngine", "EngineConfig", "Installer", "Install", "Validate", "Manifold", "Manifolds", "StartFunc",
        "FilterFunc", "OutputFunc", "Context", "Getter", "ErrMissing", "ErrBounce", "ErrUninstall", "SelfManifold",
        "Metrics", "Reporter",
    },
    "dependency/testing": {"StubContext", "NewStubContext", "StubResources", "StubGetter"},
    "fortress": {"Guard", "Guest", "Manifold", "Occupy", "ErrAborted", "ErrShutdown", "IsFortressError", "Visit"},
    "gate": {
        "Unlocker", "Waiter", "Lock", "NewLock", "AlreadyUnlocked", "Manifold", "ManifoldEx", "NewFlag", "FlagManifold",
        "ErrUnlocked",
    },
    "The engine's helpers (cmd/jujud/agent/engine)": {
        "Flag", "FlagOutput", "NewValueWorker", "ValueWorkerOutput", "Housing",
    },
    "workertest": {
        "CheckAlive", "CheckKilled", "CheckKill", "CleanKill", "DirtyKill", "CheckNilOrKill", "NewErrorWorker",
        "NewDeadWorker", "NewForeverWorker", "NewFakeWatcher",
    },
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One line of the page's tables."""

    package: str
    go: tuple[str, ...]
    ours: tuple[str, ...]
    note: str

    def __str__(self) -> str:
        return f"{self.package}: {', '.join(self.go)}"


def rows() -> Iterator[Row]:
    package = ""
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            package = line[3:]
        elif line.startswith("| `"):
            go, ours, note = (cell.strip() for cell in line.strip("|").split("|"))
            yield Row(package, tuple(re.findall(r"`([^`]+)`", go)), tuple(re.findall(r"`([^`]+)`", ours)), note)


ROWS = list(rows())


def resolve(path: str) -> object:
    """Import the longest module that the path begins with, and follow the rest."""
    parts = path.split(".")
    for n in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:n]))
        except ModuleNotFoundError:
            continue
        for part in parts[n:]:
            found = getattr(found, part)
        return found
    raise AssertionError(f"{path} cannot be imported")


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_every_name_of_ours_can_be_imported(row: Row) -> None:
    for name in row.ours:
        matched = OURS.fullmatch(name)
        assert matched, f"{name} is not the name of something"
        found = resolve(matched[1])
        if matched[2]:
            assert callable(found)
            assert matched[2] in inspect.signature(found).parameters


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_what_has_no_counterpart_says_why(row: Row) -> None:
    assert row.ours or row.note


@pytest.mark.parametrize("package", SOUGHT)
def test_every_name_that_people_will_look_for_is_there(package: str) -> None:
    named = {name for row in ROWS if row.package == package for name in row.go}

    assert SOUGHT[package] - named == set()


def test_names_in_the_prose_can_be_imported() -> None:
    for name, _ in re.findall(r"`(undercroft(?:\.\w+)+)(?:\((?:\w+)=\))?(`)", PAGE.read_text()):
        resolve(name)
