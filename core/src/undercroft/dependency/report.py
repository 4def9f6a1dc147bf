"""How an engine describes itself to people: its report, and why a manifold is not running."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from undercroft.dependency.errors import Missing
from undercroft.errors import caused_by
from undercroft.worker.reporting import error_text, report_of, time_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Literal

    from undercroft.dependency.node import Node
    from undercroft_hookspecs.worker import Worker


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a manifold is in the state that it is in.

    `sentences`, which iteration gives as well, go from the manifold down the chain of what it waits for, to the first
    causes. The other fields are the manifold's own: `state` as in the report, the inputs that are not running, the
    error that it ended with last, and the seconds until its next attempt, if one is due.
    """

    name: str
    state: Literal["stopped", "starting", "started", "stopping"]
    sentences: tuple[str, ...]
    missing: tuple[str, ...] = ()
    error: str | None = None
    retry_in: float | None = None

    def __iter__(self) -> Iterator[str]:
        return iter(self.sentences)

    def __str__(self) -> str:
        return "\n".join(self.sentences)


def engine_report(
    nodes: Mapping[str, Node],
    *,
    state: Literal["alive", "dying", "dead"],
    error: BaseException | None,
    nested: bool,
    engine: Worker,
) -> dict[str, object]:
    """Describe an engine. With `nested` the workers are not asked for their own reports."""
    report: dict[str, object] = {"state": {"alive": "started", "dying": "stopping", "dead": "stopped"}[state]}
    if error is not None:
        report["error"] = error_text(error)
    report["manifolds"] = {name: _node_report(node, nodes, nested, engine) for name, node in tuple(nodes.items())}
    return report


def explanation(node: Node, nodes: Mapping[str, Node], now: float) -> Explanation:
    """Explain a manifold, at the time `now` of the engine's clock."""
    return Explanation(
        node.name,
        node.state,
        tuple(_chain(node.name, nodes, now)),
        tuple(missing_inputs(node, nodes)),
        None if node.last_error is None else error_text(node.last_error),
        None if node.delay is None else max(node.due - now, 0.0),
    )


def missing_inputs(node: Node, nodes: Mapping[str, Node]) -> list[str]:
    """The inputs that are not running."""
    return [name for name in node.inputs if not _is_up(name, nodes)]


def _is_up(name: str, nodes: Mapping[str, Node]) -> bool:
    node = nodes.get(name)
    return node is not None and node.worker is not None


def _node_report(node: Node, nodes: Mapping[str, Node], nested: bool, engine: Worker) -> dict[str, object]:
    report: dict[str, object] = {"state": node.state, "inputs": list(node.inputs)}
    if node.start_count:
        report["start-count"] = node.start_count
    if node.started is not None:
        report["started"] = time_text(node.started)
    if node.error is not None:
        report["error"] = error_text(node.error)
    if node.delay is not None:
        report["delay"] = node.delay
    if missing := missing_inputs(node, nodes):
        report["missing"] = missing
    if node.worker is not None and node.worker is not engine and not nested:
        own = report_of(node.worker)
        if own is not None:
            report["report"] = dict(own)
    if node.hung:
        report["hung"] = True
    return report


def _chain(name: str, nodes: Mapping[str, Node], now: float) -> Iterator[str]:
    """One sentence for each manifold on the way down, each once, what is nearest first."""
    waiting, seen = [name], {name}
    for current in waiting:
        node = nodes.get(current)
        if node is None:
            yield f"{current} is not installed."
            continue
        yield _sentence(node, nodes, now)
        for needed in _causes(node, nodes):
            if needed not in seen:
                seen.add(needed)
                waiting.append(needed)


def _causes(node: Node, nodes: Mapping[str, Node]) -> list[str]:
    """Which inputs keep a manifold down: the one that its start has missed, or else all that are not running."""
    missing = caused_by(node.error, Missing)
    if node.state != "stopped" or missing is None:
        return []
    stopped = missing_inputs(node, nodes)
    if missing.reason == "stopped" and missing.resource is not None:
        return [missing.resource] if missing.resource in stopped else []
    return stopped if missing.reason is None else []


def _sentence(node: Node, nodes: Mapping[str, Node], now: float) -> str:
    subject = f"{node.name} is {node.state}"
    after = "" if node.last_error is None else f"; the last attempt ended with: {error_text(node.last_error)}"
    if node.state == "started" and node.started is not None:
        return f"{subject}, since {time_text(node.started)}{_without(node, nodes)}."
    if node.state == "stopping":
        late = " and has outlived its kill timeout" if node.hung else ""
        return f"{subject}: its worker was asked to stop{late}, and is not dead yet."
    if node.state == "starting":
        return f"{subject}: {_progress(node, now)}{after}."
    if node.error is None:
        verb = "has finished" if node.start_count else "has not run"
        return f"{subject}: it {verb}, and is started again when one of its inputs changes."
    if caused_by(node.error, Missing) is not None:
        return f"{subject}, and is started again when one of its inputs changes{after}."
    return f"{subject}{after}."


def _progress(node: Node, now: float) -> str:
    if node.delay is not None:
        times = f" after {node.failures} failures in a row" if node.failures > 1 else ""
        return f"the next attempt begins in {max(node.due - now, 0.0):.3g} s{times}"
    if node.doomed is not None:
        return "a worker that came up too late is being stopped"
    if node.start is None:
        return "it waits until the dependents of its last worker have ended"
    return "its start was asked to stop, and has not ended" if node.asked else "its start is running"


def _without(node: Node, nodes: Mapping[str, Node]) -> str:
    missing = missing_inputs(node, nodes)
    return f", without {', '.join(missing)}" if missing else ""
