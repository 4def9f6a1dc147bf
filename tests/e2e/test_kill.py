"""The agent is killed at random instants, and the model ends as if it had not been.

Meanwhile an operator deploys, relates, configures, runs actions, refreshes, and removes. `UNDERCROFT_KILLS=500` tries
more instants than CI does, in so many models that each is killed KILLS_EACH times at most; `UNDERCROFT_SEED` others.
"""

from __future__ import annotations

import difflib
import json
import os
import random
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.e2e import ledger
from tests.e2e.machine import CHARMS, OneMachine

from undercroft.linux import mountinfo

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("UNDERCROFT_KILLS", "20"))
KILLS_EACH, KILLS_OF_REMOVAL = 25, 4
READY, LONGEST = 0.7, 2.0
"""How many of the kills come when the agent is ready, and how many seconds later at most."""
UNITS = ("giver/0", "giver/1", "taker/0")
POOL = "loop" if os.geteuid() == 0 else "directory"
UNTELLING = {
    *("since", "timestamp", "first", "last", "device", "device-link", "location", "mount-point"),
    *("leader", "charm", "charm-rev", "provider-id"),
}
"""What two runs need not have in common: times, places, who leads, and revisions, which count refreshes."""


class Operator:
    """Works on a model, one command after the other, whether its agent lives or not."""

    def __init__(self, machine: OneMachine) -> None:
        self.machine = machine
        self.tasks: list[str] = []
        self._passes = 0
        self.is_done = threading.Event()
        self.error: BaseException | None = None

    def begin(self) -> None:
        """Deploy two applications, and relate them."""
        do = self.machine.do
        do("deploy", self._charm("0"), "giver", "-n", "2", "--storage", f"data={POOL},8M")
        do("deploy", self._charm("0"), "taker", "--storage", "data=directory")
        do("integrate", "giver:out", "taker:in")

    def change(self, word: str) -> None:
        """Change everything that can be changed."""
        do = self.machine.do
        do("config", "giver", f"token=token-{word}")
        self._act(random.Random(word).choice(UNITS), word)
        do("resolved", "--all")
        do("refresh", "giver", "--path", self._charm(word))
        do("config", "taker", f"token=token-{word}")
        do("resolved", "--all")
        do("refresh", "taker", "--path", self._charm(word))
        self._act(random.Random(word).choice(UNITS), word)

    def work(self) -> None:
        """Begin, change until it is enough, and then once more."""
        try:
            self.begin()
            while not self.is_done.is_set():
                self._passes += 1
                self.change(f"pass-{self._passes}")
            self.change("end")
        except BaseException as error:  # It is raised where the thread is joined.
            self.error = error

    def _act(self, unit: str, word: str) -> None:
        before = set(self.machine.ask("operations"))
        self.machine.do("run", unit, "note", f"word={word}", "--background")
        (number,) = set(self.machine.ask("operations")) - before
        self.tasks.append(number)

    def _charm(self, revision: str) -> str:
        folder = self.machine.folder / f"revision-{revision}" / "ledger"
        if not folder.exists():
            shutil.copytree(CHARMS / "ledger", folder)
            (folder / "journal").write_text(str(journal(self.machine)))
            (folder / "edition").write_text(revision)
        return str(folder)


def journal(machine: OneMachine) -> Path:
    """The folder in which the units write down what happens to them."""
    folder = machine.folder / "journal"
    folder.mkdir(exist_ok=True)
    return folder


def kill(machine: OneMachine, times: int, rng: random.Random) -> None:
    """Kill the agent so many times, each after some random time, be it ready or not; in the end it runs."""
    for _ in range(times):
        assert machine.agent is not None
        if rng.random() < READY:
            machine.until_ready()
        time.sleep(rng.uniform(0.0, LONGEST))
        assert machine.agent.poll() is None, machine.log()[-5000:]
        assert machine.end(signal.SIGKILL) == -signal.SIGKILL
        machine.launch()


def settled(machine: OneMachine) -> str:
    """The end state, once everything has been done: statuses, relations, storage and what is in it, as text."""
    machine.until_settled(**{unit.replace("/", "_"): "active: token-end of edition end" for unit in UNITS})
    machine.until(lambda: _told(machine), "everybody was told what everybody said")
    return end_state(machine)


def end_state(machine: OneMachine) -> str:
    """The state as it is now."""
    status = {key: value for key, value in machine.ask("status").items() if key not in ("machines", "storage")}
    parts = [_tell(status), _tell(machine.ask("show-unit", *UNITS)), _storage(machine.ask("storage"))]
    return json.dumps(parts, indent=1, sort_keys=True)


def _storage(shown: Any) -> object:  # Any: JSON.
    """Whose there is, and what is in it; which number it has is a matter of who came first."""
    found = []
    for storage in shown["storage"].values():
        about = [storage[key] for key in ("kind", "life", "pool", "persistent")]
        for unit, at in storage["attachments"]["units"].items():
            kept = Path(at["location"], "token").read_text()
            found.append([unit, *about, at["life"], storage["status"]["current"], kept])
    return sorted(found), len(shown["filesystems"]), len(shown.get("volumes", ()))


