"""Read metrics.yaml."""

from __future__ import annotations

from typing import TYPE_CHECKING

from undercroft_hookspecs.charm import MetricSpec
from undercroft_model.charms import names
from undercroft_model.charms.document import optional_boolean, optional_text

if TYPE_CHECKING:
    from undercroft_model.charms.document import Entry


def read_metrics(root: Entry) -> tuple[dict[str, MetricSpec], bool]:
    """The metrics, and whether a plan is required. Those whose names begin with `juju` are built in: they say nothing.

    Raises:
        CharmFileError: one of them is not right.
    """
    keys = root.mapping()
    metrics = keys["metrics"].mapping() if "metrics" in keys else {}
    plan = keys["plan"].mapping() if "plan" in keys else {}
    return {name: _metric(name, entry) for name, entry in metrics.items()}, optional_boolean(plan, "required")


def _metric(name: str, entry: Entry) -> MetricSpec:
    names.check(entry, name, names.METRIC, "a metric")
    keys = entry.mapping()
    if name.startswith("juju"):
        if optional_text(keys, "type") or optional_text(keys, "description"):
            raise entry.error("nothing, as names with 'juju' are of metrics that are built in")
        return MetricSpec()
    if "type" not in keys:
        raise entry.error("`type`: 'gauge', 'absolute' or 'counter'")
    if not optional_text(keys, "description"):
        raise entry.error("`description`")
    return MetricSpec(
        type=keys["type"].one_of(("gauge", "absolute", "counter")), description=keys["description"].text()
    )
