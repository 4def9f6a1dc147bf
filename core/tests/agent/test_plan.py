from __future__ import annotations

from typing import Any

import pytest

from undercroft import NoOpWorker
from undercroft.agent.plan import CORE, Claim, Plan, difference, why_refused
from undercroft.dependency import CycleError
from undercroft_hookspecs import Manifold, NotValidError


def manifold(*inputs: str) -> Manifold:
    return Manifold(start=lambda _: NoOpWorker(), inputs=inputs)


def test_a_plan_keeps_the_order_of_its_claims() -> None:
    plan = Plan({"agent": Claim(CORE, manifold())})

    plan.add("acme", {"b": manifold("agent"), "a": manifold("b")})

    assert [(name, claim.plugin) for name, claim in plan.claims.items()] == [
        ("agent", "core"),
        ("b", "acme"),
        ("a", "acme"),
    ]


def test_a_name_that_is_core_s_is_refused_with_everything_beside_it() -> None:
    plan = Plan({"store": Claim(CORE, manifold())})

    with pytest.raises(NotValidError, match="'store', which core has"):
        plan.add("acme", {"fine": manifold(), "store": manifold()})

    assert list(plan.claims) == ["store"]


def test_a_name_that_is_another_plugins_is_refused_and_both_are_named() -> None:
    plan = Plan()
    plan.add("acme", {"disks": manifold()})

    with pytest.raises(NotValidError, match="'disks', which plugin 'acme' has"):
        plan.add("beta", {"disks": manifold()})


def test_a_circle_is_refused() -> None:
    plan = Plan()
    plan.add("acme", {"a": manifold("b")})

    with pytest.raises(CycleError) as caught:
        plan.add("beta", {"b": manifold("a")})

    assert "a circle of inputs" in why_refused(caught.value)
    assert list(plan.claims) == ["a"]


@pytest.mark.parametrize("answer", [{"": manifold()}, {1: manifold()}, {"x": "no manifold"}])
def test_what_is_no_manifold_under_a_name_is_refused(answer: dict[str, Manifold]) -> None:
    with pytest.raises(NotValidError):
        Plan().add("acme", answer)


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        ({"inputs": "model"}, "inputs"),
        ({"inputs": ("model", 3)}, "inputs"),
        ({"inputs": ("",)}, "inputs"),
        ({"inputs": 7}, "inputs"),
        ({"start": None}, "start"),
        ({"output": 1}, "output"),
        ({"filter": "no"}, "filter"),
    ],
)
def test_what_the_engine_would_refuse_is_refused_here(bad: dict[str, Any], field: str) -> None:
    with pytest.raises(NotValidError) as caught:
        Plan().add("acme", {"x": Manifold(**{"start": NoOpWorker, **bad})})

    assert caught.value.field == field
    assert "'x'" in str(caught.value)


def test_dependents_are_found_through_others() -> None:
    plan = Plan()
    plan.add("acme", {"a": manifold(), "b": manifold("a"), "c": manifold("b"), "d": manifold("missing")})

    assert plan.dependents("a") == {"a", "b", "c"}


def test_the_difference_is_what_changed_plugins_claim_and_what_is_touched() -> None:
    same, other = Claim("acme", manifold()), Claim("beta", manifold())
    before = {"a": same, "b": other, "gone": other, "c": same}
    after = {"a": same, "b": Claim("beta", manifold()), "new": other, "c": same}

    gone, fresh = difference(before, after, {"beta"}, {"c"})

    assert gone == {"gone"}
    assert sorted(fresh) == ["b", "c", "new"]
