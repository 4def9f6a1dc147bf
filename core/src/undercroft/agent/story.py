"""What an engine's manifolds are doing, and why: as a graph, and in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from undercroft.agent.plain import text

if TYPE_CHECKING:
    from undercroft.agent.plan import Claim
    from undercroft.agent.plugin_engine import PluginEngine


def state(engine: PluginEngine, name: str) -> str:
    """One manifold's state, as the engine's report has it."""
    return str(_entry(engine.report(), name).get("state", "stopped"))


def graph(engine: PluginEngine) -> dict[str, dict[str, object]]:
    """`{name: {"plugin", "state", "inputs", "missing", "error"}}`."""
    report = engine.report()
    return {name: _drawn(engine, name, claim, _entry(report, name)) for name, claim in engine.claims.items()}


def explain(engine: PluginEngine, name: str) -> list[str]:
    """Sentences on why the manifold is in the state that it is in, down to the first cause that is known."""
    held = engine.quarantine.held
    if name in held:
        return _why_held(engine, name)
    # The engine has forgotten what is in quarantine, and says so.
    forgotten = {f"{each} is not installed.": each for each in held}
    sentences: list[str] = []
    for sentence in engine.engine.explain(name):
        sentences += _why_held(engine, forgotten[sentence]) if sentence in forgotten else [sentence]
    return sentences


def _why_held(engine: PluginEngine, name: str) -> list[str]:
    verdict = text(engine.quarantine.held[name])
    return [f"{name} is in quarantine: it {verdict}.", f"`undercroft restart {name}` has it started again."]


def _drawn(engine: PluginEngine, name: str, claim: Claim, entry: Mapping[str, object]) -> dict[str, object]:
    state, error = entry.get("state", "stopped"), entry.get("error")
    if error is None and state == "starting":
        # A report shows an attempt's own error; while the next one is due, it is the last one's that explains.
        error = engine.engine.explain(name).error
    inputs, missing = list(claim.manifold.inputs), entry.get("missing", [])
    return {"plugin": claim.plugin, "state": state, "inputs": inputs, "missing": missing, "error": error}


def _entry(report: Mapping[str, object], name: str) -> Mapping[str, object]:
    manifolds = report.get("manifolds")
    entry = manifolds.get(name) if isinstance(manifolds, Mapping) else None
    return entry if isinstance(entry, Mapping) else {}
