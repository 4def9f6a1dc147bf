"""Writing secrets: secret-add, secret-set, secret-grant, secret-revoke and secret-remove.

What a hook does is kept when it has succeeded.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Literal, get_args

from undercroft_hookspecs.hook_facades import Rotation
from undercroft_hookspecs.hook_tools import Flag, RelationsContext, SecretsContext, ToolUsageError
from undercroft_uniter.jujuc.arguments import invalid_value
from undercroft_uniter.jujuc.quoting import quoted
from undercroft_uniter.jujuc.tools.expiry import expires_at
from undercroft_uniter.jujuc.tools.relationflag import NAMES, relation_flag, relation_in
from undercroft_uniter.jujuc.tools.secretcontent import read_content
from undercroft_uniter.jujuc.tools.secretnames import secret_of, told
from undercroft_uniter.jujuc.tools.tool import Tool, part_or_none

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from undercroft_hookspecs.hook_tools import HookContext, ToolCall
    from undercroft_hookspecs.worker import Clock

_OWNERS: Mapping[str, Literal["unit", "application"]] = {"unit": "unit", "application": "application"}
_ROTATIONS: Mapping[str, Rotation] = {name: name for name in get_args(Rotation)}


async def _add(context: HookContext, call: ToolCall, *, clock: Clock) -> str:
    expires, rotation = _expiry(call, clock), _rotation(call)
    owner = _owner(call)
    if not call.arguments and not call.values.get("file"):
        raise ToolUsageError("missing secret value or filename")
    content = await read_content(call, call.arguments)
    if not content:
        raise ToolUsageError("empty secret value not valid")
    with told(""):
        number = await context.get(SecretsContext).add_secret(
            content,
            owner=owner,
            label=call.values.get("label", ""),
            description=call.values.get("description", ""),
            rotation=rotation or "never",
            expires=expires,
        )
    return f"secret:{number}\n"


async def _set(context: HookContext, call: ToolCall, *, clock: Clock) -> None:
    name = secret_of(call)
    expires, rotation = _expiry(call, clock), _rotation(call)
    _owner(call)
    content = await read_content(call, call.arguments[1:])
    secrets = context.get(SecretsContext)
    with told(name):
        await secrets.update_secret(
            name,
            content=content or None,
            label=call.values.get("label") or None,
            description=call.values.get("description") or None,
            rotation=rotation,
            expires=expires,
        )


def _expiry(call: ToolCall, clock: Clock) -> datetime | None:
    text = call.values.get("expire", "")
    return expires_at(text, clock=clock) if text else None


def _rotation(call: ToolCall) -> Rotation | None:
    text = call.values.get("rotate", "")
    if text and text not in _ROTATIONS:
        raise ToolUsageError(f"rotate policy {quoted(text)} not valid")
    return _ROTATIONS.get(text)


def _owner(call: ToolCall) -> Literal["unit", "application"]:
    text = call.values["owner"]
    if text not in _OWNERS:
        raise ToolUsageError(f"secret owner {quoted(text)} not valid")
    return _OWNERS[text]


async def _grant(context: HookContext, call: ToolCall) -> None:
    name = secret_of(call)
    relation = relation_in(context, call)
    secrets = context.get(SecretsContext)
    with told(name):
        await secrets.grant_secret(name, relation=relation.id, unit=call.values.get("unit", ""))


async def _revoke(context: HookContext, call: ToolCall) -> None:
    name = secret_of(call)
    application, unit = call.values.get("app", ""), call.values.get("unit", "")
    relation = _relation_if_any(context, call, is_needed=not (application or unit))
    secrets = context.get(SecretsContext)
    with told(name):
        await secrets.revoke_secret(name, relation=relation, application=application, unit=unit)


def _relation_if_any(context: HookContext, call: ToolCall, *, is_needed: bool) -> int | None:
    if call.values.get("r"):
        return relation_in(context, call).id
    if not is_needed:
        return None
    relations = part_or_none(context, RelationsContext)
    current = relations.current if relations is not None else None
    if current is None:
        raise ToolUsageError("missing relation, application or unit")
    return current.id


async def _remove(context: HookContext, call: ToolCall) -> None:
    name = secret_of(call)
    text = call.values.get("revision", "")
    if text and not re.fullmatch(r"[1-9][0-9]{0,17}", text, re.ASCII):
        raise invalid_value(text, "revision", "expected a number above 0")
    secrets = context.get(SecretsContext)
    with told(name):
        await secrets.remove_secret(name, revision=int(text) if text else None)


_CONTENT = (
    "The value of KEY#base64 is base64, that of KEY#file is read from a file. With --file all is read from a YAML (or\n"
    "JSON) mapping of texts; arguments win over it. It is kept when the hook has succeeded."
)
_OPTIONS = (
    Flag(names=("label",), value="LABEL", summary="the owner's own name for the secret"),
    Flag(names=("description",), value="TEXT", summary="what it is"),
    Flag(names=("expire",), value="TIME", summary="when it expires: a time, or how long from now, as 24h"),
    Flag(names=("rotate",), value="POLICY", summary=f"how often it is to be changed: {', '.join(_ROTATIONS)}"),
    Flag(names=("owner",), value="OWNER", default="application", summary="application or unit"),
    Flag(names=("file",), value="FILE", summary="a file that has the content, - for what is piped in"),
)
_UNIT = Flag(names=("unit",), value="UNIT", summary="one unit of it alone")
_ID = "<ID>"


def tools(*, clock: Clock) -> Sequence[Tool]:
    """The tools; `clock` is what times from now are counted by."""
    pairs = "<key>[#base64|#file]=<value>"
    return (
        Tool(
            name="secret-add",
            summary="Make a secret, and print its URI",
            usage=f"[{pairs} ...]",
            details=f"Only the leader may make one of the application.\n{_CONTENT}",
            arity=(0, None),
            options=_OPTIONS,
            work=partial(_add, clock=clock),
        ),
        Tool(
            name="secret-set",
            summary="Change a secret; content that is new makes a revision",
            usage=f"{_ID} [{pairs} ...]",
            details=f"What is not given stays as it is.\n{_CONTENT}",
            arity=(1, None),
            missing="missing secret URI",
            options=_OPTIONS,
            work=partial(_set, clock=clock),
        ),
        GRANT,
        REVOKE,
        REMOVE,
    )


GRANT = Tool(
    name="secret-grant",
    summary="Let the application at the other end of a relation read a secret",
    usage=_ID,
    arity=(1, 1),
    missing="missing secret URI",
    options=(_UNIT,),
    options_of=relation_flag,
    work=_grant,
)
REVOKE = Tool(
    name="secret-revoke",
    summary="Let an application, or one unit of it, read a secret no longer",
    usage=_ID,
    arity=(1, 1),
    missing="missing secret URI",
    options=(
        Flag(names=("application", "app"), value="APPLICATION", summary="which application"),
        _UNIT,
        Flag(names=NAMES, value="RELATION", summary="the application at the other end of this relation"),
    ),
    work=_revoke,
)
REMOVE = Tool(
    name="secret-remove",
    summary="Remove a secret, or one revision of it",
    usage=_ID,
    arity=(1, 1),
    missing="missing secret URI",
    options=(Flag(names=("revision",), value="REVISION", summary="this revision alone"),),
    work=_remove,
)
