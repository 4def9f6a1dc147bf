"""The values of a charm's options: what an operator wrote, in the option's type.

`parse` takes text (`k=v` on a command line), `validate` what came out of YAML, JSON or the store, `settings` a YAML
file of one application's values. None stands for "not set": reading it gives the default.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from undercroft_hookspecs.errors import NotValidError
from undercroft_model.charms.document import MAX_INTEGER, read

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from undercroft_hookspecs.charm import Charm, OptionSpec, Scalar
    from undercroft_model.charms.document import Entry

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_INTEGER = re.compile(r"[-+]?[0-9]{1,20}")
_SECRET = re.compile(r"secret:(?://[0-9a-f-]{36}/)?[0-9a-z]+")
_KINDS = {"string": "text", "int": "a whole number", "float": "a number", "boolean": "true or false"}


class OptionError(NotValidError):
    """A value is not what the option takes, or there is no such option; `field` is its name."""


def parse(charm: Charm, values: Mapping[str, str]) -> dict[str, Scalar]:
    """Values as they are written on a command line, in their options' types.

    Raises:
        OptionError: there is no such option, or the text is no value of its type.
    """
    return {name: _parsed(option(charm, name), name, text) for name, text in values.items()}


def validate(charm: Charm, values: Mapping[str, object]) -> dict[str, Scalar]:
    """Values that have types already, checked: an int will do for a float, and None for any.

    Raises:
        OptionError: there is no such option, or the value is not of its type.
    """
    return {name: _checked(option(charm, name), name, value) for name, value in values.items()}


def settings(charm: Charm, data: bytes, file: str, *, application: str) -> dict[str, Scalar]:
    """The values of an application in a YAML file: under its name, or all of the file where that has no such key.

    Text is taken for what it says, as on a command line. What `undercroft config` prints is read, too: there each
    option is a mapping with the `value` that was set; one that has its default is left out.

    Raises:
        CharmFileError: the file is no such YAML.
        OptionError: there is no such option, or the value is not of its type.
    """
    entries = read(data, file).mapping()
    if application in entries and application not in charm.options:
        entries = entries[application].mapping()
    elif "settings" in entries and "settings" not in charm.options:
        entries = _shown(entries["settings"])
    return {name: _from_file(option(charm, name), name, entry) for name, entry in entries.items()}


def defaults(charm: Charm) -> dict[str, Scalar]:
    """The default of every option; None where there is none."""
    return {name: spec.default for name, spec in charm.options.items()}


def effective(charm: Charm, values: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """What a charm sees: what was set, else the default. What it has no option for (any more) is left out."""
    known = {name: value for name, value in values.items() if name in charm.options and value is not None}
    return defaults(charm) | known


def changed(
    charm: Charm, values: Mapping[str, Scalar], *, to: Mapping[str, Scalar], reset: Collection[str] = ()
) -> dict[str, Scalar]:
    """What is set once `to` is set and `reset` have their defaults again; nothing happens to the rest.

    Raises:
        OptionError: one of them is no option, or is in both.
    """
    for name in reset:
        option(charm, name)
        if name in to:
            raise OptionError(f"option {name!r} cannot be set and reset at once", field=name)
    kept = {name: value for name, value in values.items() if name not in reset and name not in to}
    return kept | {name: value for name, value in validate(charm, to).items() if value is not None}


def carried_over(old: Mapping[str, Scalar], *, to: Charm) -> dict[str, Scalar]:
    """What of an application's values its new charm can take; the others are forgotten, as Juju does on a refresh."""
    kept: dict[str, Scalar] = {}
    for name, value in old.items():
        if name in to.options:
            try:
                kept[name] = _checked(to.options[name], name, value)
            except OptionError:
                continue
    return kept


def option(charm: Charm, name: str) -> OptionSpec:
    """The option of that name.

    Raises:
        OptionError: there is none.
    """
    try:
        return charm.options[name]
    except KeyError:
        raise OptionError(f'unknown option "{name}" of charm {charm.name}', field=name) from None


def _parsed(spec: OptionSpec, name: str, text: str) -> Scalar:
    if spec.type == "boolean":
        if text not in _TRUE | _FALSE:
            raise _wrong(spec, name, text)
        return text in _TRUE
    if spec.type == "int":
        if _INTEGER.fullmatch(text) is None:
            raise _wrong(spec, name, text)
        return _checked(spec, name, int(text))
    if spec.type == "float":
        try:
            return _checked(spec, name, float(text))
        except ValueError as error:
            raise _wrong(spec, name, text) from error
    return _checked(spec, name, text)


def _checked(spec: OptionSpec, name: str, value: object) -> Scalar:
    if value is None:
        return None
    if spec.type == "boolean" and isinstance(value, bool):
        return value
    if spec.type == "int" and isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MAX_INTEGER:
        return value
    if spec.type == "float" and isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    if spec.type == "string" and isinstance(value, str):
        return value
    if spec.type == "secret" and isinstance(value, str) and (not value or _SECRET.fullmatch(value)):
        return value
    raise _wrong(spec, name, value)


def _from_file(spec: OptionSpec, name: str, entry: Entry) -> Scalar:
    if entry.is_null:
        return None
    if spec.type in {"string", "secret"}:
        return _checked(spec, name, entry.text())
    value = entry.scalar()
    return _parsed(spec, name, value) if isinstance(value, str) else _checked(spec, name, value)


def _shown(entry: Entry) -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    for name, value in entry.mapping().items():
        keys = value.mapping()
        if "value" in keys and keys.get("source", keys["value"]).scalar() != "default":
            found[name] = keys["value"]
    return found


def _wrong(spec: OptionSpec, name: str, value: object) -> OptionError:
    expected = _KINDS.get(spec.type, "the id of a secret, secret:...")
    shown = repr(value)
    return OptionError(
        f'option "{name}" expected {expected} ({spec.type}), got {shown if len(shown) <= 80 else shown[:77] + "..."}',
        field=name,
    )
