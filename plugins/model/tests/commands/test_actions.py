from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping

import pytest
from plugins.model.tests.commands.conftest import CommandLine

from undercroft.clock import SystemClock
from undercroft_hookspecs import Store
from undercroft_hookspecs.identity import ModelId
from undercroft_hookspecs.state import Action
from undercroft_model.actions import begin_action, finish_action, log_action
from undercroft_model.commands.parameters import fitted, given_parameters
from undercroft_model.models import find_model, model_id
from undercroft_model.sqlite_store import open_sqlite
from undercroft_model.tables import ACTIONS
from undercroft_model.transaction import Transaction

Answer = tuple[str, str, Mapping[str, object]]


class Units:
    """Stands for the units' agents: gives every task that waits the same end, in a thread of its own."""

    def __init__(self, undercroft: CommandLine, answer: Callable[[Action], Answer]) -> None:
        self._data, self._answer = undercroft.data, answer
        self._loop = asyncio.new_event_loop()
        self._task = self._loop.create_task(self._work())
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        """Stop."""
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join()

    def _run(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._task)
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    async def _work(self) -> None:
        async with open_sqlite("sqlite:", data_dir=self._data, clock=SystemClock()) as store:
            model = model_id(await find_model(Transaction(store), "default"))
            prefix = ACTIONS.of(model).prefix
            async with store.watch(prefix, since=(await store.list(prefix)).revision) as commits:
                async for _ in commits:
                    await self._end_all(store, model)

    async def _end_all(self, store: Store, model: ModelId) -> None:
        for action in (await Transaction(store).look(ACTIONS.of(model))).values():
            if action.status == "pending":
                await self._end(store, model, action)

    async def _end(self, store: Store, model: ModelId, action: Action) -> None:
        tx, now, unit = Transaction(store), SystemClock().now(), action.unit
        status, message, results = self._answer(action)
        await begin_action(tx, model, unit, action.id, now=now)
        await log_action(tx, model, unit, action.id, "half way", now=now)
        await finish_action(tx, model, unit, action.id, status, message=message, results=results, now=now)
        await tx.commit()


@pytest.fixture
def units(undercroft: CommandLine, server: str) -> Iterator[Callable[[Callable[[Action], Answer]], None]]:
    """Have units that give every task this end."""
    undercroft.ok("deploy", server, "-n", "2")
    started: list[Units] = []

    def start(answer: Callable[[Action], Answer]) -> None:
        started.append(Units(undercroft, answer))

    yield start
    for each in started:
        each.close()


Start = Callable[[Callable[[Action], Answer]], None]


def succeed(action: Action) -> Answer:
    """As a charm's action would."""
    return "completed", "", {"return-code": 0, "stdout": "done\n", "given": dict(action.parameters)}


def test_the_results_of_an_action_are_shown_as_juju_shows_them(undercroft: CommandLine, units: Start) -> None:
    units(succeed)

    ran = undercroft.ok("run", "server/0", "backup", "level=3", "--format", "json")

    result = ran.document["server/0"]
    assert (result["id"], result["status"], result["unit"]) == ("2", "completed", "server/0")
    assert result["results"] == {"return-code": 0, "stdout": "done\n", "given": {"path": "/srv", "level": 3}}
    assert set(result["timing"]) == {"enqueued", "started", "completed"}
    assert result["log"][0].endswith("half way")
    said = ran.err.splitlines()
    assert said[:2] == ["Running operation 1 with 1 task", "  - task 2 on unit-server-0"]
    assert "no agent is running on the host of server/0" in said[2]


def test_people_see_the_output_as_it_is(undercroft: CommandLine, units: Start) -> None:
    units(succeed)

    assert undercroft.ok("exec", "--unit", "server/0", "--", "ls", "-l").out.endswith("done\n")


def test_a_command_is_run_on_all_units_of_an_application(undercroft: CommandLine, units: Start) -> None:
    units(succeed)

    words = ("--app", "server", "--wait", "20s", "--format", "json", "--", "echo", "$X")
    document = undercroft.ok("exec", *words).document

    assert sorted(document) == ["server/0", "server/1"]
    assert document["server/0"]["results"]["given"] == {
        "command": "echo $X",
        "timeout": 20_000_000_000,
        "workload-context": False,
    }


def test_a_task_that_fails_ends_the_command_with_1_and_its_results(undercroft: CommandLine, units: Start) -> None:
    units(lambda action: ("failed", "no space", {"return-code": 0}))

    ran = undercroft("run", "server/0", "backup", "level=3", "--format", "json")

    assert (ran.code, ran.document["server/0"]["message"]) == (1, "no space")
    assert 'ERROR the following task failed:\n - id "2" with return code 0' in ran.err


