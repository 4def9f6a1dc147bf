"""The hook tool `add-metric`: it checks all that it is given against what the charm declares, and records all or none.

It has an effect in collect-metrics alone: there the collector has begun a recording, in the unit's own folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from undercroft.files import in_thread
from undercroft_hookspecs.errors import NotPermittedError, NotValidError, UndercroftError
from undercroft_hookspecs.hook_tools import ActionContext, Flag, NotInContextError, ToolUsageError
from undercroft_hookspecs.metrics import MetricSample
from undercroft_metrics import declarations
from undercroft_metrics.collect import recording

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from undercroft_hookspecs import Clock
    from undercroft_hookspecs.hook_tools import HookContext, ToolCall

COLLECT = "collect-metrics"


@dataclass(frozen=True, slots=True)
class AddMetric:
    """`add-metric`; `file` is where the unit's collector records."""

    file: Path
    clock: Clock
    name: str = "add-metric"
    summary: str = "Add metrics to those that are being collected"
    usage: str = "<key>=<value> [<key>=<value> ...]"
    details: str = "Metrics are declared in the charm's metrics.yaml; a value is a decimal number that is not negative."
    formats: Sequence[str] = ()
    arity: tuple[int, int | None] = (0, None)

    def flags(self, _: HookContext) -> Sequence[Flag]:
        """`--labels`, in every hook."""
        return (Flag(names=("l", "labels"), value="LABELS", summary="labels of all of them, as a=b,c=d"),)

    async def run(self, context: HookContext, call: ToolCall) -> None:
        """Record all of them, or none.

        Raises:
            ToolUsageError: there are none, or one is not `key=value`.
            UndercroftError: one may not be recorded, or nothing may in this hook.
        """
        now = self.clock.now()
        if not call.arguments:
            raise ToolUsageError("no metrics specified")
        metrics = _pairs(call.arguments, "invalid metrics")
        labels = _pairs(filter(None, call.values.get("labels", "").split(",")), "invalid labels")
        if not metrics:
            return
        try:
            await in_thread(_record, self.file if _is_collecting(context) else None, metrics, labels, now)
        except (UndercroftError, OSError) as error:
            raise UndercroftError(f"cannot record metric: {error}") from error


def _record(file: Path | None, metrics: Mapping[str, str], labels: Mapping[str, str], now: datetime) -> None:
    for key in metrics:
        if key.startswith(declarations.RESERVED):
            raise NotValidError(f'"{declarations.shown(key)}" uses a reserved prefix', field="metric")
    if file is None:
        raise NotPermittedError(f"metrics are allowed in the hook {COLLECT} only")
    declared = recording.header_of(file).metrics
    declarations.check_labels(labels)
    samples = [
        MetricSample(
            key=key, value=value, time=now, kind=declarations.check_metric(declared, key, value), labels=labels
        )
        for key, value in metrics.items()
    ]
    recording.append(file, samples)


def _is_collecting(context: HookContext) -> bool:
    """Whether this is the hook; an action may have its name."""
    try:
        context.get(ActionContext)
    except NotInContextError:
        return context.hook == COLLECT
    return False


def _pairs(arguments: Iterable[str], what: str) -> dict[str, str]:
    """`key=value` arguments, both sides trimmed; those that are empty are passed over, as Juju's parser does."""
    pairs: dict[str, str] = {}
    for argument in filter(None, arguments):
        key, separator, value = (part.strip() for part in argument.partition("="))
        if not separator or not key or not value:
            raise ToolUsageError(f'{what}: expected "key=value", got "{declarations.shown(argument)}"')
        if key in pairs:
            raise ToolUsageError(f'{what}: key "{declarations.shown(key)}" specified more than once')
        pairs[key] = value
    return pairs
