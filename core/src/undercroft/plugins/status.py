"""Describe plugins to people and programs: the rows of `undercroft plugins`, and of the agent's answer to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from undercroft.plugins.registry import Registry


def plugin_rows(registry: Registry, manifolds: Mapping[str, Sequence[str]]) -> list[dict[str, object]]:
    """One row for each plugin, made of JSON's types; `manifolds` maps a plugin to the manifold names that are its."""
    return [
        {
            "name": plugin.name,
            "state": str(plugin.state),
            "why": plugin.why,
            "distribution": plugin.distribution,
            "version": plugin.version,
            "requires": plugin.requires,
            "manifolds": list(manifolds.get(plugin.name, ())) if plugin.state == "active" else [],
            "hooks": list(plugin.hooks),
        }
        for plugin in registry.plugins
    ]
