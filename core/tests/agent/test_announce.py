from __future__ import annotations

import os
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from undercroft.agent.agent import HostAgent
from undercroft.agent.announce import summary
from undercroft.agent.systemd import Notifier

if TYPE_CHECKING:
    from core.tests.agent.conftest import Bench

Until = Callable[[Callable[[], object]], Awaitable[None]]


class Manager:
    """The service manager: a real datagram socket, and what has come through it."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(str(path))
        self.environment = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "100000", "WATCHDOG_PID": str(os.getpid())}
        self.messages: list[list[str]] = []

    def heard(self) -> list[list[str]]:
        """All messages so far."""
        while True:
            try:
                self.messages.append(self._socket.recv(8192).decode().split("\n"))
            except BlockingIOError:
                return self.messages

    def first_words(self) -> list[str]:
        """The first field of each."""
        return [message[0] for message in self.heard()]

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(tmp_path / "notify")
    yield made
    made.close()


async def test_the_service_manager_hears_ready_with_a_status_and_then_stopping(
    bench: Bench, manager: Manager, until: Until
) -> None:
    with Notifier(manager.environment) as notifier:
        async with bench.agent(notifier=notifier):
            await until(lambda: "READY=1" in manager.first_words())

    words = manager.first_words()
    ready = next(message for message in manager.messages if message[0] == "READY=1")
    assert ready == ["READY=1", "STATUS=3 of 3 workers up"]
    assert words.index("READY=1") < words.index("STOPPING=1")
    assert words[words.index("STOPPING=1") + 1].startswith("EXTEND_TIMEOUT_USEC=")


async def test_the_watchdog_is_fed_while_the_agent_runs(bench: Bench, manager: Manager, until: Until) -> None:
    with Notifier(manager.environment) as notifier:
        async with bench.agent(notifier=notifier):
            await until(lambda: manager.first_words().count("WATCHDOG=1") >= 4)


@pytest.mark.slow_callbacks
async def test_a_loop_that_stands_still_feeds_no_watchdog(bench: Bench, manager: Manager, until: Until) -> None:
    with Notifier(manager.environment) as notifier:
        async with bench.agent(notifier=notifier):
            await until(lambda: "READY=1" in manager.first_words())
            before = manager.first_words().count("WATCHDOG=1")
            time.sleep(0.3)
            after = manager.first_words().count("WATCHDOG=1")

    assert after == before


async def test_a_reload_is_told_from_its_beginning_to_its_end(bench: Bench, manager: Manager, until: Until) -> None:
    with Notifier({"NOTIFY_SOCKET": manager.environment["NOTIFY_SOCKET"]}) as notifier:
        async with bench.agent(notifier=notifier) as agent:
            await until(lambda: "READY=1" in manager.first_words())
            await bench.ask(agent, "reload")
            words = manager.first_words()

    (reloading,) = [message for message in manager.messages if message[0] == "RELOADING=1"]
    assert reloading[1].startswith("MONOTONIC_USEC=")
    assert words[words.index("RELOADING=1") + 1] == "READY=1"


async def test_the_status_says_which_worker_is_not_up(bench: Bench, manager: Manager, until: Until) -> None:
    bench.plugin(
        "acme",
        """
GO = asyncio.Event()
@hookimpl
def undercroft_manifolds(agent):
    async def work(stop):
        await GO.wait()
        raise OSError("gone")
    return {"acme": Manifold(start=lambda context: SimpleWorker(work, grace=0))}
""",
    )
    with Notifier(manager.environment) as notifier:
        async with bench.agent(notifier=notifier):
            bench.module("acme").GO.set()
            await until(lambda: ["STATUS=3 of 4 workers up; acme starting"] in manager.heard())


async def test_without_a_watchdog_nobody_is_woken(bench: Bench, manager: Manager, until: Until) -> None:
    with Notifier({"NOTIFY_SOCKET": manager.environment["NOTIFY_SOCKET"]}) as notifier:
        async with bench.ready() as setup, HostAgent(setup, notifier=notifier):
            await until(lambda: "READY=1" in manager.first_words())

    assert "WATCHDOG=1" not in manager.first_words()[: manager.first_words().index("STOPPING=1")]


@pytest.mark.parametrize(
    ("report", "line"),
    [
        ({}, "0 of 0 workers up"),
        ({"manifolds": {"a": {"state": "started"}, "b": {"state": "quarantined"}}}, "1 of 2 workers up; b quarantined"),
    ],
)
def test_a_report_in_one_line(report: dict[str, object], line: str) -> None:
    assert summary(report) == line
