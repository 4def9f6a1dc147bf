from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from undercroft.agent.systemd import Notifier, service_words


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(str(tmp_path / "notify"))
        bound.settimeout(2)
        yield bound


def heard(manager: socket.socket) -> list[str]:
    return manager.recv(4096).decode().split("\n")


def test_each_message_is_one_datagram(manager: socket.socket) -> None:
    with Notifier({"NOTIFY_SOCKET": manager.getsockname()}) as notifier:
        notifier.ready("4 of 4 workers up")
        notifier.status("two\nlines")
        notifier.ping()
        notifier.reloading(12.5)
        notifier.stopping()
        notifier.extend_timeout(1.5)

    assert [heard(manager) for _ in range(6)] == [
        ["READY=1", "STATUS=4 of 4 workers up"],
        ["STATUS=two lines"],
        ["WATCHDOG=1"],
        ["RELOADING=1", "MONOTONIC_USEC=12500000"],
        ["STOPPING=1", "STATUS=stopping"],
        ["EXTEND_TIMEOUT_USEC=1500000"],
    ]


def test_a_name_in_the_abstract_namespace_is_reached() -> None:
    name = f"undercroft-test-{uuid4()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name}")
        manager.settimeout(2)
        with Notifier({"NOTIFY_SOCKET": f"@{name}"}) as notifier:
            notifier.ping()

        assert heard(manager) == ["WATCHDOG=1"]


def test_without_a_service_manager_nothing_happens() -> None:
    with Notifier({}) as notifier:
        notifier.ready()

        assert not notifier.is_connected
        assert notifier.watchdog_seconds is None


@pytest.mark.parametrize("path", ["relative/path", "/there/is/none"])
def test_a_socket_that_cannot_be_reached_is_no_reason_to_fail(path: str, caplog: pytest.LogCaptureFixture) -> None:
    with Notifier({"NOTIFY_SOCKET": path}) as notifier:
        notifier.ready()

    assert path in caplog.text


def test_a_service_manager_that_does_not_read_never_holds_the_agent_up(manager: socket.socket) -> None:
    with Notifier({"NOTIFY_SOCKET": manager.getsockname()}) as notifier:
        for _ in range(10_000):
            notifier.ping()


def test_a_service_manager_that_goes_away_is_no_reason_to_fail(tmp_path: Path) -> None:
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(tmp_path / "notify"))
    with Notifier({"NOTIFY_SOCKET": manager.getsockname()}) as notifier:
        manager.close()

        notifier.ping()


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdogs_patience_is_read_from_the_environment(
    environment: dict[str, str], seconds: float | None
) -> None:
    assert Notifier(environment).watchdog_seconds == seconds


@pytest.mark.parametrize(
    ("environment", "cgroup", "words"),
    [
        ({"INVOCATION_ID": "x"}, "0::/system.slice/undercroft.service\n", ("undercroft.service",)),
        ({}, "0::/system.slice/undercroft.service\n", ()),
        ({"INVOCATION_ID": "x"}, "0::/user.slice/user-0.slice/session-4.scope\n", ()),
        ({"INVOCATION_ID": "x"}, "0::/user.slice/user-7.slice/user@7.service\n", ()),
        (
            {"INVOCATION_ID": "x"},
            "0::/user.slice/user-7.slice/user@7.service/app.slice/u.service\n",
            ("--user", "u.service"),
        ),
        ({"INVOCATION_ID": "x"}, "", ()),
    ],
)
def test_the_unit_is_known_only_where_the_agent_is_a_service(
    environment: dict[str, str], cgroup: str, words: tuple[str, ...]
) -> None:
    assert service_words(environment, cgroup) == words