def test_a_command_that_fails_is_a_failed_task(undercroft: CommandLine, units: Start) -> None:
    units(lambda action: ("completed", "", {"return-code": 3}))

    ran = undercroft("exec", "--unit", "server/0", "--format", "json", "--", "exit 3")

    assert (ran.code, ran.document["server/0"]["results"]["return-code"]) == (1, 3)
    assert "task failed" in ran.err


def test_what_does_not_end_in_time_is_said(undercroft: CommandLine, server: str) -> None:
    undercroft.ok("deploy", server)

    message = undercroft.refused("run", "server/0", "backup", "level=1", "--wait", "0.1s")

    assert "timed out waiting for results from: unit server/0" in message


def test_in_the_background_nobody_waits(undercroft: CommandLine, server: str) -> None:
    undercroft.ok("deploy", server)

    ran = undercroft.ok("run", "server/0", "backup", "level=1", "--background")

    assert "Check operation status with 'undercroft show-operation 1'" in ran.err
    assert undercroft.json("show-operation", "1")["tasks"]["2"]["status"] == "pending"
    assert undercroft.json("cancel-task", "2") == {"2": {"status": "cancelled"}}
    assert undercroft.json("show-task", "2")["status"] == "cancelled"


def test_operations_are_listed_by_what_they_were(undercroft: CommandLine, server: str) -> None:
    undercroft.ok("deploy", server)
    undercroft.ok("run", "server/0", "backup", "level=1", "--background")
    undercroft.ok("exec", "--all", "--background", "--", "ls")
    undercroft.ok("cancel-task", "2")

    assert list(undercroft.json("operations")) == ["1", "3"]
    assert list(undercroft.json("operations", "--status", "cancelled")) == ["1"]
    assert list(undercroft.json("operations", "--actions", "juju-exec", "--apps", "server")) == ["3"]
    assert undercroft.json("operations", "--units", "other/0") == {}
    assert undercroft.ok("operations").out.split()[:2] == ["ID", "Status"]
    assert 'operation "9" not found' in undercroft.refused("show-operation", "9")


def test_an_action_that_the_charm_has_not_got_is_not_run(undercroft: CommandLine, server: str) -> None:
    undercroft.ok("deploy", server)

    message = undercroft.refused("run", "server/0", "restore")

    assert message == 'ERROR action "restore" not defined for unit "server/0" (not found)\n'
    assert undercroft.json("operations") == {}


def test_parameters_that_do_not_fit_are_refused(undercroft: CommandLine, server: str) -> None:
    undercroft.ok("deploy", server)

    assert "missing required parameter 'level'" in undercroft.refused("run", "server/0", "backup")
    assert "expected integer" in undercroft.refused("run", "server/0", "backup", "level=high")
    assert "no parameter 'more'" in undercroft.refused("run", "server/0", "backup", "level=1", "more=2")
    assert undercroft.json("operations") == {}


def test_a_command_on_a_machine_needs_no_agent(undercroft: CommandLine, server: str) -> None:
    undercroft.ok("deploy", server)

    ran = undercroft("exec", "--machine", "0", "--format", "json", "--", "echo out; echo err >&2; exit 4")

    assert ran.document["0"]["results"] == {"return-code": 4, "stdout": "out\n", "stderr": "err\n"}
    assert (ran.code, "task failed" in ran.err) == (1, True)
    assert "timed out" in undercroft.refused("exec", "--machine", "0", "--wait", "0.1s", "--", "sleep 9")


def test_where_there_are_no_units_nothing_is_printed_and_nothing_fails(undercroft: CommandLine) -> None:
    ran = undercroft.ok("exec", "--unit", "server/0", "--", "ls")

    assert ran.out == ""
    assert "not found" in ran.err


def test_actions_are_listed_with_their_schemas(undercroft: CommandLine, server: str) -> None:
    undercroft.ok("deploy", server)

    assert undercroft.json("actions", "server") == {"backup": "Keep a copy"}
    assert undercroft.json("actions", "server", "--schema")["backup"]["required"] == ["level"]
    assert undercroft.ok("actions", "server").out.splitlines()[1].split() == ["backup", "Keep", "a", "copy"]


def test_parameters_are_yaml_with_paths_for_keys() -> None:
    words = ["a.b=1", "a.c=[x, 2]", "d=no", "e=text"]

    assert given_parameters(words, file=None, as_text=False) == {"a": {"b": 1, "c": ["x", 2]}, "d": False, "e": "text"}
    assert given_parameters(["d=no"], file=None, as_text=True) == {"d": "no"}


def test_defaults_are_filled_in_at_every_depth() -> None:
    schema = {
        "properties": {"deep": {"type": "object", "properties": {"x": {"type": "number", "default": 1.5}}}},
    }

    assert fitted("act", {"deep": {}}, schema) == {"deep": {"x": 1.5}}
    assert json.loads(json.dumps(fitted("act", {}, schema))) == {}
