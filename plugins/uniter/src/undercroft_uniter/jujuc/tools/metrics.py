"""add-metric where no plugin does something with metrics: its arguments are checked, and that is all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from undercroft_hookspecs.errors import NotPermittedError, NotValidError
from undercroft_hookspecs.hook_tools import Flag, ToolUsageError
from undercroft_uniter.jujuc.quoting import quoted
from undercroft_uniter.jujuc.settings import key_values
from undercroft_uniter.jujuc.tools.tool import Tool

if TYPE_CHECKING:
    from undercroft_hookspecs.hook_tools import HookContext, ToolCall

COLLECT = "collect-metrics"
_RESERVED = "juju-"


async def _add(context: HookContext, call: ToolCall) -> None:
    metrics = key_values(call.arguments, allow_empty=False)
    labels = call.values.get("labels", "")
    if labels:
        _check_labels(labels)
    for key in metrics:
        if key.startswith(_RESERVED):
            raise NotValidError(f"{quoted(key)} uses the reserved prefix {quoted(_RESERVED)}", field="metric")
    if context.hook != COLLECT:
        raise NotPermittedError(f"cannot add metrics: they are allowed in the hook {COLLECT} only")


def _check_labels(labels: str) -> None:
    try:
        key_values(labels.split(","), allow_empty=False)
    except ToolUsageError as error:
        raise ToolUsageError(f"invalid labels: {error}") from None


ADD = Tool(
    name="add-metric",
    summary="Add metrics to those that are being collected",
    usage="<key>=<value> [<key>=<value> ...]",
    details="In the hook collect-metrics only. The plugin `metrics` records them; without it they are only checked.",
    arity=(1, None),
    missing="no metrics specified",
    options=(Flag(names=("l", "labels"), value="LABELS", summary="labels, as a=b,c=d"),),
    work=_add,
)
TOOLS = (ADD,)
