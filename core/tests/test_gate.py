"""Gate: it opens once, for good; a flag says how it was, and dies when that changes."""

from __future__ import annotations

import asyncio
import threading

import pytest

from undercroft import NoOpWorker, NotValidError, Worker
from undercroft.dependency.errors import Bounce, Missing, OutputError
from undercroft.gate import (
    AlreadyUnlocked,
    Flag,
    GateFlag,
    GateUnlocked,
    Lock,
    Unlocker,
    Waiter,
    flag_manifold,
    flag_output,
    manifold,
)
from undercroft.testing import StubContext, check_alive, check_killed, clean_kill
from undercroft_hookspecs.manifold import Manifold

E = RuntimeError


async def turns(n: int = 5) -> None:
    for _ in range(n):
        await asyncio.sleep(0)


async def started(declared: Manifold) -> Worker:
    w = declared.start(StubContext({}))
    assert isinstance(w, Worker)
    return w


def lock_of(declared: Manifold, w: Worker) -> Lock:
    assert declared.output is not None
    lock = declared.output(w, Lock)
    assert isinstance(lock, Lock)
    return lock


def test_is_locked_when_made_without_a_loop() -> None:
    assert not Lock().is_unlocked()


def test_unlocks_without_a_loop_and_again() -> None:
    lock = Lock()

    lock.unlock()
    lock.unlock()

    assert lock.is_unlocked()


def test_lock_is_both_sides_of_the_gate() -> None:
    assert isinstance(Lock(), Waiter)
    assert isinstance(Lock(), Unlocker)
    assert isinstance(AlreadyUnlocked(), Waiter)


async def test_waiters_go_on_when_it_opens() -> None:
    lock = Lock()
    waiters = [asyncio.create_task(lock.unlocked()) for _ in range(5)]
    await turns()
    assert not any(waiter.done() for waiter in waiters)

    lock.unlock()

    await asyncio.wait_for(asyncio.gather(*waiters), 1)
    await lock.unlocked()


async def test_cancelled_waiter_leaves_nothing_behind() -> None:
    lock = Lock()
    waiter = asyncio.create_task(lock.unlocked())
    await turns()

    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter

    assert lock._waiters == {}


async def test_waiter_cancelled_in_the_turn_of_the_opening_is_cancelled() -> None:
    lock = Lock()
    waiter = asyncio.create_task(lock.unlocked())
    await turns()

    lock.unlock()
    waiter.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiter


async def test_unlocks_from_another_thread() -> None:
    lock = Lock()
    waiters = [asyncio.create_task(lock.unlocked()) for _ in range(100)]
    await turns()
    threads = [threading.Thread(target=lock.unlock) for _ in range(3)]

    for thread in threads:
        thread.start()

    await asyncio.wait_for(asyncio.gather(*waiters), 10)
    for thread in threads:
        thread.join()


def test_unlocks_over_a_closed_loop() -> None:
    lock = Lock()
    loop = asyncio.new_event_loop()
    waiter = lock.unlocked()

    async def main() -> None:
        waiter.send(None)

    loop.run_until_complete(main())
    loop.close()

    lock.unlock()

    assert lock.is_unlocked()
    waiter.close()


async def test_already_unlocked_is() -> None:
    gate = AlreadyUnlocked()

    await gate.unlocked()

    assert gate.is_unlocked()


async def test_manifold_exposes_lock_waiter_and_unlocker_exactly() -> None:
    declared = manifold()
    w = await started(declared)
    assert declared.inputs == ()
    assert declared.output is not None

    assert declared.output(w, Lock) is declared.output(w, Waiter) is declared.output(w, Unlocker)
    for kind in (object, Worker, AlreadyUnlocked):
        with pytest.raises(OutputError):
            declared.output(w, kind)

    await clean_kill(w)


async def test_manifold_refuses_a_foreign_worker() -> None:
    output, w = manifold().output, NoOpWorker()
    assert output is not None

    with pytest.raises(OutputError):
        output(w, Waiter)

    await clean_kill(w)


async def test_starts_of_one_manifold_share_a_lock() -> None:
    declared = manifold()
    first = await started(declared)
    lock_of(declared, first).unlock()
    await clean_kill(first)

    second = await started(declared)

    assert lock_of(declared, second).is_unlocked()
    await clean_kill(second)


async def test_different_manifolds_do_not_share() -> None:
    one, other = manifold(), manifold()
    a, b = await started(one), await started(other)

    lock_of(one, a).unlock()

    assert not lock_of(other, b).is_unlocked()
    await clean_kill(a)
    await clean_kill(b)


async def test_manifold_takes_a_lock() -> None:
    """TestManifoldEx."""
    lock = Lock()
    declared = manifold(lock)
    first, second = await started(declared), await started(declared)
    assert not lock_of(declared, first).is_unlocked()

    lock.unlock()

    assert lock_of(declared, first) is lock_of(declared, second) is lock
    await clean_kill(first)
    await clean_kill(second)


async def test_relock_on_restart_makes_a_new_lock_per_start() -> None:
    """TestRestartLocks."""
    declared = manifold(relock_on_restart=True)
    first = await started(declared)
    lock_of(declared, first).unlock()
    assert lock_of(declared, first).is_unlocked()
    await clean_kill(first)

    second = await started(declared)

    assert not lock_of(declared, second).is_unlocked()
    await clean_kill(second)


