"""The state machine of an engine: every transition of every manifold, in one place and on one loop.

                  request_start                delay over            start gave a worker
    stopped ----------------------> starting ------------> starting ---------------------> started
       ^                            (delay)      _begin     (start)        _on_up             |
       |                               |                      |                  request_stop | or its own end
       |                               | request_stop         | start failed,                 v
       |                               | (at once)            | or was aborted             stopping
       |                               v                      v                               |
       +-------------------------- _on_end, _withdraw <---------------------------------------+
                                                                   the worker is dead

Nothing runs here but reactions, one at a time (`reactions.py`): a start has ended, a worker has died, a delay is over,
somebody asks for something. What a reaction sets off, also through callbacks that call back, queues behind it; so there
are no locks, no depth of recursion, and what is being judged is judged to the end. `request_x` asks for a transition,
`_on_x` is how the machine reacts to one.

A change of one manifold costs what its edges cost: it looks at its dependents, and no further.
"""

from __future__ import annotations

import asyncio
import logging
import random
from functools import partial
from typing import TYPE_CHECKING

from undercroft.clock import SystemClock, alarm
from undercroft.dependency.context import StartContext
from undercroft.dependency.errors import Missing
from undercroft.dependency.graph import Graph
from undercroft.dependency.journal import Journal
from undercroft.dependency.judgement import Judge, Meaning
from undercroft.dependency.node import Node
from undercroft.dependency.obstacles import hold_back, hold_inputs, release
from undercroft.dependency.reactions import Reactions
from undercroft.worker.backoff import Backoff
from undercroft.worker.lifecycle import was_cancelled, watch
from undercroft.worker.reporting import observe
from undercroft.worker.start import Start
from undercroft.worker.turnstile import Turnstile

if TYPE_CHECKING:
    from collections.abc import Iterable

    from undercroft.dependency.config import EngineConfig
    from undercroft.dependency.context import Provider
    from undercroft.worker.tomb import Tomb
    from undercroft_hookspecs.manifold import Manifold
    from undercroft_hookspecs.worker import Worker


