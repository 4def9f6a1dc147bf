"""Reading secrets: secret-get, secret-info-get and secret-ids."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from undercroft_hookspecs.errors import NotFoundError
from undercroft_hookspecs.hook_tools import Flag, SecretsContext, ToolUsageError
from undercroft_uniter.jujuc.formats import Ordered
from undercroft_uniter.jujuc.quoting import quoted
from undercroft_uniter.jujuc.tools.secretnames import bare, told
from undercroft_uniter.jujuc.tools.tool import ANSWER, Tool

if TYPE_CHECKING:
    from undercroft_hookspecs.hook_facades import OwnedSecret
    from undercroft_hookspecs.hook_tools import HookContext, ToolCall

_BASE64 = "base64"


async def _get(context: HookContext, call: ToolCall) -> dict[str, str] | str:
    secret = call.arguments[0] if call.arguments else ""
    label = call.values.get("label", "")
    refresh, peek = "refresh" in call.switches, "peek" in call.switches
    if not secret and not label:
        raise ToolUsageError("require either a secret URI or label")
    if refresh and peek:
        raise ToolUsageError("specify one of --refresh and --peek, not both")
    name = secret or label
    new_label = label if secret else ""
    secrets = context.get(SecretsContext)
    with told(name):
        found = await secrets.read_secret(name, label=new_label, refresh=refresh, peek=peek)
    return _value(found.content, call.arguments[1]) if len(call.arguments) > 1 else dict(found.content)


def _value(content: object, wanted: str) -> str:
    key, _, form = wanted.partition("#")
    if form not in ("", _BASE64):
        raise ToolUsageError(f"{quoted(wanted)} is no key: after # comes {_BASE64}")
    if not isinstance(content, dict) or key not in content:
        raise NotFoundError(key, f"secret key {quoted(key)} not found")
    value = str(content[key])
    return base64.b64encode(value.encode()).decode() if form else value


async def _info(context: HookContext, call: ToolCall) -> dict[str, Ordered]:
    secret = call.arguments[0] if call.arguments else ""
    label = call.values.get("label", "")
    if not secret and not label:
        raise ToolUsageError("require either a secret URI or label")
    if secret and label:
        raise ToolUsageError("specify either a secret URI or label but not both")
    name = bare(secret) or label
    owned = await context.get(SecretsContext).owned_secrets()
    for number, one in owned.items():
        if number == name if secret else one.secret.label == label:
            return {number: _document(one, context.unit)}
    raise NotFoundError(name, f"secret {quoted(name)} not found")


def _document(owned: OwnedSecret, unit: str) -> Ordered:
    secret = owned.secret
    document = Ordered(
        {
            "revision": secret.latest,
            "label": secret.label,
            "owner": "unit" if secret.owner == unit else "application",
        }
    )
    if secret.description:
        document["description"] = secret.description
    document["rotation"] = secret.rotation
    if secret.latest in secret.expires:
        document["expiry"] = secret.expires[secret.latest]
    if secret.next_rotation is not None:
        document["rotates"] = secret.next_rotation
    return document


async def _ids(context: HookContext, call: ToolCall) -> list[str]:
    del call
    return sorted(await context.get(SecretsContext).owned_secrets())


GET = Tool(
    name="secret-get",
    summary="Print the content of a secret",
    usage="[<ID>] [<key>[#base64]]",
    details=(
        "The unit goes on with the revision that it has read first, until it asks for another. With an ID and a\n"
        "label, that is what the unit calls the secret from now on; with a label alone it is found by that."
    ),
    formats=("yaml", "json"),
    arity=(0, 2),
    options=(
        Flag(names=("label",), value="LABEL", summary="the unit's own name for the secret"),
        Flag(names=("refresh",), summary="print the latest revision, and go on with it"),
        Flag(names=("peek",), summary="print the latest revision this once"),
    ),
    work=_get,
)
INFO = Tool(
    name="secret-info-get",
    summary="Print what is known of a secret of the unit or its application, but for its content",
    usage="[<ID>]",
    details="Only the leader sees those of the application.",
    formats=("yaml", "json"),
    arity=(0, 1),
    options=(Flag(names=("label",), value="LABEL", summary="find the secret by its label"),),
    work=_info,
)
IDS = Tool(
    name="secret-ids",
    summary="List the secrets that the unit may change, by id",
    formats=ANSWER,
    work=_ids,
)
TOOLS = (GET, INFO, IDS)
