from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from undercroft import current_worker
from undercroft.agent.logs import configure


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Gone(io.StringIO):
    def write(self, _: str) -> int:
        raise BrokenPipeError


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    before = (root.level, root.handlers[:])
    yield
    root.setLevel(before[0])
    root.handlers[:] = before[1]
    logging.captureWarnings(False)


def test_a_line_elsewhere_than_on_a_terminal_is_one_json_object() -> None:
    stream = io.StringIO()
    configure(stream=stream)

    logging.getLogger("undercroft_acme").info("mounted %s", "sda", extra={"size": 3})

    line = json.loads(stream.getvalue())
    assert line["event"] == "mounted sda"
    assert line["level"] == "info"
    assert line["logger"] == "undercroft_acme"
    assert line["size"] == 3
    assert line["timestamp"].endswith("Z")
    assert "worker" not in line


def test_a_line_of_a_worker_has_its_path() -> None:
    stream = io.StringIO()
    configure(stream=stream)
    token = current_worker.set("agent/disk-manager")
    try:
        logging.getLogger("undercroft_acme").info("here")
    finally:
        current_worker.reset(token)

    assert json.loads(stream.getvalue())["worker"] == "agent/disk-manager"


def test_an_error_in_json_has_its_traceback_on_the_same_line() -> None:
    stream = io.StringIO()
    configure(stream=stream)

    try:
        raise ValueError("why")
    except ValueError:
        logging.getLogger("undercroft").exception("failed")

    (line,) = stream.getvalue().splitlines()
    assert "ValueError: why" in json.loads(line)["exception"]


def test_on_a_terminal_a_line_is_for_people() -> None:
    stream = Terminal()
    configure(stream=stream)

    logging.getLogger("undercroft").warning("low on space")

    assert "low on space" in stream.getvalue()
    assert "\x1b[" in stream.getvalue()


def test_text_can_be_asked_for_and_has_no_colours_then() -> None:
    stream = io.StringIO()
    configure(stream=stream, form="text")

    try:
        raise ValueError("why")
    except ValueError:
        logging.getLogger("undercroft").exception("failed")

    assert "failed" in stream.getvalue()
    assert "ValueError: why" in stream.getvalue()
    assert "\x1b[" not in stream.getvalue()


def test_other_libraries_are_heard_from_warnings_on() -> None:
    stream = io.StringIO()
    configure(stream=stream)

    logging.getLogger("asyncio").info("quiet")
    logging.getLogger("asyncio").warning("loud")

    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["loud"]


def test_with_debug_everybody_is_heard() -> None:
    stream = io.StringIO()
    configure(stream=stream, level=logging.DEBUG)

    logging.getLogger("asyncio").debug("details")

    assert "details" in stream.getvalue()


def test_a_reader_that_has_gone_away_disturbs_nobody() -> None:
    configure(stream=Gone())

    logging.getLogger("undercroft").error("into the void")


def test_a_line_that_cannot_be_rendered_disturbs_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    configure(stream=io.StringIO())

    logging.getLogger("undercroft").error("%d", "no number")

    assert "no number" in capsys.readouterr().err


def test_what_was_configured_can_be_undone() -> None:
    before = logging.getLogger().handlers[:]

    configure(stream=io.StringIO())()

    assert logging.getLogger().handlers == before
