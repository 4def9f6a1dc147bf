"""The parameters of an action, checked against its schema and completed with the schema's defaults.

To be called in a thread: the library takes a while to be imported, and a schema may be large.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from undercroft_uniter.errors import ActionNotValid

# Any: JSON.
Json = Any


def fitted(name: str, parameters: Mapping[str, object], schema: Mapping[str, object]) -> dict[str, object]:
    """The parameters with defaults.

    Raises:
        ActionNotValid: they do not fit, or the charm's schema is none.
    """
    # Late: most units never run an action with parameters.
    from jsonschema import Draft4Validator, SchemaError  # noqa: PLC0415
    from jsonschema.exceptions import best_match  # noqa: PLC0415

    usable = _usable(schema)
    completed = _with_defaults(parameters, usable)
    try:
        Draft4Validator.check_schema(usable)
        error = best_match(Draft4Validator(usable).iter_errors(completed))
    except SchemaError as broken:
        raise ActionNotValid(f'the schema of action "{name}" is not valid: {broken.message}') from broken
    if error is not None:
        where = ".".join(str(step) for step in error.absolute_path)
        raise ActionNotValid(f'the parameters of action "{name}" are not valid: {where or "(root)"}: {error.message}')
    return completed


def _usable(schema: Mapping[str, Json]) -> dict[str, Json]:
    """The schema without the `required: true` of draft 3, which Juju lets pass, and which means nothing."""
    found: dict[str, Json] = {}
    for key, value in schema.items():
        if key == "required" and not isinstance(value, list | tuple):
            continue
        if key in ("properties", "patternProperties", "definitions") and isinstance(value, Mapping):
            found[key] = {
                name: _usable(inner) if isinstance(inner, Mapping) else inner for name, inner in value.items()
            }
        elif isinstance(value, Mapping) and key != "default":
            found[key] = _usable(value)
        else:
            found[key] = list(value) if isinstance(value, tuple) else value
    return {key: value for key, value in found.items() if (key, value) != ("required", [])}


def _with_defaults(given: Mapping[str, Json], schema: Mapping[str, Json]) -> dict[str, Json]:
    found = dict(given)
    for key, inner in (schema.get("properties") or {}).items():
        if not isinstance(inner, Mapping):
            continue
        if key not in found and "default" in inner:
            found[key] = copy.deepcopy(inner["default"])
        value = found.get(key, {})
        if isinstance(value, Mapping) and inner.get("properties"):
            nested = _with_defaults(value, inner)
            if nested or key in found:
                found[key] = nested
    return found
