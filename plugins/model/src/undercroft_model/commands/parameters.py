"""The parameters of an action: as they are given, and as its schema has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from undercroft_hookspecs.errors import NotValidError
from undercroft_model.charms.document import read
from undercroft_model.commands.frame import read_bytes

# Any: JSON.
Json = Any

_KINDS: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}


def given_parameters(words: Sequence[str], *, file: str | None, as_text: bool) -> dict[str, Json]:
    """What a file and words of the form KEY=VALUE give; words count more, and their values are YAML unless `as_text`.

    Raises:
        NotValidError: a value or the file is no YAML.
    """
    found: dict[str, Json] = {}
    if file is not None:
        content = read(read_bytes(file), file)
        found = {key: value.plain() for key, value in content.mapping().items()}
    for word in words:
        path, equals, text = word.partition("=")
        if not equals or not path or not all(path.split(".")):
            raise click.UsageError(f'argument "{word}" must be of the form key.key.key...=value')
        value: Json = text if as_text else read(text.encode(), path).plain()
        *above, last = path.split(".")
        place = found
        for key in above:
            inner = place.get(key)
            place[key] = inner if isinstance(inner, dict) else {}
            place = place[key]
        place[last] = value
    return found


def fitted(name: str, parameters: Mapping[str, Json], schema: Mapping[str, Json]) -> dict[str, Json]:
    """The parameters with the schema's defaults.

    Types, required names, enumerations and names that are not allowed are checked; what else a schema can say is the
    charm's to check.

    Raises:
        NotValidError: they do not fit.
    """
    return _object(f'action "{name}"', parameters, schema)


def _object(where: str, given: Mapping[str, Json], schema: Mapping[str, Json]) -> dict[str, Json]:
    properties = schema.get("properties") or {}
    found = dict(given)
    for key, inner in properties.items():
        if not isinstance(inner, Mapping):
            continue
        if key not in found and "default" in inner:
            found[key] = inner["default"]
        if key in found:
            found[key] = _value(f"{where}: {key}", found[key], inner)
    missing = [key for key in schema.get("required") or () if key not in found]
    if missing:
        raise NotValidError(f"{where}: missing required parameter {missing[0]!r}", field=missing[0])
    if schema.get("additionalProperties") is False:
        for key in found:
            if key not in properties:
                raise NotValidError(f"{where}: no parameter {key!r} is allowed", field=key)
    return found


def _value(where: str, value: Json, schema: Mapping[str, Json]) -> Json:
    wanted = schema.get("type")
    kinds = [wanted] if isinstance(wanted, str) else list(wanted or ())
    if kinds and not any(_is_a(value, kind) for kind in kinds):
        raise NotValidError(f"{where}: expected {' or '.join(kinds)}, got {value!r}", field=where)
    if "enum" in schema and value not in schema["enum"]:
        raise NotValidError(f"{where}: expected one of {schema['enum']!r}, got {value!r}", field=where)
    return _object(where, value, schema) if isinstance(value, dict) else value


def _is_a(value: Json, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _KINDS.get(kind, (object,)))
