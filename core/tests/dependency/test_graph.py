"""The graph: who needs whom, and never in a circle."""

from __future__ import annotations

import itertools
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undercroft.dependency import CycleError, Missing
from undercroft.dependency.graph import Graph


def test_a_name_knows_its_inputs_in_order_and_each_once() -> None:
    graph = Graph()

    inputs = graph.add("a", ("c", "b", "c"))

    assert list(inputs) == ["c", "b"]
    assert graph.dependents("b") == graph.dependents("c") == ("a",)


def test_who_needs_a_name_is_known_before_it_is_installed() -> None:
    graph = Graph()
    graph.add("b", ("a",))

    assert graph.dependents("a") == ("b",)
    assert "a" not in graph


def test_who_needs_a_name_is_remembered_after_it_is_gone() -> None:
    graph = Graph()
    graph.add("a", ())
    graph.add("b", ("a",))

    graph.remove("a")

    assert graph.dependents("a") == ("b",)


def test_a_name_that_nobody_needs_any_more_leaves_nothing_behind() -> None:
    graph = Graph()
    graph.add("b", ("a",))

    graph.remove("b")

    assert len(graph) == 0


@pytest.mark.parametrize("order", [("a", "b", "c"), ("c", "b", "a"), ("b", "a", "c")])
def test_a_cycle_is_found_in_whatever_order_it_is_made(order: tuple[str, ...]) -> None:
    needs = {"a": "b", "b": "c", "c": "a"}
    graph = Graph()
    for name in order[:2]:
        graph.add(name, (needs[name],))

    with pytest.raises(CycleError) as caught:
        graph.add(order[2], (needs[order[2]],))

    cycle = caught.value.cycle
    assert cycle[0] == cycle[-1]
    assert all(needs[name] == after for name, after in itertools.pairwise(cycle))
    assert len(cycle) == 4


def test_an_input_on_oneself_is_a_cycle() -> None:
    with pytest.raises(CycleError) as caught:
        Graph().add("a", ("a",))

    assert caught.value.cycle == ["a", "a"]


def test_a_refused_name_leaves_nothing_behind() -> None:
    graph = Graph()
    graph.add("b", ("a",))

    with pytest.raises(CycleError):
        graph.add("a", ("x", "b", "y"))

    assert "a" not in graph
    assert len(graph) == 2
    graph.add("a", ("x",))
    assert graph.dependents("x") == ("a",)


def test_a_long_chain_needs_no_recursion() -> None:
    graph = Graph()
    for i in range(1, 10_000, 2):
        graph.add(str(i), (str(i - 1),))
    for i in range(2, 10_000, 2):
        graph.add(str(i), (str(i - 1),))

    with pytest.raises(CycleError) as caught:
        graph.add("0", ("9999",))

    assert len(caught.value.cycle) == 10_001


def test_a_cycle_error_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(CycleError(["a", "b", "a"])))

    assert error.cycle == ["a", "b", "a"]


def test_a_missing_survives_pickling() -> None:
    missing = pickle.loads(pickle.dumps(Missing("a", "stopped")))

    assert (missing.resource, missing.reason, str(missing)) == ("a", "stopped", "'a' is not running")


def test_a_cycle_is_found_from_the_side_of_the_inputs() -> None:
    """The name that closes it has many dependents, and what it needs has few inputs."""
    graph = Graph()
    for i in range(50):
        graph.add(f"user{i}", ("hub",))
    graph.add("middle", ("hub",))
    graph.add("top", ("middle",))

    with pytest.raises(CycleError) as caught:
        graph.add("hub", ("top",))

    assert caught.value.cycle == ["hub", "top", "middle", "hub"]


def _needs_itself(needs: dict[str, set[str]], name: str) -> bool:
    """Whether a name is reachable from itself, the slow way."""
    seen: set[str] = set()
    stack = list(needs[name])
    while stack:
        current = stack.pop()
        if current == name:
            return True
        if current not in seen:
            seen.add(current)
            stack.extend(needs.get(current, ()))
    return False


NAMES = st.sampled_from("abcdefgh")


@given(st.lists(st.tuples(NAMES, st.lists(NAMES, max_size=4), st.booleans()), max_size=40))
def test_agrees_with_a_search_of_the_whole_graph(steps: list[tuple[str, list[str], bool]]) -> None:
    graph, needs = Graph(), dict[str, set[str]]()
    for name, inputs, removes in steps:
        if name in needs:
            if removes:
                graph.remove(name)
                del needs[name]
            continue
        is_cycle = _needs_itself(needs | {name: set(inputs)}, name)
        try:
            graph.add(name, inputs)
        except CycleError as error:
            assert is_cycle
            pairs = zip(error.cycle, error.cycle[1:], strict=False)
            assert all(after in (needs | {name: set(inputs)})[before] for before, after in pairs)
        else:
            assert not is_cycle
            needs[name] = set(inputs)

        for known in "abcdefgh":
            assert set(graph.dependents(known)) == {other for other, its in needs.items() if known in its}
            assert (known in graph) == (known in needs)
