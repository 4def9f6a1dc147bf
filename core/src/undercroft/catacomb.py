"""A worker made of one coroutine and any number of child workers: the first real error wins, and nothing outlives it.

A catacomb is a tool for building a worker, and not itself handed out as one. Its life is a tomb's: alive until its work
ends, a child fails, or somebody kills it; then dying, with every child killed at once while the work may still be
running; dead when work and children have all ended.

There are three ways to use one. `CatacombWorker` is a class to derive from; `Catacomb.open` makes the body of an
`async with` the work; `invoke` with a `Plan` is what both are made of, for workers that hold a catacomb.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from undercroft.errors import DeadError
from undercroft.worker.lifecycle import TombWorker, is_worker, outcome, was_cancelled, watch
from undercroft.worker.reporting import report_of
from undercroft.worker.tomb import Stop, Tomb, as_reason
from undercroft.worker.validation import require_callable, require_name, require_number
from undercroft_hookspecs.errors import AlreadyExistsError, NotValidError, UndercroftError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
    from contextlib import AbstractAsyncContextManager
    from typing import Literal

    from undercroft_hookspecs.worker import Clock, Worker


class DyingError(UndercroftError):
    """A catacomb is dying or dead. It is that catacomb's own: its `kill` ignores it."""

    def __init__(self, catacomb: Catacomb) -> None:
        super().__init__(f"catacomb {catacomb.name!r} is dying")
        self.catacomb = catacomb


class MisuseError(UndercroftError):
    """A catacomb was used in a way that cannot be right: the message says which."""


class Catacomb:
    """The life of one worker, shared by its work and its children.

    `stop`, `state` and `reason` are as a tomb's. Once used, it is used up: a restarted worker needs a fresh one.
    """

    def __init__(self, *, clock: Clock | None = None) -> None:
        self._cell = _Cell(self, clock)
        self.name = self._cell.name
        self.stop: Stop = self._cell.stop
        self._used = False
        self._errors: list[BaseException] = []
        self._children: dict[object, Worker] = {}
        self._cell.stop.subscribe(self._kill_children)

    @classmethod
    def open(
        cls, name: str, *, init: Sequence[Worker] = (), clock: Clock | None = None
    ) -> AbstractAsyncContextManager[Catacomb]:
        """Make the body of an `async with` the work of a new catacomb. The body is never interrupted: it heeds `stop`.

        Leaving kills, waits, and raises the reason. An exception of the body is the reason if it is the first, and
        passes on unchanged with a note of any other reason. A cancelled body is a clean end for the catacomb.
        """
        return _opened(name, init, clock)

    @property
    def state(self) -> Literal["alive", "dying", "dead"]:
        """Where in its life it is."""
        return self._cell.state

    @property
    def reason(self) -> BaseException | None:
        """The error that it dies or died of; None while alive, or if it is clean."""
        return self._cell.reason

    @property
    def errors(self) -> tuple[BaseException, ...]:
        """Every error that reached `kill` before death, in order."""
        return tuple(self._errors)

    async def add(self, w: Worker) -> None:
        """Take over a worker, whether or not this succeeds.

        While alive, this does not suspend: the worker is a child from then on. Its error kills the catacomb; its clean
        end is forgotten. Otherwise the worker is stopped, and this returns no sooner than it is dead.

        Raises:
            DyingError: the catacomb is dying or dead; the worker's own error, if it has one, is raised in its place.
            MisuseError: the catacomb has no work yet; or the worker is the one that this catacomb is the life of, which
                is left alone.
        """
        if w is self or (isinstance(w, CatacombWorker) and w.catacomb is self):
            raise MisuseError(
                f"{type(w).__name__} was added to its own catacomb {self.name!r}, which would wait for it"
            )
        if not is_worker(w):
            raise NotValidError(f"{w!r} has no kill and wait: it is not a worker", field="w")
        if self._used and not self.stop:
            self._adopt(w)
            return
        w.kill()
        error = await outcome(w)
        if not self.stop:
            raise MisuseError(f"a worker was added to catacomb {self.name!r} before it was invoked")
        if error is not None and not was_cancelled(error):
            raise error
        raise self.err_dying()

    def kill(self, error: BaseException | None = None) -> None:
        """Begin to die, or add a reason to a clean dying. Never raises, from any thread.

        This catacomb's own dying error counts as None. Another's is replaced by a MisuseError, with it as the cause.
        """
        self._cell.kill(error)

    def err_dying(self) -> Exception:
        """Give the error to end work with because of the dying: it changes no reason.

        While the catacomb is alive it is a MisuseError, which is a real failure if it is used.
        """
        if self.stop:
            return DyingError(self)
        return MisuseError(f"catacomb {self.name!r} was asked for its dying error while alive")

    async def wait_dying(self) -> None:
        """Return when dying has begun."""
        await self._cell.wait_dying()

    async def wait(self) -> None:
        """Return at a clean death, or raise the reason."""
        await self._cell.wait()

    def report(self) -> dict[str, object]:
        """Describe the state and the children."""
        return {"state": self.state, "children": [_describe(child) for child in self._children.values()]}

    def _claim(self, name: str) -> None:
        if self._used:
            raise AlreadyExistsError(name, f"catacomb {name!r} cannot be invoked: its site is in use, or used up")
        if self.stop:
            raise DeadError(f"catacomb {name!r} was killed before it was invoked")
        self._used = True
        self.name = self._cell.name = name

    def _adopt(self, w: Worker) -> None:
        child = object()
        self._children[child] = w
        self._cell.hold()
        watch(w, partial(self._on_child_dead, child))

    def _on_child_dead(self, child: object, error: BaseException | None) -> None:
        del self._children[child]
        if error is not None and not (self.stop and was_cancelled(error)):
            self._cell.kill(error)
        self._cell.release()

    def _kill_children(self) -> None:
        for child in tuple(self._children.values()):
            child.kill()

    def _judge(self, error: BaseException) -> BaseException | None:
        """Say what counts as the reason where `error` reached kill."""
        owners = _owners(error)
        if owners == {self}:
            return None
        if owners:
            others = ", ".join(sorted(repr(owner.name) for owner in owners if owner is not self))
            misuse = MisuseError(f"catacomb {self.name!r} was killed with the dying error of another: {others}")
            misuse.__cause__ = error
            error = misuse
        reason = as_reason(error, self.name)
        self._errors.append(reason)
        return reason


