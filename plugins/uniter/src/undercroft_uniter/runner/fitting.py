"""Checks the parameters of an action against its schema, and completes them with the schema's defaults.

A program of its own, for a schema is a charm's: a pattern in it may take for ever to match, a reference may lead round
in circles or double at each step, and none of that can be interrupted where it runs. It reads a `Question` from stdin,
and writes an `Answer` to stdout; whoever asks ends it when it takes too long.
"""

from __future__ import annotations

import copy
import re
import resource
import sys
from collections.abc import Mapping
from typing import Any

import msgspec

from undercroft_uniter.errors import ActionNotValid

# Any: JSON.
Json = Any

MOST_MEMORY_BYTES = 1024 * 1024 * 1024


class Question(msgspec.Struct, frozen=True):
    """What is to be checked."""

    name: str
    parameters: dict[str, Json]
    schema: dict[str, Json]


class Answer(msgspec.Struct, frozen=True):
    """The parameters with defaults; or why they do not fit, or the charm's schema is none."""

    parameters: dict[str, Json] = {}
    refusal: str = ""


def fitted(name: str, parameters: Mapping[str, Json], schema: Mapping[str, Json]) -> dict[str, Json]:
    """The parameters with defaults.

    Raises:
        ActionNotValid: they do not fit, or the charm's schema is none.
    """
    from jsonschema import Draft4Validator, SchemaError  # noqa: PLC0415 - Not by whoever only asks.
    from jsonschema.exceptions import best_match  # noqa: PLC0415
    from referencing import Registry  # noqa: PLC0415
    from referencing.exceptions import Unresolvable  # noqa: PLC0415

    usable = _usable(schema)
    completed = _with_defaults(parameters, usable)
    try:
        Draft4Validator.check_schema(usable)
        # A registry that is empty fetches nothing: a reference to somewhere else is not followed.
        error = best_match(Draft4Validator(usable, registry=Registry()).iter_errors(completed))
    except (SchemaError, Unresolvable, re.error, RecursionError, MemoryError) as broken:
        why = broken.message if isinstance(broken, SchemaError) else str(broken) or type(broken).__name__
        raise ActionNotValid(f'the schema of action "{name}" is not valid: {why}') from broken
    if error is not None:
        where = ".".join(str(step) for step in error.absolute_path)
        raise ActionNotValid(f'the parameters of action "{name}" are not valid: {where or "(root)"}: {error.message}')
    return completed


def main() -> None:
    """Answer the question on stdin."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY_BYTES, MOST_MEMORY_BYTES))
    question = msgspec.json.decode(sys.stdin.buffer.read(), type=Question)
    try:
        answer = Answer(parameters=fitted(question.name, question.parameters, question.schema))
    except ActionNotValid as error:
        answer = Answer(refusal=str(error))
    sys.stdout.buffer.write(msgspec.json.encode(answer))


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


if __name__ == "__main__":
    main()