class Machine:
    """Owns the nodes, and everything that happens to them."""

    def __init__(self, engine: Worker, config: EngineConfig, tomb: Tomb) -> None:
        self._engine = engine
        self._config = config
        self._tomb = tomb
        self._loop = asyncio.get_running_loop()
        self.clock = config.clock or SystemClock()
        self._rng = config.rng or random.Random()  # noqa: S311  # Jitter is no secret.
        factor, limit, jitter = config.backoff_factor, config.max_delay, config.jitter
        self._after_failure = Backoff(config.error_delay, factor, limit, jitter, config.backoff_reset_time)
        self._after_bounce = Backoff(config.bounce_delay, factor, limit, jitter, config.backoff_reset_time)
        self._plain = Backoff(config.bounce_delay, jitter=jitter)
        self.nodes: dict[str, Node] = {}
        self.graph = Graph()
        self.journal = Journal(tomb.name, config, self.clock)
        self.judge = Judge(config)
        self.internal: BaseException | None = None
        self._reactions = Reactions(self._fail)
        self.react = self._reactions.run
        self._turnstile = Turnstile(self._loop, self._on_turn)
        self._active = 0  # Nodes with a start or a worker; this engine as its own worker does not count.
        self._dying = False
        self._finished = False
        tomb.hold()
        tomb.stop.subscribe(self._on_stop)

    def add(self, name: str, manifold: Manifold, inputs: Iterable[str]) -> Node:
        """Record a manifold whose name is free. Raises CycleError, with nothing recorded."""
        needed = self.graph.add(name, inputs)
        node = self.nodes[name] = Node(self, name, f"{self._tomb.name}/{name}", manifold, needed)
        return node

    def drop(self, name: str) -> None:
        """Take back an `add` whose node was never asked to start."""
        del self.nodes[name]
        self.graph.remove(name)

    def request_start(self, node: Node, delay: float) -> None:
        """Ask for an attempt, of a node that is stopped."""
        node.state = "starting"
        node.error = None
        if delay > 0:
            node.delay = delay
            node.due = self.clock.monotonic() + delay
            node.timer = alarm(self.clock, delay, partial(self.react, self._begin, node))
        else:
            self._begin(node)

    def request_stop(self, node: Node) -> None:
        """Ask whatever a node is doing to end: a worker or a running start soon, everything else at once."""
        if node.asked:
            return
        if not node.is_begun:
            self._withdraw(node)
            if node.gone is not None:
                self._forget(node)
            return
        node.asked = True
        self.journal.note("stopping", node)
        if node.worker is not None:
            node.state = "stopping"
            self._kill(node, node.worker)
        elif node.start is not None:
            self._disarm(node)
            self._abort(node, node.start)

    def _begin(self, node: Node) -> None:
        node.timer = None
        node.delay = None
        if not node.obstacles:  # Else the end of the last one comes back here: strict bounce.
            node.timer = self._turnstile
            self._turnstile.enter(node)

    def _on_turn(self, node: Node) -> None:
        if self._reactions.is_running:
            self._launch(node)
        else:
            self.react(self._launch, node)

    def _launch(self, node: Node) -> None:
        if node.timer is not self._turnstile:
            return  # It was withdrawn while it waited for its turn.
        node.timer = None
        self.journal.note("starting", node)
        self._active += 1
        view = node.view = StartContext(node, self.nodes, self.clock)
        node.start = view.start = Start(partial(node.call, view), node.start_done, context=node.context, name=node.path)
        if self._config.start_timeout is not None:
            node.watchdog = alarm(
                self.clock, self._config.start_timeout, partial(self.react, self._on_start_timeout, node)
            )

    def _on_start_timeout(self, node: Node) -> None:
        if node.start is not None and not node.start.ended:
            node.timed_out = True
            self.journal.note("stopping", node)
            self._abort(node, node.start)

    def on_start_done(self, node: Node, start: Start) -> None:
        self._disarm(node)
        node.start = node.view = None
        if start.worker is None:
            self._on_end(node, start.error, None)
        elif node.asked or node.timed_out:
            node.doomed = start.worker
            self._kill(node, start.worker)
            self._watch(node, start.worker)
        else:
            self._on_up(node, start.worker)

    def _on_up(self, node: Node, worker: Worker) -> None:
        node.state = "started"
        node.worker = worker
        self._watch(node, worker)
        node.last_error = None
        node.start_count += 1
        node.up_since = self.clock.monotonic()
        if worker is self._engine:
            self._active -= 1
        node.started = self.journal.started(node)
        self._on_change(node, None)

    def on_worker_ended(self, node: Node, error: BaseException | None) -> None:
        if (node.asked or node.timed_out) and was_cancelled(error):
            error = None
        up, ended = node.worker, node.worker or node.doomed
        node.worker = node.doomed = None
        if ended is self._engine and up is not None:
            self._active += 1
        self._on_end(node, error, up)

    def _on_end(self, node: Node, error: BaseException | None, up: Worker | None) -> None:
        """Judge the end of an attempt, or of a worker that had been `up`, and do what follows."""
        self._disarm(node)
        if node.timed_out:
            error = self._timeout(node, error)
        asked, node.asked, node.timed_out, node.hung = node.asked, False, False, False
        node.state = "stopped"
        node.started = None
        self._active -= 1
        meaning, node.error = self._judge(node, error)
        node.last_error = None if asked else node.error
        if up is not None and self._config.strict_bounce and not self._dying:
            hold_back(node, map(self.nodes.__getitem__, self.graph.dependents(node.name)))
        for held in release(node):
            self.react(self._on_free, held)
        self._follow(node, meaning, asked, 0.0 if up is None else self.clock.monotonic() - node.up_since)
        if up is not None:
            self._on_change(node, (up, node.manifold.output))

    def _judge(self, node: Node, error: BaseException | None) -> tuple[Meaning, BaseException | None]:
        if error is None:
            self.journal.note("stopped", node)
            return Meaning.CLEAN, None
        try:
            meaning, judged = self.judge.meaning(error, node.manifold.filter)
            if type(judged) is Missing:
                # Kept for as long as the manifold waits, and all that its start had in hand with it.
                judged.__traceback__ = None
            self.journal.note("stopped", node, judged)
            if meaning is Meaning.FATAL and judged is not None:
                self.journal.note("fatal", node, judged, level=logging.ERROR)
                self._tomb.kill()
                self.judge.remember(judged)
        except BaseException as raised:  # By a deciding callback: the engine dies of it, and this manifold stays down.
            self._fail(raised)
            return Meaning.FATAL, error
        return meaning, judged

    def _follow(self, node: Node, meaning: Meaning, asked: bool, uptime: float) -> None:
        if node.gone is not None:
            self._forget(node)
        elif self._dying or meaning is Meaning.FATAL:
            return
        elif meaning is Meaning.UNINSTALL:
            self._forget(node)
        elif asked:
            node.failures = 0
            self.request_start(node, self._plain_delay())
        elif meaning is Meaning.CLEAN or meaning is Meaning.MISSING:
            node.failures = 0
        else:
            node.failures = 1 if uptime and uptime >= self._config.backoff_reset_time else node.failures + 1
            is_bounce = meaning is Meaning.BOUNCE
            backoff = self._after_bounce if is_bounce else self._after_failure
            delay = backoff.next(node.failures, self._rng) if backoff.delay else 0.0
            level = logging.INFO if is_bounce else logging.WARNING
            self.journal.note("restarting", node, node.error, delay, level=level)
            self.request_start(node, delay)

    def _forget(self, node: Node) -> None:
        del self.nodes[node.name]
        self.graph.remove(node.name)
        self.journal.note("removed", node)
        if node.gone is not None:
            node.gone.fire()

    def _on_change(self, node: Node, before: Provider | None) -> None:
        """Bounce the dependents of a node that has come up or gone down.

        Starts that are running go on seeing what was there before.
        """
        for name in self.graph.dependents(node.name):
            dependent = self.nodes[name]
            if dependent.view is not None and dependent.view.start.begun:
                dependent.view.note(node.name, before)
            if not self._dying:
                self._bounce(dependent)

    def _bounce(self, node: Node) -> None:
        if node.asked:
            return
        if node.is_begun:
            self.request_stop(node)
        elif not self._config.bounce_delay and (node.start is not None or node.timer is self._turnstile):
            # It sees its inputs when it begins: this is the attempt that would come of it.
            node.failures = 0
        else:
            self._withdraw(node)
            self.request_start(node, self._plain_delay())

    def _plain_delay(self) -> float:
        return self._plain.next(1, self._rng) if self._plain.delay else 0.0

    def _withdraw(self, node: Node) -> None:
        """End an attempt whose start function has not been called; nothing if there is none."""
        if node.state == "stopped":
            return
        if node.timer is not None:
            node.timer.cancel()
        if node.start is not None:
            self._disarm(node)
            node.start.cancel()
            node.start = node.view = None
            self._active -= 1
            self.journal.note("stopping", node)
            self.journal.note("stopped", node)
        node.state = "stopped"
        node.timer = node.delay = node.last_error = None
        node.failures = 0

    def _on_free(self, node: Node) -> None:
        if self._dying:
            self.request_stop(node)
        elif node.state == "starting" and node.start is None and node.timer is None and node.doomed is None:
            self._begin(node)

    def _kill(self, node: Node, worker: Worker) -> None:
        if worker is self._engine:
            self.react(self.on_worker_ended, node, None)
            return
        observe(worker.kill)
        if self._config.kill_timeout is not None:
            node.watchdog = alarm(self.clock, self._config.kill_timeout, partial(self.react, self._on_hung, node))

    def _watch(self, node: Node, worker: Worker) -> None:
        if worker is not self._engine:
            watch(worker, node.worker_ended)

    def _abort(self, node: Node, start: Start) -> None:
        assert node.view is not None
        node.view.fire_abort()
        start.cancel()

    def _on_hung(self, node: Node) -> None:
        node.hung = True
        self.journal.note("hung", node, level=logging.ERROR)

    def _disarm(self, node: Node) -> None:
        if node.watchdog is not None:
            node.watchdog.cancel()
            node.watchdog = None

    def _timeout(self, node: Node, cause: BaseException | None) -> TimeoutError:
        error = TimeoutError(f"the start of {node.path} took longer than {self._config.start_timeout:g} s")
        error.__cause__ = cause
        return error

    def _on_stop(self) -> None:
        if self._loop.is_closed():  # Nothing more will happen here; workers with lives of their own are told.
            for node in tuple(self.nodes.values()):
                if node.worker is not None and node.worker is not self._engine:
                    observe(node.worker.kill)
        else:
            self.react(self._on_dying)

    def _on_dying(self) -> None:
        self._dying = True
        self._reactions.on_idle = self._on_idle
        nodes = tuple(self.nodes.values())
        for node in nodes:
            node.obstacles, node.holds = 0, None
            if not node.is_begun:
                self._withdraw(node)
        if self._config.shutdown == "reverse":
            hold_inputs(self.nodes)
        for node in nodes:
            if not node.obstacles:
                self.request_stop(node)

    def _fail(self, error: BaseException) -> None:
        """Die of an internal error."""
        if self.internal is None:
            self.internal = error
        self.journal.internal(error)
        self._tomb.kill()
        if isinstance(error, (SystemExit, KeyboardInterrupt)):
            self._loop.call_soon(_leave, error)

    def _on_idle(self) -> None:
        if not self._active and not self._finished:
            self._finish()

    def _finish(self) -> None:
        self._finished = True
        error = self.internal
        if error is None:
            try:
                error = self.judge.result()
            except BaseException as raised:
                self._fail(raised)
                error = raised
        self._tomb.kill(error)
        self._tomb.release()


def _leave(error: BaseException) -> None:
    """Let SystemExit and KeyboardInterrupt leave the loop, as they do from any callback."""
    raise error