@dataclass
class Plan:
    """What a catacomb is to run: `work`, and the workers in `init`, which are its children from the start.

    `grace` is what dying does to the work: None nothing, 0 cancels it at once, x cancels it x seconds later.
    """

    name: str
    site: Catacomb
    work: Callable[[], Awaitable[None]]
    init: Sequence[Worker] = ()
    grace: float | None = None

    def validate(self) -> None:
        """Refuse a plan that cannot be carried out, with a NotValidError that names what is wrong first."""
        require_name("name", self.name)
        if not isinstance(self.site, Catacomb):
            raise NotValidError(f"site must be a Catacomb, not {self.site!r}", field="site")
        require_callable("work", self.work)
        for i, w in enumerate(self.init):
            if not is_worker(w):
                raise NotValidError(f"init[{i}] must be a worker, not {w!r}", field=f"init[{i}]")
        require_number("grace", self.grace, optional=True)


async def invoke(plan: Plan) -> None:
    """Run a plan's work, with its init workers as the first children. Does not suspend if it succeeds.

    It owns the init workers, whether or not it succeeds: if not, each is stopped in order, and waited for.

    Raises:
        NotValidError: the plan is no good.
        AlreadyExistsError: the site has been used.
        DeadError: the site was killed before it was used.
    """
    init = tuple(plan.init)
    try:
        _invoke(plan, init)
    except UndercroftError:
        await _stop_in_order(init)
        raise


