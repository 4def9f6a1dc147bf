"""Which relations there are and who is in them: relation-ids, relation-list and relation-model-get."""

from __future__ import annotations

from typing import TYPE_CHECKING

from undercroft_hookspecs.hook_tools import Flag, RelationsContext, ToolUsageError
from undercroft_uniter.jujuc.tools.relationflag import relation_flag, relation_in
from undercroft_uniter.jujuc.tools.tool import ANSWER, Tool

if TYPE_CHECKING:
    from undercroft_hookspecs.hook_tools import HookContext, ToolCall


async def _ids(context: HookContext, call: ToolCall) -> list[str]:
    relations = context.get(RelationsContext)
    endpoint = call.arguments[0] if call.arguments else ""
    if not endpoint and relations.current is not None:
        endpoint = relations.current.endpoint
    if not endpoint:
        raise ToolUsageError("no endpoint name specified")
    found = relations.relations().values()
    return sorted(str(one) for one in found if one.endpoint == endpoint and not one.is_dead)


async def _list(context: HookContext, call: ToolCall) -> list[str] | str:
    relation = relation_in(context, call)
    if "app" in call.switches:
        return relation.remote_application
    return sorted(relation.members)


async def _model(context: HookContext, call: ToolCall) -> dict[str, str]:
    relation = relation_in(context, call)
    return {"uuid": await context.get(RelationsContext).model_uuid(relation.id)}


IDS = Tool(
    name="relation-ids",
    summary="List the relations of an endpoint, by id",
    usage="[<endpoint>]",
    details="The default is the endpoint of the relation that the hook is run for.",
    formats=ANSWER,
    arity=(0, 1),
    work=_ids,
)
LIST = Tool(
    name="relation-list",
    summary="List the remote units in a relation",
    details="In relation-departed the unit that departs is not among them.",
    formats=ANSWER,
    options=(Flag(names=("app",), summary="print the remote application"),),
    options_of=relation_flag,
    work=_list,
)
MODEL = Tool(
    name="relation-model-get",
    summary="Print the model of the other side of a relation",
    formats=ANSWER,
    options_of=relation_flag,
    work=_model,
)
TOOLS = (IDS, LIST, MODEL)
