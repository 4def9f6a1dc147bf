"""Housing: flags are asked first, then the fortress is entered, and only then the manifold's own start is called."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from undercroft import AbortedError, Context, Manifold, NoOpWorker, NotValidError, Worker
from undercroft.dependency.errors import Missing, OutputError
from undercroft.fortress import Fortress
from undercroft.housing import Housing
from undercroft.testing import StubContext, check_killed, clean_kill

E = RuntimeError


async def turns(n: int = 10) -> None:
    for _ in range(n):
        await asyncio.sleep(0)


class Sign:
    """A flag, which writes down that it was asked."""

    def __init__(self, says: bool, asked: list[str] | None = None, name: str = "") -> None:
        self._says, self._asked, self._name = says, asked, name

    def check(self) -> bool:
        if self._asked is not None:
            self._asked.append(self._name)
        return self._says


def start(_: Context) -> Worker:
    return NoOpWorker()


def never(_: Context) -> Worker:
    raise AssertionError("the inner start was called")


def output(_: Worker, kind: type) -> object:
    raise OutputError(str(kind))


def same(error: Exception) -> Exception:
    return error


@pytest.fixture
async def fortress() -> AsyncIterator[Fortress]:
    fortress = Fortress()
    await fortress.unlock()
    yield fortress
    fortress.kill()
    await check_killed(fortress, timeout=1)


@pytest.mark.parametrize("manifold", [Manifold(start), Manifold(start, ("a", "b"), output, same)])
def test_empty_changes_nothing(manifold: Manifold) -> None:
    housed = Housing().decorate(manifold)

    assert (housed.start, housed.output, housed.filter) == (manifold.start, manifold.output, manifold.filter)
    assert list(housed.inputs) == list(manifold.inputs)


def test_filter_takes_the_place_of_the_manifolds() -> None:
    manifold = Manifold(start, ("a",), output, lambda error: error)

    housed = Housing(filter=same).decorate(manifold)

    assert housed.filter is same
    assert (housed.start, list(housed.inputs), housed.output) == (start, ["a"], output)
    assert Housing(flags=["f"]).decorate(manifold).filter is manifold.filter


@pytest.mark.parametrize(
    ("inputs", "flags", "fortress", "expected"),
    [
        ((), ["f", "g"], "", ["f", "g"]),
        (("a", "b"), ["f"], "", ["a", "b", "f"]),
        (("g", "a"), ["f", "g", "f"], "", ["g", "a", "f"]),
        (("a",), [], "o", ["a", "o"]),
        (("o", "a"), [], "o", ["o", "a"]),
        (("a",), ["f"], "o", ["a", "f", "o"]),
        (("a", "a"), ["f"], "f", ["a", "f"]),
    ],
)
def test_inputs_are_the_manifolds_then_flags_then_the_fortress(
    inputs: tuple[str, ...], flags: list[str], fortress: str, expected: list[str]
) -> None:
    manifold = Manifold(start, inputs, output, same)

    housed = Housing(flags=flags, occupy=fortress).decorate(manifold)

    assert list(housed.inputs) == expected
    assert list(manifold.inputs) == list(inputs)
    assert (housed.output, housed.filter) == (output, same)


async def test_inputs_and_flags_are_copied() -> None:
    inputs, flags = ["a"], ["f"]
    housed = Housing(flags=flags).decorate(Manifold(start, inputs))

    inputs.append("b")
    flags.append("g")

    assert list(housed.inputs) == ["a", "f"]
    w = housed.start(StubContext({"f": Sign(True)}))
    assert isinstance(w, NoOpWorker)
    await clean_kill(w)


@pytest.mark.parametrize("resource", [Missing("f", "stopped"), OutputError("no flag")])
def test_flag_that_cannot_be_had_is_the_starts_error(resource: Exception) -> None:
    housed = Housing(flags=["f"]).decorate(Manifold(never))

    with pytest.raises(type(resource)) as caught:
        housed.start(StubContext({"f": resource}))

    assert caught.value is resource


def test_flag_of_the_wrong_type_is_an_output_error() -> None:
    with pytest.raises(OutputError):
        Housing(flags=["f"]).decorate(Manifold(never)).start(StubContext({"f": object()}))


def test_flag_that_says_no_is_missing() -> None:
    with pytest.raises(Missing) as caught:
        Housing(flags=["f"]).decorate(Manifold(never)).start(StubContext({"f": Sign(False)}))

    assert caught.value.resource == "f"


def test_flags_are_asked_in_order_until_one_says_no() -> None:
    asked: list[str] = []
    signs = {name: Sign(name != "b", asked, name) for name in ("a", "b", "c")}

    with pytest.raises(Missing):
        Housing(flags=["a", "b", "c"]).decorate(Manifold(never)).start(StubContext(signs))

    assert asked == ["a", "b"]


async def test_flags_that_say_yes_let_the_inner_start_run() -> None:
    contexts: list[Context] = []

    def inner(context: Context) -> Worker:
        contexts.append(context)
        return NoOpWorker()

    context = StubContext({"f": Sign(True), "g": Sign(True)})
    w = Housing(flags=["f", "g"]).decorate(Manifold(inner)).start(context)

    assert isinstance(w, NoOpWorker)
    assert contexts == [context]
    await clean_kill(w)


async def test_flag_that_says_no_keeps_it_out_of_the_fortress(fortress: Fortress) -> None:
    housed = Housing(flags=["f"], occupy="o").decorate(Manifold(never))

    with pytest.raises(Missing):
        housed.start(StubContext({"f": Sign(False), "o": fortress}))

    await turns()
    assert fortress.report()["visits"] == 0


@pytest.mark.parametrize("resource", [Missing("o", "stopped"), object()])
def test_fortress_that_cannot_be_had_is_the_starts_error(resource: object) -> None:
    housed = Housing(occupy="o").decorate(Manifold(never))

    with pytest.raises((Missing, OutputError)):
        housed.start(StubContext({"o": resource}))


async def test_locked_fortress_blocks_the_start_until_the_abort() -> None:
    fortress, abort = Fortress(), asyncio.Event()
    made = Housing(occupy="o").decorate(Manifold(never)).start(StubContext({"o": fortress}, abort=abort))
    assert not isinstance(made, Worker)
    task = asyncio.ensure_future(made)
    await turns()
    assert not task.done()

    abort.set()

    with pytest.raises(AbortedError):
        await task
    await clean_kill(fortress)


@pytest.mark.parametrize("is_async", [False, True])
async def test_worker_spends_its_life_in_the_fortress(fortress: Fortress, is_async: bool) -> None:
    async def start_later(_: Context) -> Worker:
        return NoOpWorker()

    made = (
        Housing(occupy="o").decorate(Manifold(start_later if is_async else start)).start(StubContext({"o": fortress}))
    )
    assert not isinstance(made, Worker)
    w = await made
    lockdown = asyncio.create_task(fortress.lockdown())
    await turns()
    assert not lockdown.done()

    await clean_kill(w)

    await asyncio.wait_for(lockdown, 1)


async def test_error_of_the_inner_start_passes_on(fortress: Fortress) -> None:
    error = E("inner")

    def fail(_: Context) -> Worker:
        raise error

    made = Housing(occupy="o").decorate(Manifold(fail)).start(StubContext({"o": fortress}))
    assert not isinstance(made, Worker)

    with pytest.raises(E) as caught:
        await made
    assert caught.value is error


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"flags": "flag"}, "flags"),
        ({"flags": ["ok", ""]}, "flags"),
        ({"flags": [3]}, "flags"),
        ({"occupy": 3}, "occupy"),
        ({"filter": 3}, "filter"),
    ],
)
def test_refuses_bad_arguments(arguments: dict[str, object], field: str) -> None:
    with pytest.raises(NotValidError) as caught:
        Housing(**arguments)  # type: ignore[arg-type]

    assert caught.value.field == field
