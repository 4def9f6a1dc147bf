"""What this process holds that can be left behind, and what came on top between two looks.

A snapshot lists asyncio tasks, threads, open file descriptors, child processes, mounts and loop devices, each read from
the kernel or the interpreter itself. It says nothing about memory.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias, get_args

Kind: TypeAlias = Literal["task", "thread", "fd", "child", "mount", "loop"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_NOTHING: Mapping[Hashable, str] = {}
_STATE_ZOMBIE = "Z"


@dataclass(frozen=True, slots=True)
class Leak:
    """One thing that is there now and was not before."""

    kind: Kind
    what: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.what}"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What this process held at one moment: for each kind the things by identity, with a line for people."""

    held: Mapping[Kind, Mapping[Hashable, str]] = field(default_factory=dict)

    def of(self, kind: Kind) -> Mapping[Hashable, str]:
        """The things of one kind."""
        return self.held.get(kind, _NOTHING)


def snapshot(loop: asyncio.AbstractEventLoop | None = None, *, below: Sequence[Path] | None = None) -> Snapshot:
    """List what this process holds now; with `loop` also the tasks on it, except the one that asks.

    With `below`, only mounts under one of those folders and loop devices whose backing file is: both belong to the
    machine, and other processes make them too.
    """
    held: dict[Kind, Mapping[Hashable, str]] = {
        "thread": _threads(),
        "fd": _descriptors(),
        "child": _children(),
        "mount": _mounts(below),
        "loop": _loop_devices(below),
    }
    if loop is not None:
        held["task"] = _tasks(loop)
    return Snapshot(held)


def difference(before: Snapshot, after: Snapshot) -> tuple[Leak, ...]:
    """What `after` holds on top of `before`, kind by kind, in the order that it was found in."""
    return tuple(
        Leak(kind, what)
        for kind in KINDS
        for identity, what in after.of(kind).items()
        if identity not in before.of(kind)
    )


def lines(leaks: tuple[Leak, ...]) -> str:
    """The leaks for people, one a line."""
    return "\n".join(f"  {leak}" for leak in leaks)


def _tasks(loop: asyncio.AbstractEventLoop) -> dict[Hashable, str]:
    try:
        asking = asyncio.current_task(loop)
    except RuntimeError:
        asking = None
    return {task: _describe_task(task) for task in asyncio.all_tasks(loop) if task is not asking}


def _describe_task(task: asyncio.Task[object]) -> str:
    frames = task.get_stack(limit=1)
    where = f" at {frames[0].f_code.co_filename}:{frames[0].f_lineno}" if frames else ""
    coroutine = task.get_coro()
    name = getattr(coroutine, "__qualname__", None) or repr(coroutine)
    return f"{task.get_name()!r} runs {name}{where}"


def _threads() -> dict[Hashable, str]:
    # The frames know of every thread that runs Python, the threading module only of those that it started.
    known = {thread.ident: thread for thread in threading.enumerate()}
    found: dict[Hashable, str] = {}
    for ident in sys._current_frames():
        thread = known.get(ident)
        if thread is None:
            found[ident] = f"thread {ident}, not started by the threading module"
        else:
            found[ident, thread.name, thread.native_id] = f"{thread.name!r}{' (daemon)' if thread.daemon else ''}"
    return found


def _descriptors() -> dict[Hashable, str]:
    found: dict[Hashable, str] = {}
    folder = Path("/proc/self/fd")
    for name in os.listdir(folder):  # noqa: PTH208 - a Path per descriptor is most of the cost of a snapshot.
        try:
            target = os.readlink(f"{folder}/{name}")  # noqa: PTH115
        except OSError:
            continue  # Closed meanwhile: the descriptor of this very listing, for one.
        found[int(name), target] = f"{name} -> {target}"
    return found


def has_children() -> bool:
    """Whether this process has any child at all, dead ones that nobody has waited for included."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _children() -> dict[Hashable, str]:
    if not has_children():
        return {}
    found: dict[Hashable, str] = {}
    parent = str(os.getpid())
    for entry in os.listdir("/proc"):  # noqa: PTH208
        if not entry.isdecimal():
            continue
        try:
            command, state, its_parent, began = _process(entry)
        except OSError:
            continue  # It has gone meanwhile.
        if its_parent == parent:
            dead = ", dead and not waited for" if state == _STATE_ZOMBIE else ""
            found[int(entry), began] = f"process {entry} ({command}){dead}"
    return found


def _process(pid: str) -> tuple[str, str, str, str]:
    text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    head, _, tail = text.rpartition(")")
    fields = tail.split()
    return head.partition("(")[2], fields[0], fields[1], fields[19]


def _mounts(below: Sequence[Path] | None) -> dict[Hashable, str]:
    found: dict[Hashable, str] = {}
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        fields = line.split(" ")
        number, point = fields[0], _unescape(fields[4])
        kind, source = fields[fields.index("-") + 1 :][:2]
        if _is_below(point, below):
            found[number, point] = f"{source} ({kind}) on {point}"
    return found


def _loop_devices(below: Sequence[Path] | None) -> dict[Hashable, str]:
    found: dict[Hashable, str] = {}
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            file = backing.read_text(encoding="utf-8", errors="surrogateescape").rstrip("\n")
        except OSError:
            continue  # Detached meanwhile.
        if _is_below(file, below):
            name = backing.parent.parent.name
            found[name, file] = f"/dev/{name} -> {file}"
    return found


def _is_below(path: str, folders: Sequence[Path] | None) -> bool:
    # As strings: this is asked of every mount of the machine, twice in every test.
    return folders is None or any(path == str(folder) or path.startswith(f"{folder}/") for folder in folders)


def _unescape(text: str) -> str:
    for escaped, plain in ((r"\040", " "), (r"\011", "\t"), (r"\012", "\n"), (r"\134", "\\")):
        text = text.replace(escaped, plain)
    return text
