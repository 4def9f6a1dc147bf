"""What a hook's script is called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from undercroft_hookspecs import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from undercroft_hookspecs.hook_tools import RelationContext
    from undercroft_uniter.hook.info import HookInfo


def script_of(hook: HookInfo, relations: Mapping[int, RelationContext]) -> str:
    """The name of the script: for a relation's hook it begins with the endpoint, for a storage's with the store.

    Raises:
        NotFoundError: the hook's relation is not among those given.
    """
    if hook.kind.is_relation:
        relation = relations.get(-1 if hook.relation is None else hook.relation)
        if relation is None:
            raise NotFoundError(str(hook.relation), f"the unit is in no relation {hook.relation} (any more)")
        return f"{relation.endpoint}-{hook.kind}"
    if hook.kind.is_storage:
        return f"{hook.storage.rpartition('/')[0]}-{hook.kind}"
    return str(hook.kind)
