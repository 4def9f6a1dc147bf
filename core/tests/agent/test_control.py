from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from undercroft.agent.control import AgentControl
from undercroft_hookspecs import NotFoundError


class FakeDesk:
    """Answers with what it was asked."""

    def __init__(self) -> None:
        self.restarted: list[str] = []

    def report(self) -> dict[str, object]:
        return {"state": "started", "where": Path("/x")}

    def graph(self) -> dict[str, object]:
        return {"manifolds": {}}

    def explain(self, name: str) -> dict[str, object]:
        raise NotFoundError(name)

    def transitions(self) -> list[object]:
        return [1]

    def plugins(self) -> list[dict[str, object]]:
        raise RuntimeError("a defect")

    async def restart(self, name: str) -> None:
        self.restarted.append(name)

    async def reload(self) -> dict[str, object]:
        return {"changed": ["acme"], "needs_restart": [], "errors": []}


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        ({"request": "report"}, {"state": "started", "where": "/x"}),
        ({"request": "graph"}, {"manifolds": {}}),
        ({"request": "transitions"}, {"transitions": [1]}),
        ({"request": "restart", "name": "acme"}, {}),
        ({"request": "reload"}, {"changed": ["acme"], "needs_restart": [], "errors": []}),
    ],
)
async def test_each_request_has_its_answer(request_: Mapping[str, object], answer: Mapping[str, object]) -> None:
    assert await AgentControl(FakeDesk()).ask(request_) == answer


@pytest.mark.parametrize(
    ("request_", "kind", "said"),
    [
        ({}, "NotValidError", "there are: explain, graph"),
        ({"request": "dance"}, "NotValidError", "'dance'"),
        ({"request": ["report"]}, "NotValidError", "there is no request"),
        ({"request": "restart"}, "NotValidError", '"name"'),
        ({"request": "restart", "name": 3}, "NotValidError", '"name"'),
        ({"request": "explain", "name": "nobody"}, "NotFoundError", "nobody"),
        ({"request": "plugins"}, "RuntimeError", "a defect"),
    ],
)
async def test_a_request_that_fails_is_answered_with_its_kind_and_a_message(
    request_: Mapping[str, object], kind: str, said: str
) -> None:
    answer = await AgentControl(FakeDesk()).ask(request_)

    error = answer["error"]
    assert isinstance(error, dict)
    assert error["kind"] == kind
    assert said in error["message"]
