"""Read config.yaml."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from undercroft_hookspecs.charm import OptionSpec
from undercroft_model.charms import names
from undercroft_model.charms.document import Entry, optional_text

if TYPE_CHECKING:
    from undercroft_hookspecs.charm import Scalar

Kind = Literal["string", "int", "float", "boolean", "secret"]
KINDS: tuple[Kind, ...] = ("string", "int", "float", "boolean", "secret")


def read_options(root: Entry) -> dict[str, OptionSpec]:
    """The options of a config.yaml, or of `config` in charmcraft.yaml.

    Raises:
        CharmFileError: there is no `options`, or one of them is not right.
    """
    keys = root.mapping()
    if "options" not in keys:
        key = f"{root.key}.options" if root.key else "options"
        raise Entry(root.file, key, None).error("a mapping of options, {} if there are none")
    return {name: _option(name, entry) for name, entry in keys["options"].mapping().items()}


def _option(name: str, entry: Entry) -> OptionSpec:
    names.check(entry, name, names.OPTION, "an option")
    keys = entry.mapping()
    kind: Kind = keys["type"].one_of(KINDS) if "type" in keys and not keys["type"].is_null else "string"
    default = _default(keys["default"], kind) if "default" in keys else None
    return OptionSpec(type=kind, description=optional_text(keys, "description"), default=default)


def _default(entry: Entry, kind: Kind) -> Scalar:
    """A default of the option's type: text for a string, whatever YAML would make of it."""
    if entry.is_null:
        return None
    if kind == "boolean":
        return entry.boolean()
    if kind == "int":
        return entry.integer()
    if kind == "float":
        number = entry.scalar()
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise entry.error("a number")
        return float(number)
    text = entry.text()
    if kind == "secret" and text and not text.startswith("secret:"):
        raise entry.error("the id of a secret, secret:...")
    return text
