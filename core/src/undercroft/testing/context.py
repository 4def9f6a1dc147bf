"""What a start function sees, without an engine."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from undercroft.dependency.errors import OutputError
from undercroft_hookspecs.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from undercroft_hookspecs.manifold import Abort

T = TypeVar("T")


class StubContext:
    """A context made of a mapping.

    An exception as a value is raised, whatever was asked. A list offers several candidates: the first that is of the
    kind asked for is given. A kind that cannot be checked at run time takes the first.
    """

    def __init__(self, resources: Mapping[str, object], *, name: str = "stub", abort: Abort | None = None) -> None:
        self.name = name
        self.abort: Abort = asyncio.Event() if abort is None else abort
        self._resources = dict(resources)

    @overload
    def get(self, name: str) -> None: ...
    @overload
    def get(self, name: str, kind: type[T]) -> T: ...
    def get(self, name: str, kind: type[Any] | None = None) -> object:  # Any: the overloads say what comes out.
        """Give what the mapping has under `name`, as `kind`; without a kind, say by None that it is there.

        Raises:
            NotFoundError: the mapping has no such name: a test forgot it, which is not the same as a missing input.
            OutputError: nothing there is of that kind.
        """
        if name not in self._resources:
            raise NotFoundError(name, f"this context has no {name!r}; it has {sorted(self._resources)}")
        value = self._resources[name]
        if isinstance(value, BaseException):
            raise value
        if kind is None:
            return None
        candidates = cast("list[object]", value) if isinstance(value, list) else [value]
        for candidate in candidates:
            if _is_instance(candidate, kind):
                return candidate
        raise OutputError(f"{name!r} offers nothing that is a {kind.__name__}")


def _is_instance(value: object, kind: type) -> bool:
    try:
        return isinstance(value, kind)
    except TypeError:
        return True