class CatacombWorker(TombWorker):
    """A worker to derive from: override `loop`, and add children to `self.catacomb`.

    The catacomb is this object's own, and `loop` first runs after the whole constructor chain. Without an override it
    lasts until it is killed or a child fails.
    """

    def __init__(
        self, name: str, *, init: Sequence[Worker] = (), grace: float | None = None, clock: Clock | None = None
    ) -> None:
        workers = tuple(init)
        self.catacomb = Catacomb(clock=clock)
        self._tomb = self.catacomb._cell
        try:
            _invoke(Plan(name, self.catacomb, self.loop, workers, grace), workers)
        except UndercroftError:
            _reap(workers)
            raise

    async def loop(self) -> None:
        """Do the worker's work, heeding `self.catacomb.stop`; what it raises is the worker's result."""
        await self.catacomb.wait_dying()

    def report(self) -> dict[str, object]:
        """Describe the catacomb."""
        return self.catacomb.report()


class _Cell(Tomb):
    """A catacomb's tomb: every error on its way to the reason, be it the work's or a child's, is judged first."""

    __slots__ = ("_site",)

    def __init__(self, site: Catacomb, clock: Clock | None) -> None:
        super().__init__("catacomb", clock=clock)
        self._site = site

    def _kill(self, reason: BaseException | None) -> None:
        if reason is not None and self.state != "dead":
            reason = self._site._judge(reason)
        super()._kill(reason)


def _invoke(plan: Plan, init: tuple[Worker, ...]) -> None:
    plan.validate()
    site, work = plan.site, plan.work
    site._claim(plan.name)
    for w in init:
        site._adopt(w)

    async def run(_: Stop) -> None:
        await work()
        site.kill()  # A tomb's task that ends cleanly would leave it alive for as long as there are children.

    site._cell.call(run, name=plan.name, grace=plan.grace)


@asynccontextmanager
async def _opened(name: str, init: Sequence[Worker], clock: Clock | None) -> AsyncIterator[Catacomb]:
    site, workers = Catacomb(clock=clock), tuple(init)
    try:
        Plan(name, site, site.wait_dying, workers).validate()
    except NotValidError:
        await _stop_in_order(workers)
        raise
    site._claim(name)
    site._cell.hold()
    for w in workers:
        site._adopt(w)
    try:
        yield site
    except BaseException as error:
        site.kill(None if isinstance(error, asyncio.CancelledError) else error)
        site._cell.release()
        if isinstance(error, asyncio.CancelledError) or _owners(error) != {site}:
            await _pass_on(site, error)
            raise
    else:
        site.kill()
        site._cell.release()
    await site.wait()


async def _pass_on(site: Catacomb, error: BaseException) -> None:
    """Wait for the death of a catacomb whose body has raised, and note a reason that is not the body's error."""
    death = asyncio.get_running_loop().create_future()
    site._cell.when_dead(lambda _: None if death.done() else death.set_result(None))
    await death
    if site.reason is not None and site.reason is not error:
        error.add_note(f"catacomb {site.name!r} also failed: {site.reason!r}")


async def _stop_in_order(workers: Iterable[object]) -> None:
    """Stop each of these that is a worker, one after the other; if this is cancelled, the rest at once."""
    left = [w for w in workers if is_worker(w)]
    try:
        while left:
            left[0].kill()
            await outcome(left[0])
            left.pop(0)
    except asyncio.CancelledError:
        _reap(left[1:])
        raise


def _reap(workers: Iterable[object]) -> None:
    """Kill each of these that is a worker, and have its error taken when it dies."""
    for w in workers:
        if is_worker(w):
            w.kill()
            watch(w, lambda _: None)


def _owners(error: BaseException | None) -> set[Catacomb]:
    """The catacombs whose dying errors this error comes to: none, if it is anything else as well.

    It is looked for as `caused_by` does: along the chain of causes, and in a group only if every leaf has one.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, DyingError):
            return {error.catacomb}
        if isinstance(error, BaseExceptionGroup):
            of_leaves = [_owners(leaf) for leaf in error.exceptions]
            if all(of_leaves):
                return set().union(*of_leaves)
        seen.add(id(error))
        error = error.__cause__
    return set()


def _describe(child: Worker) -> dict[str, object]:
    described: dict[str, object] = {"worker": type(child).__name__}
    if report := report_of(child):
        described["report"] = report
    return described
