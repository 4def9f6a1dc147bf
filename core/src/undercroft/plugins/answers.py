"""What each hook may answer, checked where the answer arrives: a wrong one is its plugin's fault, not its reader's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from undercroft_hookspecs.manifold import Manifold
from undercroft_hookspecs.storage import StorageProvider

if TYPE_CHECKING:
    from collections.abc import Callable


def check_answer(hook: str, answer: object) -> None:
    """Refuse an answer that is not of the hook's kind.

    Raises:
        TypeError: it is not; the message says what was expected.
    """
    problem = _CHECKS[hook](answer) if hook in _CHECKS else ""
    if problem:
        close = getattr(answer, "close", None)
        if callable(close):
            close()  # A coroutine that nobody awaits would say so at some later moment.
        raise TypeError(f"{hook} answered {_named(answer)}; {problem}")


def check_settings(kind: type[msgspec.Struct]) -> None:
    """Refuse a settings struct that breaks the rules of `undercroft_config`.

    Raises:
        TypeError: it is not frozen, accepts unknown keys, or has a field without a default.
    """
    rules = kind.__struct_config__
    if not rules.frozen or not rules.forbid_unknown_fields:
        raise TypeError(f"the struct {kind.__name__} must have frozen=True and forbid_unknown_fields=True")
    for field in msgspec.structs.fields(kind):
        if field.required:
            raise TypeError(f"the field {field.name!r} of the struct {kind.__name__} must have a default")


def _named(answer: object) -> str:
    return f"the class {answer.__name__}" if isinstance(answer, type) else f"an object of type {type(answer).__name__}"


def _mapping_of(kind: type) -> Callable[[object], str]:
    def check(answer: object) -> str:
        if not isinstance(answer, Mapping):
            return f"expected a mapping of names to {kind.__name__}"
        for name, value in answer.items():
            if not isinstance(name, str) or not name:
                return f"expected names that are strings, and one is {name!r}"
            if not isinstance(value, kind):
                return f"expected a {kind.__name__} under {name!r}, and there is {_named(value)}"
        return ""

    return check


def _struct(answer: object) -> str:
    return "" if isinstance(answer, type) and issubclass(answer, msgspec.Struct) else "expected a msgspec.Struct class"


def _sentences(answer: object) -> str:
    fine = isinstance(answer, Sequence) and not isinstance(answer, str) and all(isinstance(each, str) for each in answer)
    return "" if fine else "expected a sequence of sentences"


_CHECKS: Mapping[str, Callable[[object], str]] = {
    "undercroft_config": _struct,
    "undercroft_manifolds": _mapping_of(Manifold),
    "undercroft_unit_manifolds": _mapping_of(Manifold),
    "undercroft_storage_providers": _mapping_of(StorageProvider),
    "undercroft_metric_senders": _mapping_of(object),
    "undercroft_hook_tools": _mapping_of(object),
    "undercroft_check": _sentences,
}
