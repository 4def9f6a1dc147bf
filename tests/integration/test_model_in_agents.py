"""The model in real agents: what they publish, and what is left when they are killed."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

import pytest

from undercroft import SystemClock
from undercroft_model.hosts import read_hosts
from undercroft_model.sqlite_store import open_sqlite

if TYPE_CHECKING:
    from tests.integration.conftest import Agents


@pytest.fixture
def with_model(agents: Agents) -> Agents:
    """Agents with the plugins of this project that there have to be."""
    agents.environment["UNDERCROFT_PLUGINS"] = "model,diskmanager"
    return agents


def present(agents: Agents) -> dict[str, bool]:
    """The hosts in the store, and whether an agent runs there."""

    async def main() -> dict[str, bool]:
        async with open_sqlite("sqlite:", data_dir=agents.data_dir, clock=SystemClock()) as store:
            return {name: seen.present for name, seen in (await read_hosts(store)).items()}

    return asyncio.run(main())


def test_block_devices_are_shown_with_the_agent_up_and_down(with_model: Agents) -> None:
    down = with_model.ask("disks")
    agent = with_model.start()
    with_model.until(lambda: with_model.ask("report")["manifolds"]["disk-manager"]["report"]["publications"])
    up = with_model.ask("disks")
    with_model.end(agent)

    assert up == with_model.ask("disks")
    assert [device["device_name"] for device in up] == [device["device_name"] for device in down]


def test_an_agent_is_present_until_it_stops(with_model: Agents) -> None:
    agent = with_model.start()
    with_model.until(lambda: list(present(with_model).values()) == [True])

    assert with_model.end(agent) == 0

    assert list(present(with_model).values()) == [False]


def test_an_agent_that_was_killed_goes_on_with_the_same_host_and_secrets(with_model: Agents) -> None:
    first = with_model.start()
    with_model.until(lambda: list(present(with_model).values()) == [True])
    made = with_model.run("add-secret", "password", "key=correct-horse")
    before = present(with_model)
    with_model.end(first, signal.SIGKILL)

    second = with_model.start()
    with_model.until(lambda: "waiting" not in str(with_model.ask("report")["manifolds"]["model"]["report"]["present"]))

    assert made.returncode == 0, made.stderr
    assert present(with_model) == before
    assert with_model.ask("show-secret", "password", "--reveal")
    assert with_model.end(second) == 0


def test_an_agent_with_another_key_of_the_secrets_does_not_run_the_model(with_model: Agents) -> None:
    made = with_model.run("add-secret", "password", "key=correct-horse")
    assert made.returncode == 0, made.stderr
    (with_model.data_dir / "secrets.key").unlink()

    agent = with_model.start()
    graph = with_model.ask("graph")["manifolds"]

    assert graph["model"]["state"] != "started"
    assert "restore it from a backup" in graph["model"]["error"]
    assert with_model.end(agent) == 0


def test_no_file_in_the_data_folder_holds_what_a_secret_says(with_model: Agents) -> None:
    made = with_model.run("add-secret", "password", "key=correct-horse-battery")
    assert made.returncode == 0, made.stderr

    files = [path for path in with_model.data_dir.rglob("*") if path.is_file()]
    assert files
    assert not any(b"correct-horse-battery" in path.read_bytes() for path in files)
