"""What an engine is to be filled with: manifolds, each with the plugin that claims its name. Nothing starts here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from undercroft.dependency import CycleError, validate
from undercroft_hookspecs import Manifold, NotValidError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

CORE = "core"
"""What claims core's own manifolds; it stands where a plugin's name would."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A manifold and the plugin that it comes from."""

    plugin: str
    manifold: Manifold
    is_passed: bool = False
    """It stands, in a unit's engine, for the top engine's manifold of the same name."""


class Plan:
    """Claims by manifold name, in the order in which they were made."""

    def __init__(self, claims: Mapping[str, Claim] | None = None) -> None:
        self._claims: dict[str, Claim] = dict(claims or {})

    @property
    def claims(self) -> Mapping[str, Claim]:
        """All claims."""
        return self._claims

    def add(self, plugin: str, manifolds: Mapping[str, Manifold]) -> None:
        """Enter all of a plugin's manifolds, or none.

        Raises:
            NotValidError: a name is claimed already, or is no name, or what it stands for is no manifold.
            CycleError: they would close a circle.
        """
        for name, manifold in manifolds.items():
            self._check(name, manifold)
        merged = self._claims | {name: Claim(plugin, manifold) for name, manifold in manifolds.items()}
        validate({name: claim.manifold for name, claim in merged.items()})
        self._claims = merged

    def dependents(self, name: str) -> set[str]:
        """The name itself, and all that take it as an input, directly or through others."""
        found, fresh = {name}, [name]
        above: dict[str, list[str]] = {}
        for taker, claim in self._claims.items():
            for needed in claim.manifold.inputs:
                above.setdefault(needed, []).append(taker)
        while fresh:
            taken = [taker for taker in above.get(fresh.pop(), ()) if taker not in found]
            found.update(taken)
            fresh.extend(taken)
        return found

    def _check(self, name: object, manifold: object) -> None:
        if not isinstance(name, str) or not name or not isinstance(manifold, Manifold):
            raise NotValidError(f"{name!r} is not a manifold's name with its Manifold", field="manifolds")
        _check_parts(name, manifold)
        if name in self._claims:
            holder = self._claims[name].plugin
            who = "core has" if holder == CORE else f"plugin {holder!r} has"
            raise NotValidError(f"it claims the manifold {name!r}, which {who} already; rename one", field=name)


def _check_parts(name: str, manifold: Manifold) -> None:
    """Refuse what the engine would: there it would be everybody's trouble, here it is the plugin's alone."""
    given: object = manifold.inputs
    inputs = list(given) if isinstance(given, Iterable) and not isinstance(given, str) else [None]
    if not all(isinstance(needed, str) and needed for needed in inputs):
        raise NotValidError(
            f"the inputs of its manifold {name!r} are not a sequence of names: {given!r}", field="inputs"
        )
    for part in ("start", "output", "filter"):
        function = getattr(manifold, part)
        if not callable(function) and not (function is None and part != "start"):
            raise NotValidError(f"{part} of its manifold {name!r} cannot be called: {function!r}", field=part)


def difference(
    before: Mapping[str, Claim], after: Mapping[str, Claim], plugins: Collection[str], touched: Collection[str]
) -> tuple[set[str], dict[str, Claim]]:
    """(names to take out for good, claims to put in): what `plugins` claim, what else differs, and what is touched."""
    fresh = {
        name: claim
        for name, claim in after.items()
        if claim.plugin in plugins or name in touched or before.get(name) != claim
    }
    return set(before) - set(after), fresh


def why_refused(error: NotValidError | CycleError) -> str:
    """One sentence for people on why a plugin's manifolds were not entered."""
    if isinstance(error, CycleError):
        return f"its manifolds would close a circle of inputs: {' -> '.join(error.cycle)}"
    return str(error)
