"""What is said in a relation: relation-get and relation-set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from undercroft_hookspecs.errors import NotFoundError, NotLeaderError, NotPermittedError, UndercroftError
from undercroft_hookspecs.hook_tools import Flag, RelationsContext, ToolUsageError
from undercroft_uniter.jujuc.quoting import quoted
from undercroft_uniter.jujuc.tools.mapping import read_changes
from undercroft_uniter.jujuc.tools.relationflag import relation_flag, relation_in
from undercroft_uniter.jujuc.tools.tool import ANSWER, DEPRECATED_FORMAT, Tool, warn_of_format

if TYPE_CHECKING:
    from undercroft_hookspecs.hook_tools import HookContext, ToolCall

_ALL = ("", "-")


async def _get(context: HookContext, call: ToolCall) -> Mapping[str, str] | str | None:
    relation = relation_in(context, call)
    key = call.arguments[0] if call.arguments else ""
    given = call.arguments[1] if len(call.arguments) > 1 else ""
    relations = context.get(RelationsContext)
    name = _whom(relations, given, is_application="app" in call.switches)
    try:
        settings = await relations.read(relation.id, name)
    except NotPermittedError:
        raise NotPermittedError("permission denied") from None
    except NotFoundError as error:
        if error.name == name:
            raise
        # The relation is gone, which is no longer for this unit to know.
        raise NotPermittedError("permission denied") from None
    return dict(settings) if key in _ALL else settings.get(key)


def _whom(relations: RelationsContext, given: str, *, is_application: bool) -> str:
    """The unit or application whose settings are asked for."""
    if given and is_application:
        return given.partition("/")[0]
    if given and "/" not in given:
        raise UndercroftError(f"{quoted(given)} is not a valid unit name (for an application, say --app)")
    default = relations.remote_application
    if not is_application:
        default = relations.remote_unit or default
    if not (given or default):
        raise ToolUsageError("no unit or application specified")
    return given or default


async def _set(context: HookContext, call: ToolCall) -> None:
    warn_of_format(call, "relation-set")
    relation = relation_in(context, call)
    changes = await read_changes(call)
    try:
        await context.get(RelationsContext).set(relation.id, changes, application="app" in call.switches)
    except NotPermittedError as error:
        is_follower = isinstance(error, NotLeaderError)
        raise NotPermittedError("cannot write relation settings" if is_follower else "permission denied") from None


_APP = Flag(names=("app",), summary="that of the application as a whole, not of a unit")

GET = Tool(
    name="relation-get",
    summary="Print what a unit or an application has said in a relation",
    usage="[<key>|-] [<unit>|<application>]",
    details=(
        "Without a key, or with -, prints all that it has said. The default is the remote unit that the hook is run\n"
        "for, else the remote application. A unit reads what it has said itself with what this hook has set;\n"
        "only the leader may read what its own application has said, except to peers."
    ),
    formats=ANSWER,
    arity=(0, 2),
    options=(_APP,),
    options_of=relation_flag,
    work=_get,
)
SET = Tool(
    name="relation-set",
    summary="Say something in a relation",
    usage="<key>=<value> [<key>=<value> ...]",
    details=(
        "An empty value deletes the key. The settings are written when the hook has succeeded. With --file they are\n"
        "read from a YAML (or JSON) mapping of texts, or from what is piped in if FILE is -; arguments win over it."
    ),
    arity=(0, None),
    options=(
        Flag(names=("app",), summary="say it as the application, which only the leader may"),
        Flag(names=("file",), value="FILE", summary="a file that has the settings, - for what is piped in"),
        DEPRECATED_FORMAT,
    ),
    options_of=relation_flag,
    work=_set,
)
TOOLS = (GET, SET)
