"""What many manifolds have in common, put around each of them: run only if so, only there, and with this filter."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from undercroft.dependency.errors import Missing
from undercroft.fortress import Guest, occupy
from undercroft.gate import Flag
from undercroft.worker.validation import require_callable, require_name
from undercroft_hookspecs.errors import NotValidError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from undercroft_hookspecs.manifold import Context, FilterFunc, Manifold, StartFunc
    from undercroft_hookspecs.worker import Worker


@dataclass(frozen=True, slots=True)
class Housing:
    """The house that manifolds are put into: empty, it changes nothing.

    `flags` name workers that must all say yes; `occupy` names the fortress that the worker spends its whole life in;
    `filter` takes the place of the manifold's own.
    """

    flags: Sequence[str] = ()
    occupy: str = ""
    filter: FilterFunc | None = None

    def __post_init__(self) -> None:
        if isinstance(self.flags, str):
            raise NotValidError(f"flags must be a sequence of names, not the one string {self.flags!r}", field="flags")
        for flag in self.flags:
            require_name("flags", flag)
        if self.occupy:
            require_name("occupy", self.occupy)
        require_callable("filter", self.filter, optional=True)

    def decorate(self, manifold: Manifold) -> Manifold:
        """Give a manifold that needs what this house needs besides; the given one is not changed.

        Its start asks every flag, in order, then enters the fortress, and only then calls the manifold's own start.
        """
        flags = tuple(self.flags)
        wanted = (*flags, self.occupy) if self.occupy else flags
        if wanted:
            inputs = tuple(dict.fromkeys((*manifold.inputs, *wanted)))
            start = _housed(manifold.start, flags, self.occupy)
            manifold = replace(manifold, start=start, inputs=inputs)
        return manifold if self.filter is None else replace(manifold, filter=self.filter)


def _housed(inner: StartFunc, flags: Sequence[str], fortress: str) -> StartFunc:
    def start(context: Context) -> Worker | Awaitable[Worker]:
        for flag in flags:
            if not context.get(flag, Flag).check():
                raise Missing(flag)
        if not fortress:
            return inner(context)
        return occupy(context.get(fortress, Guest), lambda: inner(context), abort=context.abort)

    return start
