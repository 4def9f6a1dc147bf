from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from core.tests.cli.conftest import CannedAgent, CommandLine

from undercroft.cli.control import ask
from undercroft.cli.exits import NotRunningError, RefusedError, exit_code

Start = Callable[[Mapping[str, object] | bytes], CannedAgent]


@pytest.fixture
def data(undercroft: CommandLine) -> Path:
    return undercroft.data


def test_an_answer_comes_back_however_long_it_is(data: Path, canned_agent: Start) -> None:
    agent = canned_agent({"long": "x" * 1_000_000})

    answer = ask(data, {"request": "report"})

    assert answer == {"long": "x" * 1_000_000}
    assert agent.requests == [{"request": "report"}]


def test_nobody_there_is_not_running(data: Path) -> None:
    with pytest.raises(NotRunningError, match=r"no agent is running on .*/data; start one with `undercroft agent`"):
        ask(data, {"request": "report"})


def test_a_socket_that_a_dead_agent_left_is_not_running(data: Path, canned_agent: Start) -> None:
    data.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
        left.bind(str(data / "agent.sock"))

    with pytest.raises(NotRunningError):
        ask(data, {"request": "report"})


@pytest.mark.parametrize("line", [b"", b'{"half": '])
def test_an_agent_that_goes_away_is_not_running(data: Path, canned_agent: Start, line: bytes) -> None:
    canned_agent(line)

    with pytest.raises(NotRunningError):
        ask(data, {"request": "report"})


@pytest.fixture
def silent(data: Path) -> Iterator[None]:
    """An agent that accepts and says nothing."""
    data.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(data / "agent.sock"))
        listener.listen()
        yield


@pytest.mark.usefixtures("silent")
def test_an_agent_that_does_not_answer_times_out(data: Path) -> None:
    with pytest.raises(TimeoutError, match=r"did not answer within 0\.05 seconds"):
        ask(data, {"request": "report"}, patience=0.05)


@pytest.mark.parametrize(
    ("kind", "code"), [("NotFoundError", 4), ("TimeoutError", 5), ("NotValidError", 1), ("PermissionError", 1)]
)
def test_an_error_that_the_agent_answers_is_raised(data: Path, canned_agent: Start, kind: str, code: int) -> None:
    canned_agent({"error": {"kind": kind, "message": "no such worker"}})

    with pytest.raises(RefusedError, match=r"^no such worker$") as caught:
        ask(data, {"request": "explain", "name": "x"})

    assert caught.value.kind == kind
    assert exit_code(caught.value) == code


def test_an_engine_whose_report_has_an_error_is_no_refusal(data: Path, canned_agent: Start) -> None:
    canned_agent({"state": "stopped", "error": "disk on fire", "manifolds": {}})

    assert ask(data, {"request": "report"})["error"] == "disk on fire"


def test_a_data_folder_deeper_than_an_address_is_long_will_do(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["deep" * 10] * 4)

    with pytest.raises(NotRunningError):
        ask(deep, {"request": "report"})
