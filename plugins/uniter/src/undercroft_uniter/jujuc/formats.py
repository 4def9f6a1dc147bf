"""Answers printed as Juju's hook tools print them: `smart`, `json` and `yaml`.

Maps are sorted by key, as Juju's are, but for an `Ordered`, which stands for what is a record there. Besides maps there
are str, bool, int, float, None, datetime and lists (or tuples) of all of them.
"""

from __future__ import annotations

import functools
import json.encoder
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from operator import itemgetter
from typing import Final

import yaml

from undercroft_uniter.jujuc.yaml_text import is_plain, key_order

FORMATS: Final = ("smart", "yaml", "json")

_STRING = "tag:yaml.org,2002:str"
_MAP = "tag:yaml.org,2002:map"
_LIST = "tag:yaml.org,2002:seq"


class Ordered(dict[str, object]):
    """A map whose keys are printed in their order."""

    __slots__ = ()


def render(value: object, form: str) -> str:
    """The whole output of a tool whose answer is `value`, with the newline that ends it if there is any output."""
    if form == "json":
        return to_json(value) + "\n"
    return _smart(value) if form == "smart" else to_yaml(value)


def to_json(value: object) -> str:
    """Compact, on one line, without a newline; `<`, `>` and `&` escaped, as Juju does."""
    text = _json(value)
    # These stand in strings only, wherever they are in a JSON text.
    if "<" in text or ">" in text or "&" in text:
        text = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    if not text.isascii():
        text = text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return text


def to_yaml(value: object) -> str:
    """A YAML document; nothing for None."""
    if value is None:
        return ""
    text: str = yaml.serialize(_node(value), Dumper=_Dumper, allow_unicode=True)
    return text.removesuffix("...\n").rstrip("\n") + "\n"


def _smart(value: object) -> str:
    match value:
        case str():
            return f"{value}\n" if value else ""
        case None:
            return ""
        case bool():
            return f"{value}\n"
        case list() | tuple() if all(isinstance(item, str) for item in value):
            text = "\n".join(value)
            return f"{text}\n" if text else ""
    return to_yaml(value)


def _json(value: object) -> str:
    match value:
        case str():
            return json.encoder.encode_basestring(value)
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return _json_float(value)
        case datetime():
            return f'"{_time(value)}"'
        case Mapping():
            return "{" + ",".join(f"{_json(key)}:{_json(value)}" for key, value in _json_items(value)) + "}"
        case list() | tuple():
            return "[" + ",".join(map(_json, value)) + "]"
    raise TypeError(f"a hook tool cannot answer with a {type(value).__name__}")


def _json_items(value: Mapping[object, object]) -> list[tuple[str, object]]:
    items = [(str(key), item) for key, item in value.items()]
    return items if isinstance(value, Ordered) else sorted(items, key=itemgetter(0))


def _json_float(value: float) -> str:
    if not math.isfinite(value):
        raise TypeError(f"JSON has no way to say {value}")
    if value.is_integer() and abs(value) < 1e21:
        return "-0" if value == 0 and math.copysign(1, value) < 0 else str(int(value))
    text = repr(value)
    if 1e-6 <= abs(value) < 1e21 and "e" in text:
        return f"{Decimal(text):f}"
    return text.replace("e-0", "e-")


def _time(value: datetime) -> str:
    moment = value.astimezone(UTC)
    fraction = f"{moment:.%f}".rstrip("0").rstrip(".")
    return f"{moment:%Y-%m-%dT%H:%M:%S}{fraction}Z"


def _yaml_float(value: float) -> str:
    if math.isnan(value):
        return ".nan"
    if math.isinf(value):
        return ".inf" if value > 0 else "-.inf"
    digits, _, exponent = _scientific(value).partition("e")
    return f"{digits}e{exponent}" if not -4 <= int(exponent) < 6 else repr(value).removesuffix(".0")


def _scientific(value: float) -> str:
    """The shortest that reads as the same number, with an exponent of two digits at least."""
    mantissa, _, exponent = f"{Decimal(repr(value)).normalize():e}".partition("e")
    return f"{mantissa}e{int(exponent):+03d}"


def _node(value: object) -> yaml.Node:
    match value:
        case str():
            quotes = None if is_plain(value) else '"'
            return yaml.ScalarNode(_STRING, value, style="|" if "\n" in value else quotes)
        case Ordered():
            return yaml.MappingNode(_MAP, [(_node(key), _node(item)) for key, item in value.items()], flow_style=False)
        case Mapping():
            items = sorted(value.items(), key=functools.cmp_to_key(_compared))
            return yaml.MappingNode(_MAP, [(_node(key), _node(item)) for key, item in items], flow_style=False)
        case list() | tuple():
            return yaml.SequenceNode(_LIST, list(map(_node, value)), flow_style=False)
    return yaml.ScalarNode(_STRING, _yaml_scalar(value))


def _compared(one: tuple[object, object], other: tuple[object, object]) -> int:
    return key_order(str(one[0]), str(other[0]))


def _yaml_scalar(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return _yaml_float(value)
        case datetime():
            return _time(value)
    raise TypeError(f"a hook tool cannot answer with a {type(value).__name__}")


class _Dumper(yaml.CSafeDumper):
    """Leaves it to `_node` which strings are quoted: all scalars are handed over as strings."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - as PyYAML declares it.
