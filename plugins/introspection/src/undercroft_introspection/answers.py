"""What is answered to which path: the control socket's answers, the metrics, the health, and the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

import msgspec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from undercroft_hookspecs import Control

    Route = Callable[[str], Awaitable["Answer"]]

JSON: Final = "application/json"
EXPLAIN: Final = "/explain/"
ASKED: Final = ("report", "graph", "transitions", "plugins")
"""Requests of the control socket that change nothing, and take no name."""

_STATUSES: Final = {"NotFoundError": 404, "NotValidError": 400}


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back."""

    body: bytes
    status: int = 200
    kind: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


class Desk:
    """Answers paths. `metrics` is given what the client accepts; `page` is the page."""

    def __init__(self, control: Control, *, metrics: Route, page: Answer) -> None:
        self._control, self._metrics, self._page = control, metrics, page

    async def answer(self, target: str, accept: str = "") -> Answer:
        """Answer a request's target: a path as it was sent, with or without a query, which nothing heeds.

        It is never looked for in the filesystem.
        """
        try:
            path = unquote(target.partition("?")[0], errors="strict")
        except UnicodeDecodeError:
            return refused(400, "NotValidError", "the path is not UTF-8")
        if path == "/":
            return self._page
        if path == "/metrics":
            return await self._metrics(accept)
        if path == "/health":
            return await self._health()
        if path.startswith(EXPLAIN):
            return await self._ask({"request": "explain", "name": path.removeprefix(EXPLAIN)})
        if path[1:] in ASKED:
            return await self._ask({"request": path[1:]})
        known = ", ".join(["/", "/metrics", "/health", *(f"/{name}" for name in ASKED), f"{EXPLAIN}NAME"])
        return refused(404, "NotFoundError", f"there is no {path[:80]!r}; there are: {known}")

    async def _ask(self, request: Mapping[str, object]) -> Answer:
        answer = await self._control.ask(request)
        error = answer.get("error")
        status = 200
        if isinstance(error, Mapping):
            status = _STATUSES.get(str(error.get("kind")), 500)
        return Answer(_encoded(answer), status=status)

    async def _health(self) -> Answer:
        graph = await self._control.ask({"request": "graph"})
        manifolds = graph.get("manifolds")
        if not isinstance(manifolds, Mapping):
            return Answer(_encoded(graph), status=500)
        down = {
            name: {key: entry.get(key) for key in ("state", "error", "missing")}
            for name, entry in manifolds.items()
            if isinstance(entry, Mapping) and not _is_well(entry)
        }
        document = {"healthy": not down, "workers": len(manifolds), "down": down}
        return Answer(_encoded(document), status=503 if down else 200)


def refused(status: int, kind: str, message: str, **headers: str) -> Answer:
    """The answer to a request that is not served."""
    return Answer(failure(kind, message), status=status, headers=headers)


def failure(kind: str, message: str) -> bytes:
    """An error, as the control socket has it."""
    return _encoded({"error": {"kind": kind, "message": message}})


def _encoded(document: object) -> bytes:
    return msgspec.json.encode(document) + b"\n"


def _is_well(entry: Mapping[object, object]) -> bool:
    """Up, or at an end that is no failure and that no missing input has brought about."""
    return entry.get("state") == "started" or (
        entry.get("state") == "stopped" and not entry.get("error") and not entry.get("missing")
    )
