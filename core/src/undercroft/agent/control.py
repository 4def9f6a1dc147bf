"""The running agent's control: the requests of the control socket, and their answers.

Answers are made of JSON's types, in process too. A request that fails is answered, not raised: `{"error": {"kind",
"message"}}`, where `kind` is the error's class (`NotFoundError`, `NotValidError`, ...).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from undercroft.agent.plain import fields, text
from undercroft_hookspecs import NotValidError, UndercroftError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

_log = logging.getLogger(__name__)


class Desk(Protocol):
    """What the control is asked to tell and to do: the agent, as its composition root has put it together."""

    def report(self) -> dict[str, object]:
        """The engine's report, with the names in quarantine."""
        ...

    def graph(self) -> dict[str, object]:
        """`{"manifolds": {name: {"plugin", "state", "inputs", "missing", "error"}}}`."""
        ...

    def explain(self, name: str) -> dict[str, object]:
        """`{"name", "state", "sentences"}`. Raises NotFoundError."""
        ...

    def transitions(self) -> list[object]:
        """The last transitions of all engines, oldest first."""
        ...

    def plugins(self) -> list[dict[str, object]]:
        """What has become of each plugin."""
        ...

    async def restart(self, name: str) -> None:
        """Stop and start one worker, out of quarantine too. Raises NotFoundError."""

    async def reload(self) -> dict[str, object]:
        """`{"changed", "needs_restart", "errors"}`."""
        ...


class AgentControl:
    """The `Control` that the manifold `agent` puts out and that the control socket serves."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._requests: dict[str, Callable[[Mapping[str, object]], Awaitable[Mapping[str, object]]]] = {
            "report": self._report,
            "graph": self._graph,
            "explain": self._explain,
            "transitions": self._transitions,
            "restart": self._restart,
            "reload": self._reload,
            "plugins": self._plugins,
        }

    async def ask(self, request: Mapping[str, object]) -> Mapping[str, object]:
        """Answer one request, `{"request": "report" | "graph" | "explain" | ..., ...}`; never raises for a bad one."""
        try:
            return fields(await self._answer(request))
        except UndercroftError as error:
            return failure(type(error).__name__, text(error))
        except Exception as error:  # The edge to introspection: a fault in one answer must not end the agent.
            _log.exception("the control request %s failed", text(request)[:200])
            return failure(type(error).__name__, text(error))

    async def _answer(self, request: Mapping[str, object]) -> Mapping[str, object]:
        name = request.get("request")
        handler = self._requests.get(name) if isinstance(name, str) else None
        if handler is None:
            known = ", ".join(sorted(self._requests))
            raise NotValidError(f"there is no request {text(name)[:80]!r}; there are: {known}", field="request")
        return await handler(request)

    async def _report(self, _: Mapping[str, object]) -> Mapping[str, object]:
        return self._desk.report()

    async def _graph(self, _: Mapping[str, object]) -> Mapping[str, object]:
        return self._desk.graph()

    async def _explain(self, request: Mapping[str, object]) -> Mapping[str, object]:
        return self._desk.explain(_name(request))

    async def _transitions(self, _: Mapping[str, object]) -> Mapping[str, object]:
        return {"transitions": self._desk.transitions()}

    async def _restart(self, request: Mapping[str, object]) -> Mapping[str, object]:
        await self._desk.restart(_name(request))
        return {}

    async def _reload(self, _: Mapping[str, object]) -> Mapping[str, object]:
        return await self._desk.reload()

    async def _plugins(self, _: Mapping[str, object]) -> Mapping[str, object]:
        return {"plugins": self._desk.plugins()}


def failure(kind: str, message: str) -> dict[str, object]:
    """The answer to a request that failed."""
    return {"error": {"kind": kind, "message": message}}


def _name(request: Mapping[str, object]) -> str:
    name = request.get("name")
    if not isinstance(name, str) or not name:
        raise NotValidError('the request needs a "name": a worker\'s, as `undercroft report` shows it', field="name")
    return name
