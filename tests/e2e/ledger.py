"""What the units of the charm `ledger` have written down, and what must hold of it whatever became of their agent."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

FOLLOWED_BY = {
    "install": (
        "leader-elected",
        "config-changed",
        "pals-relation-created",
        "out-relation-created",
        "in-relation-created",
    ),
    "upgrade-charm": ("config-changed",),
}
AT_FIRST = ("data-storage-attached", "install", "config-changed", "start")


@dataclass(slots=True)
class Entry:
    """One run of a hook or an action, as far as it came."""

    nonce: str
    hook: str
    relation: str
    remote: str
    storage: str
    revision: str
    action: str
    is_ended: bool = False
    born: str = ""
    saw: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)

    @property
    def is_action(self) -> bool:
        """It is no hook."""
        return self.hook.startswith("actions/")

    @property
    def what(self) -> tuple[str, ...]:
        """What is the same when a hook is run again."""
        revision = self.revision if self.hook == "upgrade-charm" else ""
        return self.hook, self.relation, self.remote, self.storage, revision

    def __str__(self) -> str:
        return f"{' '.join(word for word in self.what if word != '-')} ({self.nonce})"


@dataclass(slots=True)
class Ledger:
    """All that one unit has written down, in its order, and what was wrong with the order itself."""

    unit: str
    entries: list[Entry] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def hooks(self) -> list[Entry]:
        """Its hooks, without actions."""
        return [entry for entry in self.entries if not entry.is_action]

    @property
    def ended(self) -> Mapping[str, Entry]:
        """What came to its end, by nonce."""
        return {entry.nonce: entry for entry in self.entries if entry.is_ended}


def parse(unit: str, text: str) -> Ledger:
    """Read what a unit has written down."""
    ledger = Ledger(unit)
    for line in text.splitlines():
        verb, nonce, *rest = line.split(" ", maxsplit=3 if line.startswith("saw") else -1)
        if verb == "begin":
            hook, relation, remote, storage, revision, action = rest
            ledger.entries.append(Entry(nonce, hook, relation, remote, storage, revision, action))
        elif not ledger.entries or ledger.entries[-1].nonce != nonce or ledger.entries[-1].is_ended:
            ledger.wrong.append(f"{unit}: {line!r} comes after the next has begun, or after its end")
        elif verb == "end":
            ledger.entries[-1].is_ended = True
        elif verb == "born":
            ledger.entries[-1].born = rest[0]
        else:
            ledger.entries[-1].saw.append((rest[0], json.loads(rest[1] or "{}")))
    return ledger


def read(folder: Path) -> Mapping[str, Ledger]:
    """Read what all units have written down; a unit's file is called as it is, with a dash."""
    names = {path: "/".join(path.name.rsplit("-", 1)) for path in sorted(folder.iterdir())}
    return {unit: parse(unit, path.read_text()) for path, unit in names.items()}


def wrongs(ledgers: Mapping[str, Ledger]) -> list[str]:
    """What should not be: hooks lost, taken for done, out of order or beside one another; settings of half a hook."""
    found = [wrong for ledger in ledgers.values() for wrong in ledger.wrong]
    for ledger in ledgers.values():
        found += _unfinished(ledger)
        found += _out_of_order(ledger)
        found += _unborn(ledger)
        found += _seen_too_early(ledger, ledgers)
    return found


def _unfinished(ledger: Ledger) -> Iterator[str]:
    """A hook that was cut off is run again before any other."""
    for entry, following in pairwise([*ledger.hooks, None]):
        assert entry is not None
        if not entry.is_ended and (following is None or following.what != entry.what):
            yield f"{ledger.unit}: {entry} was cut off, and then came {following}"


