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
        raise TypeError(f"expected {problem}")


def _settings(answer: object) -> str:
    if not (isinstance(answer, type) and issubclass(answer, msgspec.Struct)):
        return f"a msgspec.Struct class, not {_named(answer)}"
    rules = answer.__struct_config__
    if not rules.frozen or not rules.forbid_unknown_fields:
        return f"that {answer.__name__} has frozen=True and forbid_unknown_fields=True"
    for field in msgspec.structs.fields(answer):
        if field.required:
            return f"a default for the field {field.name!r} of {answer.__name__}"
    return ""


def _mapping_of(kind: type) -> Callable[[object], str]:
    def check(answer: object) -> str:
        if not isinstance(answer, Mapping):
            return f"a mapping of names to {kind.__name__}, not {_named(answer)}"
        for name, value in answer.items():
            if not isinstance(name, str) or not name:
                return f"names that are strings, and one is {name!r}"
            if not isinstance(value, kind):
                return f"a {kind.__name__} under {name!r}, not {_named(value)}"
        return ""

    return check


def _sentences(answer: object) -> str:
    if isinstance(answer, Sequence) and not isinstance(answer, str) and all(isinstance(each, str) for each in answer):
        return ""
    return f"a sequence of sentences, not {_named(answer)}"


def _named(answer: object) -> str:
    return f"the class {answer.__name__}" if isinstance(answer, type) else f"an object of type {type(answer).__name__}"


_CHECKS: Mapping[str, Callable[[object], str]] = {
    "undercroft_config": _settings,
    "undercroft_manifolds": _mapping_of(Manifold),
    "undercroft_unit_manifolds": _mapping_of(Manifold),
    "undercroft_storage_providers": _mapping_of(StorageProvider),
    "undercroft_metric_senders": _mapping_of(object),
    "undercroft_hook_tools": _mapping_of(object),
    "undercroft_check": _sentences,
}