def ends_like(machine: OneMachine, expected: str) -> None:
    """Wait until the state is as expected; if it never is, say what is not."""
    try:
        machine.until(lambda: end_state(machine) == expected, "the state is as if nothing had happened")
    except AssertionError as error:
        found = end_state(machine).splitlines()
        error.add_note(
            "\n".join(difflib.unified_diff(expected.splitlines(), found, "undisturbed", "killed", lineterm=""))
        )
        raise


def _told(machine: OneMachine) -> bool:
    """Each unit has given on what it saw last of each of the others."""
    for unit, shown in machine.ask("show-unit", *UNITS).items():
        for relation in shown["relation-info"]:
            mine = relation["local-unit"]["data"]
            others = relation["related-units"]
            if any(mine.get(f"of-{other.replace('/', '-')}") != "token-end" for other in others if other != unit):
                return False
    return True


def _tell(value: Any) -> Any:  # Any: JSON.
    if isinstance(value, Mapping):
        return {key: _tell(it) for key, it in value.items() if key not in UNTELLING}
    return [_tell(it) for it in value] if isinstance(value, list) else value


def tasks(machine: OneMachine, operations: list[str]) -> Iterator[Mapping[str, Any]]:  # Any: JSON.
    """The tasks of operations, which have all ended."""
    for number in operations:
        machine.until(partial(_is_over, machine, number), f"operation {number} is over")
        for task in machine.ask("show-operation", number)["tasks"].values():
            yield {**task, "unit": task["host"]}


def _is_over(machine: OneMachine, operation: str) -> bool:
    return machine.ask("show-operation", operation)["status"] in ("completed", "failed")


def remove(machine: OneMachine) -> None:
    """Remove everything; nothing may be left of it."""
    machine.until(lambda: not machine.ask("status")["applications"], "the applications are gone")
    machine.until(lambda: not machine.ask("storage"), "their storage is gone")
    (agents,) = machine.data_dir.glob("models/*/agents")
    machine.until(lambda: not any(agents.iterdir()), "the units' folders are gone")
    assert not [mount for mount in mountinfo.read() if mount.target.startswith(str(machine.data_dir))]
    if POOL == "loop":
        found = subprocess.run(["losetup", "-l", "-n", "-O", "BACK-FILE"], check=True, capture_output=True, text=True)
        assert str(machine.data_dir) not in found.stdout


def undisturbed(folder: Path) -> str:
    """The end state of a model whose agent nobody has killed."""
    folder.mkdir()
    machine = OneMachine(folder)
    machine.start()
    try:
        operator = Operator(machine)
        operator.begin()
        operator.change("end")
        found = settled(machine)
        ledgers = ledger.read(journal(machine))
        assert not ledger.wrongs(ledgers)
        assert [task["status"] for task in tasks(machine, operator.tasks)] == ["completed"] * 2
        machine.do("remove-application", "giver", "taker", "--no-prompt", "--destroy-storage")
        remove(machine)
    finally:
        machine.end()
    assert not list(ledger.left_undone(ledger.read(journal(machine))))
    return found


def disturbed(folder: Path, kills: int, rng: random.Random, *, expected: str) -> None:
    """Kill the agent of a model so many times, and see that it ends as expected."""
    folder.mkdir()
    machine = OneMachine(folder)
    machine.launch()
    try:
        operator = Operator(machine)
        working = threading.Thread(target=operator.work)
        working.start()
        kill(machine, max(kills - KILLS_OF_REMOVAL, 1), rng)
        operator.is_done.set()
        working.join()
        if operator.error is not None:
            raise operator.error
        settled(machine)
        ends_like(machine, expected)
        ledgers = ledger.read(journal(machine))
        wrong = [*ledger.wrongs(ledgers), *ledger.wrong_tasks(tasks(machine, operator.tasks), ledgers)]
        assert not wrong, f"{wrong}\n{machine.log()[-8000:]}"
        machine.do("remove-application", "giver", "taker", "--no-prompt", "--destroy-storage")
        kill(machine, min(KILLS_OF_REMOVAL, kills - 1), rng)
        remove(machine)
        ledgers = ledger.read(journal(machine))
        wrong = [*ledger.wrongs(ledgers), *ledger.left_undone(ledgers)]
        assert not wrong, f"{wrong}\n{machine.log()[-8000:]}"
    finally:
        if machine.agent is not None:
            machine.end()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder under which nothing stays mounted, not even by a model that has not ended well."""
    yield tmp_path
    for mount in reversed([mount for mount in mountinfo.read() if mount.target.startswith(str(tmp_path))]):
        subprocess.run(["umount", "--detach-loop", mount.target], check=True)


def test_models_end_the_same_whenever_their_agents_are_killed(folder: Path) -> None:
    seed = os.environ.get("UNDERCROFT_SEED", "undercroft")
    expected = undisturbed(folder / "undisturbed")
    for number, begun in enumerate(range(0, KILLS, KILLS_EACH)):
        kills = min(KILLS_EACH, KILLS - begun)
        of_its_own = folder / str(number)
        disturbed(of_its_own, kills, random.Random(f"{seed} {number}"), expected=expected)
        print(f"model {number}: killed {kills} times")
        shutil.rmtree(of_its_own)
