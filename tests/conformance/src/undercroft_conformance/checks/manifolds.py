"""Turn the check of one manifold into the check of a plugin."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from undercroft_conformance.life import Case
from undercroft_conformance.verdict import NotApplicable, Unjudged
from undercroft_hookspecs.manifold import Manifold

Manifolds: TypeAlias = Mapping[str, Manifold]


def per_manifold(
    judge: Callable[[Case, str, Manifolds], Awaitable[None]],
) -> Callable[[Case], Awaitable[None]]:
    """Judge every manifold that the subject has the fakes for; else the check is unjudged, and says what is lacking.

    Manifolds that the rule is not about are left out, as long as it is about one of them.
    """

    async def run(case: Case) -> None:
        manifolds = case.manifolds()
        reasons: list[str] = []
        applicable = len(manifolds)
        for name in manifolds:
            if lacking := case.lacking(name, manifolds):
                reasons.append(f"{name!r} takes {', '.join(map(repr, lacking))}, for which there is no fake")
                continue
            try:
                await judge(case, name, manifolds)
            except NotApplicable as reason:
                reasons.append(str(reason))
                applicable -= 1
            except Unjudged as reason:
                reasons.append(str(reason))
        if len(reasons) > len(manifolds) - applicable or not applicable:
            raise Unjudged("; ".join(dict.fromkeys(reasons)))

    return run
