"""Who must end before whom: the book-keeping of strict bounces and of shutdown in reverse.

A node that `holds` others is an obstacle to each of them; a node with no obstacle left is free to go on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from undercroft.dependency.node import Node


def hold_back(node: Node, dependents: Iterable[Node]) -> None:
    """Let a node go on only when those of its dependents have ended that are up or in their start now."""
    for dependent in dependents:
        if dependent.is_begun:
            dependent.holds = [*(dependent.holds or ()), node]
            node.obstacles += 1


def hold_inputs(nodes: Mapping[str, Node]) -> None:
    """Let every node go on only when all its dependents have ended; nothing may be held before."""
    for node in nodes.values():
        if node.is_begun:
            inputs = (nodes.get(name) for name in node.inputs)
            node.holds = [provider for provider in inputs if provider is not None and provider.is_begun]
            for provider in node.holds:
                provider.obstacles += 1


def release(node: Node) -> Iterable[Node]:
    """A node has ended: give those that it was the last obstacle to."""
    holds, node.holds = node.holds, None
    for held in holds or ():
        held.obstacles -= 1
        if not held.obstacles:
            yield held
