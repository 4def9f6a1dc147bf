"""Read actions.yaml: each action's parameters are a JSON schema (draft 4), less references."""

from __future__ import annotations

from typing import TYPE_CHECKING

from undercroft_hookspecs.charm import ActionSpec
from undercroft_model.charms import names
from undercroft_model.charms.document import optional_boolean, optional_text

if TYPE_CHECKING:
    from undercroft_model.charms.document import Entry

TYPES = ("string", "integer", "number", "boolean", "array", "object", "null")

_OWN = frozenset({"params", "parallel", "execution-group", "description"})


def read_actions(root: Entry, charm: str) -> dict[str, ActionSpec]:
    """The actions of an actions.yaml, or of `actions` in charmcraft.yaml.

    Raises:
        CharmFileError: one of them is not right.
    """
    return {name: _action(name, entry, charm) for name, entry in root.mapping().items()}


def _action(name: str, entry: Entry, charm: str) -> ActionSpec:
    names.check(entry, name, names.ACTION, "an action")
    if names.is_reserved(name, charm):
        raise entry.error("a name that does not begin with 'juju'", repr(name))
    keys = entry.mapping()
    properties = keys["params"].mapping() if "params" in keys else {}
    for schema in properties.values():
        _check(schema)
    beside = {key: value for key, value in keys.items() if key not in _OWN}
    _check_schema(beside)
    description = optional_text(keys, "description")
    parameters: dict[str, object] = {"type": "object", "title": name, "description": description}
    parameters |= {key: value.plain() for key, value in beside.items()}
    parameters["properties"] = {key: value.plain() for key, value in properties.items()}
    return ActionSpec(
        description=description,
        parameters=parameters,
        parallel=optional_boolean(keys, "parallel"),
        execution_group=optional_text(keys, "execution-group"),
    )


def _check(entry: Entry) -> None:
    """Refuse what is no schema; a schema within it is one, too."""
    _check_schema(entry.mapping())


def _check_schema(keys: dict[str, Entry]) -> None:
    for word in ("$ref", "$schema"):
        if word in keys:
            raise keys[word].error(f"a schema without {word}, which Juju has not got either", word)
    if "type" in keys:
        _check_type(keys["type"])
    if "required" in keys and not _is_old_required(keys["required"]):
        keys["required"].texts()
    if "additionalProperties" in keys and not keys["additionalProperties"].is_mapping:
        keys["additionalProperties"].boolean()
    if "enum" in keys and not keys["enum"].items():
        raise keys["enum"].error("a list of at least one value")
    for section in ("properties", "patternProperties", "definitions"):
        for schema in keys[section].mapping().values() if section in keys else ():
            _check(schema)
    items = keys.get("items")
    if items is not None and items.is_mapping:
        _check(items)


def _is_old_required(entry: Entry) -> bool:
    """`required: true` beside a parameter's type is draft 3; Juju accepts it and it means nothing."""
    return not entry.is_list and isinstance(entry.plain(), bool)


def _check_type(entry: Entry) -> None:
    for kind in entry.items() if entry.is_list else (entry,):
        kind.one_of(TYPES)
