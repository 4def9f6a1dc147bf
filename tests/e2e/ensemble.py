"""Charms of our own that between them call every hook tool and see every event, from their beginning to their end.

They judge the answers themselves: one that is wrong fails the hook, and with it whoever waits for something here.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import yaml
from tests.e2e.machine import CHARMS, OneMachine

from undercroft.clock import SystemClock
from undercroft_hookspecs import ModelId
from undercroft_model.models import list_models
from undercroft_model.sqlite_store import open_sqlite
from undercroft_model.tables import SECRETS
from undercroft_model.transaction import Transaction, change

EVERYTHING = ("ops-everything/0", "ops-everything/1")
PATIENCE_SECONDS = 240.0
"""For a hundred hooks, one at a time, on a machine that has other things to do."""
UNITS = (*EVERYTHING, "ops-consumer/0", "bash-tools/0", "helped/0")
_CALL = re.compile(r"([a-z0-9-]+/[0-9]+) calls ([a-z0-9-]+) in ")
_FAILED = re.compile(r"hook failed|failed: exit")


@dataclass(frozen=True, slots=True)
class Task:
    """How an action has ended."""

    status: str
    results: dict[str, Any]  # Any: JSON.
    message: str
    log: Sequence[str]


class Ensemble:
    """Five units of four charms on one machine; `play` plays all acts."""

    def __init__(self, machine: OneMachine) -> None:
        self.machine = machine
        self.record = machine.folder / "record"
        self.record.mkdir()
        self.tools: frozenset[str] = frozenset()
        self.tasks: dict[str, Task] = {}

    def play(self) -> None:
        """All acts."""
        self._begin()
        self._act()
        self._change()
        self._reboot()
        self._end()

    def _begin(self) -> None:
        """Deploy all, and wait until they have told one another what they have to."""
        machine = self.machine
        machine.data_dir.mkdir()
        (machine.data_dir / "undercroft.toml").write_text("[plugins.metrics]\nperiod_seconds = 15.0\n")
        (machine.folder / "root").mkdir()
        machine.start("--debug")
        machine.do("host-setup", "--root", str(machine.folder / "root"))
        machine.do("model-config", "automatically-retry-hooks=false")
        packed = machine.do("pack", str(CHARMS / "ops-everything"), "--output", str(machine.folder)).strip()
        bundle = machine.folder / "bundle.yaml"
        bundle.write_text(yaml.safe_dump(self._bundle(packed)))
        machine.do("deploy", str(bundle))
        self.until(
            lambda: self.heard() == "one" and "heard" in self.hooks("helped/0"),
            "the related charms have heard of one another",
        )
        self._until_settled("one")
        folders = machine.data_dir.glob("models/*/agents/*/uniter/tools")
        self.tools = frozenset(path.name for folder in folders for path in folder.iterdir()) - {"hook-tool"}

    def _bundle(self, packed: str) -> dict[str, object]:
        letter, blueprint = self.machine.folder / "letter", self.machine.folder / "blueprint"
        letter.write_text("of thanks")
        blueprint.write_text("of a house")
        record = {"record": str(self.record)}
        return {
            "applications": {
                "ops-everything": {
                    "charm": packed,
                    "num_units": 2,
                    "options": record,
                    "trust": True,
                    "resources": {"blueprint": str(blueprint)},
                    "storage": {"data": "directory", "extra": "directory,1"},
                },
                "ops-consumer": {"charm": str(CHARMS / "ops-consumer"), "options": record},
                "bash-tools": {
                    "charm": str(CHARMS / "bash-tools"),
                    "num_units": 1,
                    "options": record,
                    "resources": {"letter": str(letter)},
                    "storage": {"cache": "directory"},
                },
                "helped": {
                    "charm": str(CHARMS / "helped"),
                    "num_units": 1,
                    "options": {**record, "root": str(self.machine.folder / "root")},
                    "resources": {"letter": str(letter)},
                    "storage": {"cache": "directory"},
                },
            },
            "relations": [
                ["ops-everything:feed", "ops-consumer:feed"],
                ["ops-consumer:host", "bash-tools:juju-info"],
                ["bash-tools:talk", "helped:talk"],
            ],
        }

    def _act(self) -> None:
        """Run the actions, and commands that make an event of the charm's own."""
        parameters = ("word=sesame", "deep={er: [1, true]}")
        runs = {
            "ops check": ("ops-everything/0", "check", *parameters),
            "ops break-off": ("ops-everything/0", "break-off"),
            "ops grow": ("ops-everything/1", "grow"),
            "bash check": ("bash-tools/0", "check", "word=sesame", "many=[a, b]", "deep.er.est=true"),
            "bash give-up": ("bash-tools/0", "give-up"),
            "bash give-up-silently": ("bash-tools/0", "give-up-silently"),
            "charmhelpers check": ("helped/0", "check", "word=sesame"),
            "charmhelpers give-up": ("helped/0", "give-up"),
        }
        with ThreadPoolExecutor(4) as together:
            for name, task in zip(runs, together.map(self._run, runs.values()), strict=True):
                self.tasks[name] = task
        command = "JUJU_DISPATCH_PATH=hooks/reconcile ./dispatch"
        self.machine.do("exec", "--unit", "ops-everything/0", "--", command)
        self.until(lambda: self.events(EVERYTHING[1]).count("extra_storage_attached") == 3, "there is more storage")

    def _run(self, words: Sequence[str]) -> Task:
        done = self.machine.run("run", *words, "--format", "json")
        (task,) = json.loads(done.stdout).values()
        return Task(task["status"], task.get("results", {}), task.get("message", ""), task.get("log", ()))

    def _change(self) -> None:
        """Change the config, rotate a secret, refresh the charm, and let time pass."""
        machine = self.machine
        machine.do("config", "ops-everything", "password=two")
        machine.do("config", "helped", "text=turbot")
        self.until(lambda: self.heard() == "two", "the new password is told")
        asyncio.run(_make_rotation_due(machine.data_dir, "feed"))
        self.until(lambda: self.heard() == "rotated", "the rotated password is told")
        machine.do("model-config", "update-status-hook-interval=1s")
        self.until(
            lambda: (
                all("update_status" in self.events(unit) for unit in UNITS[:3])
                and all("update-status" in self.hooks(unit) for unit in UNITS[3:])
            ),
            "each unit has been asked for its status",
        )
        machine.do("model-config", "update-status-hook-interval=5m")
        self.until(lambda: "collected" in self.hooks("helped/0"), "metrics are collected")
        machine.do("refresh", "ops-everything", "--path", str(CHARMS / "ops-everything"))
        self.until(lambda: "upgrade_charm" in self.events(EVERYTHING[0]), "the charm is refreshed")
        self.until(lambda: self.heard() == "two", "the password of the config is told again")
        self._until_settled("two", helped="turbot", extra=3)

    def _reboot(self) -> None:
        """Have a charm ask for a reboot once its hook is over, and another at once; and say that it is done."""
        machine = self.machine
        machine.do("config", "helped", "reboot=true")
        machine.do("config", "bash-tools", "reboot=true")
        self.until(lambda: self._that_say("reboot requested") == {"helped/0", "bash-tools/0"}, "both wait for a reboot")
        machine.do("reboot-done")
        assert machine.end() == 0
        machine.start("--debug")
        self._until_settled("two", helped="turbot", extra=3)

    def _end(self) -> None:
        """Take all away again."""
        machine = self.machine
        for ends in (("ops-everything", "ops-consumer"), ("bash-tools", "helped"), ("ops-consumer", "bash-tools")):
            machine.do("remove-relation", *ends)
        self.until(lambda: "remove" in self.events("ops-consumer/0"), "the subordinate is gone")
        applications = ("ops-everything", "ops-consumer", "bash-tools", "helped")
        machine.do("remove-application", *applications, "--no-prompt")
        self.until(lambda: not machine.ask("status")["applications"], "the applications are gone")

    def _that_say(self, message: str) -> set[str]:
        units = self.machine.units().items()
        return {name for name, unit in units if unit["workload-status"].get("message") == message}

    def _until_settled(self, password: str, *, helped: str = "swordfish", extra: int = 1) -> None:
        machine = self.machine
        wanted = {
            "ops-everything/0": f"active: {password}, 1 extra",
            "ops-everything/1": f"active: {password}, {extra} extra",
            "ops-consumer/0": f"active: {password}",
            "bash-tools/0": "active: swordfish",
            "helped/0": f"active: {helped}",
        }
        self.until(lambda: machine.messages() == wanted, f"the units say {wanted}")

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait until a condition holds; a hook that fails ends that, and is shown with what it has said."""

        def holds() -> object:
            if _FAILED.search(self.machine.log()):
                said = self.machine.do("debug-log", "--replay", "--limit", "0", "--level", "WARNING")
                raise AssertionError(f"a hook has failed while we waited until {what}\n{said[-8000:]}")
            return condition()

        self.machine.until(holds, what, PATIENCE_SECONDS)

    def notes(self, unit: str, what: str) -> list[Any]:  # Any: JSON.
        """What a charm that is written with ops has noted under a name, in order."""
        lines = map(json.loads, self._lines(unit, "notes"))
        return [line["value"] for line in lines if line["what"] == what]

    def events(self, unit: str) -> list[str]:
        """The events of ops that a unit has seen, in order."""
        return self.notes(unit, "event")

    def hooks(self, unit: str) -> list[str]:
        """The hooks and actions that another charm has noted, in order."""
        return self._lines(unit, "hooks")

    def heard(self) -> str | None:
        """Which password both units of ops-everything have heard of last; None where that is not the same."""
        (heard, *others) = ({*self.notes(unit, "heard")[-1:]} for unit in EVERYTHING)
        return str(*heard) if all(one == heard for one in others) and heard else None

    def calls(self) -> frozenset[str]:
        """The tools that hooks and actions have called, as the agent saw it."""
        return frozenset(tool for _, tool in _CALL.findall(self.machine.log()))

    def _lines(self, unit: str, kind: str) -> list[str]:
        file = self.record / f"{unit.replace('/', '-')}.{kind}"
        return file.read_text().splitlines() if file.exists() else []


async def _make_rotation_due(data_dir: Path, label: str) -> None:
    # The shortest of Juju's intervals is an hour.
    clock = SystemClock()
    async with open_sqlite("sqlite:", data_dir=data_dir, clock=clock) as store:
        (model,) = await list_models(store)
        table = SECRETS.of(ModelId.parse(model.uuid))

        async def decide(tx: Transaction) -> None:
            secrets = await tx.list(table)
            ((parts, secret),) = [each for each in secrets.items() if each[1].label == label]
            due = msgspec.structs.replace(secret, next_rotation=clock.now() - timedelta(seconds=1))
            tx.put(table, *parts, record=due)

        await change(store, decide, clock=clock, rng=random.Random())