def _out_of_order(ledger: Ledger) -> Iterator[str]:
    done = [entry for entry in ledger.hooks if entry.is_ended]
    order = list(dict.fromkeys(entry.hook for entry in done))
    at_first = [hook for hook in order if hook in AT_FIRST]
    if at_first != list(AT_FIRST):
        yield f"{ledger.unit}: at first, its hooks were {at_first}"
    for entry, following in pairwise(done):
        expected = FOLLOWED_BY.get(entry.hook)
        if expected and following.what != entry.what and following.hook not in expected:
            yield f"{ledger.unit}: after {entry} came {following}"
    met: set[tuple[str, str]] = set()
    for entry in done:
        if entry.hook.endswith("-relation-joined"):
            met.add((entry.relation, entry.remote))
        elif entry.hook.endswith("-relation-changed") and "/" in entry.remote:
            if (entry.relation, entry.remote) not in met:
                yield f"{ledger.unit}: {entry} came before they had met"
        elif entry.hook.endswith("-relation-departed"):
            met.discard((entry.relation, entry.remote))


def _unborn(ledger: Ledger) -> Iterator[str]:
    """What was written in the storage once is there whenever it is looked at."""
    born = {entry.born for entry in ledger.entries if entry.born}
    attaching = {entry.nonce for entry in ledger.entries if entry.hook.endswith("-storage-attached")}
    if len(born) != 1 or not born <= attaching:
        yield f"{ledger.unit}: its storage was born {born}, and attached {attaching}"


def _seen_too_early(ledger: Ledger, ledgers: Mapping[str, Ledger]) -> Iterator[str]:
    for entry in ledger.entries:
        for whom, settings in entry.saw:
            for wrong in wrong_settings(whom, settings, ledgers):
                yield f"{ledger.unit}: {entry} has seen that {wrong}"


def wrong_settings(whom: str, settings: Mapping[str, str], ledgers: Mapping[str, Ledger]) -> Iterator[str]:
    """Settings that no hook of a unit, or of some unit of an application, has given and then come to its end."""
    units = [ledgers[whom]] if "/" in whom else [it for name, it in ledgers.items() if name.startswith(f"{whom}/")]
    if not any(key in settings for key in ("first", "last", "token")):
        return
    if settings.get("first") != settings.get("last"):
        yield f"{whom} has given half of it: {settings}"
    for ledger in units:
        author = ledger.ended.get(settings["first"])
        if author is not None and author.revision == settings.get("edition"):
            return
    yield f"{whom} has given what it never ended: {settings}"


def wrong_tasks(tasks: Iterable[Mapping[str, Any]], ledgers: Mapping[str, Ledger]) -> Iterator[str]:  # Any: JSON.
    """Actions that are lost, were run twice, or are said to have ended as they have not."""
    for task in tasks:
        number, unit, status = str(task["id"]), task["unit"], task["status"]
        runs: Sequence[Entry] = [entry for entry in ledgers[unit].entries if entry.action == number]
        results = task.get("results") or {}
        if len(runs) > 1:
            yield f"{unit}: action {number} was run {len(runs)} times"
        elif status == "completed":
            if not runs or not runs[0].is_ended:
                yield f"{unit}: action {number} has not come to its end, and is said to have been completed"
            elif {results.get("first"), results.get("last")} != {runs[0].nonce}:
                yield f"{unit}: action {number} was completed with {results}"
        elif status != "failed" or "terminated" not in (task.get("message") or ""):
            yield f"{unit}: action {number} is {status}: {task.get('message')}"
        elif results:
            yield f"{unit}: action {number} was cut off, and has given {results}"


def left_undone(ledgers: Mapping[str, Ledger]) -> Iterator[str]:
    """What a unit that is gone should have been told before it went."""
    for ledger in ledgers.values():
        done = [entry for entry in ledger.hooks if entry.is_ended]
        last = list(dict.fromkeys(entry.hook for entry in reversed(done)))[:2]
        if last != ["remove", "stop"]:
            yield f"{ledger.unit}: its last hooks were {last}"
        names = {entry.hook for entry in done}
        for ending in ("-storage-detaching", "-relation-broken"):
            if not any(name.endswith(ending) for name in names):
                yield f"{ledger.unit}: it was not told of {ending}"
