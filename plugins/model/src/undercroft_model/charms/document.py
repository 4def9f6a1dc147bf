"""Read YAML that nobody vouches for, and ask it for what is expected at each key.

Charms are written for Juju, whose files are YAML 1.1: `no` is a boolean there, `1.10` a number, `12:30` a number to
base 60. An `Entry` keeps what was written beside what YAML makes of it, so that where text is expected `no` is "no".

What is refused: duplicate keys, keys that are not text, tags beyond YAML's own scalars, several documents in a file, an
anchor that contains itself, and whatever is too large, too deep, or would become too large once its aliases are spread
out ("billion laughs"): that is counted before anything is spread out.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import yaml

from undercroft_model.charms.errors import CharmFileError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

L = TypeVar("L", bound=str)

MAX_BYTES = 4 * 1024 * 1024
MAX_ENTRIES = 100_000
MAX_DEPTH = 50
MAX_INTEGER = 2**63 - 1
MAX_DIGITS = 70

_TAG = "tag:yaml.org,2002:"
_TAGS = frozenset({"str", "int", "float", "bool", "null", "timestamp", "value", "merge", "map", "seq"})
_TRUE = frozenset({"yes", "true", "on"})
_FALSE = frozenset({"no", "false", "off"})
_INTEGER = re.compile(r"[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)")
_NUMBER = re.compile(r"[-+]?(?:\.[0-9][0-9_]*|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Entry:
    """What stands at one place of a file. Each method says what is expected there, or raises CharmFileError."""

    file: str
    key: str
    node: yaml.Node | None

    @property
    def is_null(self) -> bool:
        """Nothing stands there, or `null`."""
        return self.node is None or _is(self.node, "null")

    @property
    def is_mapping(self) -> bool:
        """A mapping stands there."""
        return isinstance(self.node, yaml.MappingNode)

    @property
    def is_list(self) -> bool:
        """A list stands there."""
        return isinstance(self.node, yaml.SequenceNode)

    def mapping(self) -> dict[str, Entry]:
        """A mapping; nothing at all is an empty one."""
        if self.is_null:
            return {}
        if not isinstance(self.node, yaml.MappingNode):
            raise self.error("a mapping")
        return {key: Entry(self.file, f"{self.key}.{key}" if self.key else key, value) for key, value in _pairs(self)}

    def items(self) -> tuple[Entry, ...]:
        """A list; nothing at all is an empty one."""
        if self.is_null:
            return ()
        if not isinstance(self.node, yaml.SequenceNode):
            raise self.error("a list")
        return tuple(Entry(self.file, f"{self.key}[{i}]", value) for i, value in enumerate(self.node.value))

    def text(self) -> str:
        """Text: any scalar but null, as it was written."""
        if not isinstance(self.node, yaml.ScalarNode) or self.is_null:
            raise self.error("text")
        return str(self.node.value)

    def texts(self) -> tuple[str, ...]:
        """A list of texts."""
        return tuple(item.text() for item in self.items())

    def boolean(self) -> bool:
        """A boolean."""
        if self.node is None or not _is(self.node, "bool"):
            raise self.error("true or false")
        return self.node.value.lower() in _TRUE

    def integer(self) -> int:
        """A whole number."""
        number = self.scalar()
        if isinstance(number, bool) or not isinstance(number, int):
            raise self.error("a whole number")
        return number

    def one_of(self, words: Sequence[L]) -> L:
        """One of a few words."""
        text = self.text()
        for word in words:
            if text == word:
                return word
        raise self.error(" or ".join(repr(word) for word in words))

    def scalar(self) -> str | int | float | bool | None:
        """A scalar as YAML 1.1 has it, but for dates and numbers to base 60, which stay text, as in Juju."""
        if self.is_null:
            return None
        if not isinstance(self.node, yaml.ScalarNode):
            raise self.error("a single value")
        return _scalar(self, self.node)

    def plain(self) -> object:
        """All that stands there, as JSON could have it."""
        if isinstance(self.node, yaml.MappingNode):
            return {key: value.plain() for key, value in self.mapping().items()}
        if isinstance(self.node, yaml.SequenceNode):
            return [item.plain() for item in self.items()]
        return self.scalar()

    def error(self, expected: str, found: str = "") -> CharmFileError:
        """What to raise where something else stands than is expected."""
        line = None if self.node is None else self.node.start_mark.line + 1
        return CharmFileError(self.file, self.key, expected=expected, found=found or describe(self.node), line=line)


def read(data: bytes, file: str) -> Entry:
    """The content of a YAML file; `file` is its name in messages. An empty file is a null.

    Raises:
        CharmFileError: it is no YAML, or not of the kind that is read (see above).
    """
    if len(data) > MAX_BYTES:
        raise CharmFileError(file, expected=f"at most {MAX_BYTES} bytes", found=f"{len(data)}")
    try:
        text = data.decode("utf-8-sig")
        _check_nesting(text, file)
        node = yaml.compose(text, Loader=yaml.CSafeLoader)
    except UnicodeDecodeError as error:
        raise CharmFileError(file, expected="UTF-8 text", found=f"other bytes at offset {error.start}") from error
    except yaml.YAMLError as error:
        raise _syntax(error, file) from error
    entry = Entry(file, "", node)
    if node is not None:
        _Size(entry).check(node)
        _check_keys(entry, set())
    return entry


def describe(node: yaml.Node | None) -> str:
    """What stands somewhere, for a message."""
    if node is None or _is(node, "null"):
        return "nothing"
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    text = str(node.value)
    shown = repr(text if len(text) <= 60 else text[:57] + "...")
    kind = {"bool": "the boolean ", "int": "the number ", "float": "the number "}.get(node.tag.removeprefix(_TAG), "")
    return kind + (shown.strip("'") if kind else shown)


def optional_text(entries: Mapping[str, Entry], key: str, default: str = "") -> str:
    """The text at a key that may be missing or empty."""
    entry = entries.get(key)
    return default if entry is None or entry.is_null else entry.text()


def optional_boolean(entries: Mapping[str, Entry], key: str, *, default: bool = False) -> bool:
    """The boolean at a key that may be missing or empty."""
    entry = entries.get(key)
    return default if entry is None or entry.is_null else entry.boolean()


class _Size:
    """How large a document is with its aliases spread out, counted without spreading them out."""

    def __init__(self, entry: Entry) -> None:
        self._entry = entry
        self._known: dict[int, tuple[int, int, int]] = {}
        self._open: set[int] = set()

    def check(self, node: yaml.Node) -> None:
        """Refuse what is too large, and what contains itself."""
        entries, size, depth = self._measure(node)
        if entries > MAX_ENTRIES or size > MAX_BYTES or depth > MAX_DEPTH:
            expected = f"at most {MAX_ENTRIES} values and {MAX_BYTES} bytes, {MAX_DEPTH} levels deep"
            raise self._entry.error(expected, "more than that once its aliases are spread out")

    def _measure(self, node: yaml.Node) -> tuple[int, int, int]:
        if isinstance(node, yaml.ScalarNode):
            return 1, len(node.value), 0
        if (known := self._known.get(id(node))) is not None:
            return known
        if id(node) in self._open:
            raise Entry(self._entry.file, "", node).error("anchors that end", "one that contains itself")
        self._open.add(id(node))
        children = node.value if isinstance(node, yaml.SequenceNode) else [part for pair in node.value for part in pair]
        measured = [self._measure(child) for child in children]
        self._open.discard(id(node))
        entries, size = 1 + sum(m[0] for m in measured), sum(m[1] for m in measured)
        self._known[id(node)] = entries, size, 1 + max((m[2] for m in measured), default=0)
        return self._known[id(node)]


def _check_nesting(text: str, file: str) -> None:
    """Refuse what is too deep by its events alone: composing recurses, and so would run out of stack."""
    depth = documents = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.DocumentStartEvent):
            documents += 1
        if depth > MAX_DEPTH:
            raise CharmFileError(file, expected=f"at most {MAX_DEPTH} levels", found="more", line=_line(event))
        if documents > 1:
            raise CharmFileError(file, expected="one YAML document", found="another one", line=_line(event))


def _line(event: yaml.Event) -> int | None:
    return None if event.start_mark is None else event.start_mark.line + 1


def _check_keys(entry: Entry, seen: set[int]) -> None:
    """Refuse bad keys and tags also where nobody looks; each node is looked at once, however many aliases it has."""
    if entry.node is not None and entry.node.tag.removeprefix(_TAG) not in _TAGS:
        raise entry.error("text, a number, true, false, a list or a mapping", f"a value with the tag {entry.node.tag}")
    if not (entry.is_mapping or entry.is_list) or id(entry.node) in seen:
        return
    seen.add(id(entry.node))
    children = entry.mapping().values() if entry.is_mapping else entry.items()
    for child in children:
        _check_keys(child, seen)


def _syntax(error: yaml.YAMLError, file: str) -> CharmFileError:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        line = error.problem_mark.line + 1
        return CharmFileError(file, expected="YAML", found=str(error.problem), line=line)
    return CharmFileError(file, expected="YAML", found=" ".join(str(error).split()))


def _is(node: yaml.Node, kind: str) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == _TAG + kind


def _pairs(entry: Entry) -> list[tuple[str, yaml.Node]]:
    """The keys and values of a mapping, with those of `<<` behind its own, which win."""
    assert isinstance(entry.node, yaml.MappingNode)
    own: dict[str, yaml.Node] = {}
    merged: dict[str, yaml.Node] = {}
    for key, value in entry.node.value:
        if _is(key, "merge"):
            for name, inherited in _merged(Entry(entry.file, entry.key, value)):
                merged.setdefault(name, inherited)
            continue
        name = _key(Entry(entry.file, entry.key, key))
        if name in own:
            raise Entry(entry.file, entry.key, key).error("each key once", f"{name!r} again")
        own[name] = value
    return [*own.items(), *((name, value) for name, value in merged.items() if name not in own)]


def _merged(entry: Entry) -> list[tuple[str, yaml.Node]]:
    if isinstance(entry.node, yaml.SequenceNode):
        return [pair for item in entry.items() for pair in _pairs_of_mapping(item)]
    return _pairs_of_mapping(entry)


def _pairs_of_mapping(entry: Entry) -> list[tuple[str, yaml.Node]]:
    if not isinstance(entry.node, yaml.MappingNode):
        raise entry.error("a mapping to merge")
    return _pairs(entry)


def _key(entry: Entry) -> str:
    """The text of a key. `on`, `yes` and `no` are names that people give, so they are text here."""
    if not isinstance(entry.node, yaml.ScalarNode) or not (_is(entry.node, "str") or _is(entry.node, "bool")):
        raise entry.error("keys that are text", f"{describe(entry.node)} as a key")
    return str(entry.node.value)


def _scalar(entry: Entry, node: yaml.ScalarNode) -> str | int | float | bool:
    kind, text = node.tag.removeprefix(_TAG), str(node.value)
    if kind == "bool" and text.lower() in _TRUE | _FALSE:
        return text.lower() in _TRUE
    if kind == "int" and _INTEGER.fullmatch(text):
        return _whole(entry, text.replace("_", ""))
    if kind == "float":
        return _real(entry, text)
    return text


def _whole(entry: Entry, text: str) -> int:
    sign, digits = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    is_octal = digits.startswith("0") and digits[1:].isdigit()
    number = sign * int(digits, 8 if is_octal else 0) if len(digits) <= MAX_DIGITS else MAX_INTEGER + 1
    if abs(number) > MAX_INTEGER:
        raise entry.error("a whole number of 64 bits")
    return number


def _real(entry: Entry, text: str) -> float | str:
    if _NUMBER.fullmatch(text) is None:
        if text.lower().lstrip("-+") in {".inf", ".nan"}:
            raise entry.error("a finite number", text)
        return text
    number = float(text.replace("_", ""))
    if not math.isfinite(number):
        raise entry.error("a finite number", text)
    return number
