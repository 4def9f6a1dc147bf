"""`undercroft graph`: which worker needs which, as text, for Graphviz, or for Mermaid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from undercroft.cli.session import CommandSession

    Manifolds = Mapping[str, Mapping[str, object]]

_COLOURS = {"started": "palegreen", "starting": "khaki", "stopping": "khaki", "stopped": "lightgrey"}
_TROUBLE = "lightsalmon"
_ABSENT = "absent"


@click.command(epilog="Example: undercroft graph --as dot | dot -Tsvg > agent.svg")
@click.option(
    "--as", "form", type=click.Choice(["text", "dot", "mermaid"]), default="text", help="The form of the drawing."
)
@click.pass_obj
def graph(session: CommandSession, form: str) -> None:
    """Draw which worker of the running agent needs which, and what keeps one from running."""
    answer = session.ask({"request": "graph"})
    found = answer.get("manifolds")
    manifolds: Manifolds = found if isinstance(found, dict) else {}
    session.emit(answer, table=lambda: {"dot": dot, "mermaid": mermaid}.get(form, text)(manifolds))


def text(manifolds: Manifolds) -> str:
    """A line for each worker, what is needed before what needs it."""
    from undercroft.cli.output import rows_table

    return rows_table(
        [
            {
                "name": name,
                "state": manifolds[name].get("state"),
                "plugin": manifolds[name].get("plugin"),
                "needs": manifolds[name].get("inputs"),
                "why": _why(manifolds[name]),
            }
            for name in _in_order(manifolds)
        ]
    )


def dot(manifolds: Manifolds) -> str:
    """The graph in Graphviz's language; an arrow leads from what is needed to what needs it."""
    lines = ["digraph undercroft {", "  rankdir=LR;", "  node [shape=box, style=filled, fillcolor=white];"]
    for name, state, colour in _nodes(manifolds):
        label = _quoted(f"{name}\n{state}")
        lines.append(f"  {_quoted(name)} [label={label}, fillcolor={colour}];")
    lines += [f"  {_quoted(needed)} -> {_quoted(name)};" for needed, name in _edges(manifolds)]
    return "\n".join([*lines, "}"])


def mermaid(manifolds: Manifolds) -> str:
    """The graph as a Mermaid flowchart, with the same arrows."""
    lines = ["flowchart LR"]
    number = {name: f"n{index}" for index, (name, _, _) in enumerate(_nodes(manifolds))}
    for name, state, colour in _nodes(manifolds):
        label = f"{name}<br/>{state}".replace('"', "#quot;")
        lines += [f'  {number[name]}["{label}"]', f"  style {number[name]} fill:{colour}"]
    lines += [f"  {number[needed]} --> {number[name]}" for needed, name in _edges(manifolds)]
    return "\n".join(lines)


def _nodes(manifolds: Manifolds) -> list[tuple[str, str, str]]:
    """(name, state, colour) of each worker, and of each input that nobody provides."""
    nodes = []
    for name in _in_order(manifolds):
        state = str(manifolds[name].get("state"))
        colour = _TROUBLE if manifolds[name].get("error") else _COLOURS.get(state, _TROUBLE)
        nodes.append((name, state, colour))
    absent = {needed for needed, _ in _edges(manifolds)} - set(manifolds)
    return nodes + [(name, _ABSENT, _TROUBLE) for name in sorted(absent)]


def _edges(manifolds: Manifolds) -> list[tuple[str, str]]:
    return [(needed, name) for name in sorted(manifolds) for needed in _names(manifolds[name], "inputs")]


def _in_order(manifolds: Manifolds) -> list[str]:
    """Every name after those that it needs."""
    from graphlib import TopologicalSorter

    needs = {name: sorted(set(_names(manifolds[name], "inputs")) & set(manifolds)) for name in sorted(manifolds)}
    return list(TopologicalSorter(needs).static_order())


def _why(manifold: Mapping[str, object]) -> str:
    missing = _names(manifold, "missing")
    error = manifold.get("error")
    return f"waits for {', '.join(missing)}" if missing else str(error) if error else ""


def _names(manifold: Mapping[str, object], key: str) -> list[str]:
    found = manifold.get(key)
    return [str(name) for name in found] if isinstance(found, list) else []


def _quoted(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