def test_relock_on_restart_takes_no_lock() -> None:
    with pytest.raises(NotValidError) as caught:
        manifold(Lock(), relock_on_restart=True)

    assert caught.value.field == "relock_on_restart"


async def test_flag_of_an_open_gate_runs_and_is_true() -> None:
    flag = GateFlag(AlreadyUnlocked())

    assert isinstance(flag, Flag)
    assert flag.check() is True
    await check_alive(flag, delay=0.001)
    await clean_kill(flag)
    assert flag.check() is True


async def test_flag_of_a_shut_gate_runs_and_is_false() -> None:
    flag = GateFlag(Lock())

    assert flag.check() is False
    await check_alive(flag, delay=0.001)
    await clean_kill(flag)


async def test_flag_dies_when_the_gate_opens_and_stays_false() -> None:
    lock = Lock()
    flag = GateFlag(lock)
    await turns()

    lock.unlock()

    assert isinstance(await check_killed(flag), GateUnlocked)
    assert flag.check() is False


async def test_flag_samples_once_when_it_is_made() -> None:
    lock = Lock()
    flag = GateFlag(lock)

    lock.unlock()

    assert flag.check() is False
    assert isinstance(await check_killed(flag), GateUnlocked)


@pytest.mark.parametrize("settled", [False, True])
@pytest.mark.parametrize("kill_first", [False, True])
async def test_flag_killed_in_the_turn_of_the_opening_is_clean(settled: bool, kill_first: bool) -> None:
    lock = Lock()
    flag = GateFlag(lock)
    if settled:
        await turns()

    if kill_first:
        flag.kill()
    lock.unlock()
    flag.kill()

    assert await check_killed(flag) is None
    await turns()
    assert lock._waiters == {}


class BrokenWaiter:
    def __init__(self, error: Exception) -> None:
        self._error = error

    def is_unlocked(self) -> bool:
        return False

    async def unlocked(self) -> None:
        raise self._error


async def test_flag_dies_of_what_its_waiter_raises() -> None:
    error = E("broken")

    assert await check_killed(GateFlag(BrokenWaiter(error))) is error


class SomeFlag(NoOpWorker):
    def check(self) -> bool:
        return True


async def test_flag_output_exposes_whatever_can_be_checked() -> None:
    flag, no_flag = SomeFlag(), NoOpWorker()

    assert flag_output(flag, Flag) is flag
    for worker, kind in ((no_flag, Flag), (flag, object), (flag, SomeFlag), (flag, Worker)):
        with pytest.raises(OutputError):
            flag_output(worker, kind)

    await clean_kill(flag)
    await clean_kill(no_flag)


async def test_flag_manifold_declares_its_gate() -> None:
    declared = flag_manifold("gate")

    assert list(declared.inputs) == ["gate"]
    assert declared.output is flag_output


async def test_flag_manifold_makes_a_gate_flag_of_the_waiter() -> None:
    lock = Lock()

    flag = flag_manifold("gate").start(StubContext({"gate": lock}))

    assert isinstance(flag, GateFlag)
    lock.unlock()
    assert isinstance(await check_killed(flag), GateUnlocked)


async def test_flag_manifold_hands_the_waiter_to_a_constructor() -> None:
    lock, w = Lock(), NoOpWorker()
    given: list[Waiter] = []

    async def new_worker(waiter: Waiter) -> Worker:
        given.append(waiter)
        return w

    made = flag_manifold("gate", new_worker).start(StubContext({"gate": lock}))

    assert not isinstance(made, Worker)
    assert await made is w
    assert given == [lock]
    await clean_kill(w)


def test_flag_manifold_passes_a_missing_gate_and_a_failing_constructor_on() -> None:
    error = E("constructor")

    def fail(_: Waiter) -> Worker:
        raise error

    with pytest.raises(Missing):
        flag_manifold("gate").start(StubContext({"gate": Missing("gate", "stopped")}))
    with pytest.raises(E) as caught:
        flag_manifold("gate", fail).start(StubContext({"gate": Lock()}))
    assert caught.value is error


def test_flag_manifolds_filter_turns_an_opening_into_a_bounce() -> None:
    judge = flag_manifold("gate").filter
    assert judge is not None
    opened = GateUnlocked()
    wrapped = E("wrapped")
    wrapped.__cause__ = opened

    assert isinstance(judge(opened), Bounce)
    assert isinstance(judge(wrapped), Bounce)
    assert isinstance(judge(ExceptionGroup("all", [opened, wrapped])), Bounce)


def test_flag_manifolds_filter_leaves_other_errors() -> None:
    judge = flag_manifold("gate").filter
    assert judge is not None

    for error in (E("other"), ExceptionGroup("mixed", [GateUnlocked(), E("other")])):
        assert judge(error) is error


@pytest.mark.parametrize(("gate", "new_worker", "field"), [("", GateFlag, "gate_name"), ("gate", None, "new_worker")])
def test_flag_manifold_refuses_bad_arguments(gate: str, new_worker: object, field: str) -> None:
    with pytest.raises(NotValidError) as caught:
        flag_manifold(gate, new_worker)  # type: ignore[arg-type]

    assert caught.value.field == field
