"""The agent put together: the composition root, and its life from the first start to the last stop."""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from undercroft import RESTART_DELAY, SystemClock, Tomb, outcome
from undercroft.agent.announce import Announcer, summary
from undercroft.agent.blueprint import Draughtsman
from undercroft.agent.control import AgentControl
from undercroft.agent.control_socket import serve
from undercroft.agent.desk import AgentDesk
from undercroft.agent.ending import ForcedStopError
from undercroft.agent.events import Events
from undercroft.agent.handle import Handles
from undercroft.agent.meter import Instruments
from undercroft.agent.plugin_engine import PluginEngine, Surroundings
from undercroft.agent.quarantine import Limit
from undercroft.agent.reload import Reloader
from undercroft.agent.settling import settled
from undercroft.agent.site import Site
from undercroft.agent.systemd import Notifier
from undercroft.agent.top import ProcessRole, outputs_manifold, state_manifolds
from undercroft.agent.units import UnitRooms
from undercroft.agent.waiting import first, within
from undercroft.process import SystemProcess
from undercroft.worker.lifecycle import TombWorker
from undercroft_hookspecs import Control, Role, Samples, UnitEngines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from undercroft.agent.setup import Setup
    from undercroft_hookspecs import Clock, Event, Process

_log = logging.getLogger(__name__)

NAME = "agent"
EVENT_HOOK = "undercroft_worker_event"
READY_SECONDS = 10.0
LEAVING_SECONDS = 2.0


class HostAgent(TombWorker):
    """The agent as a Worker and a Reporter: everything that a Setup says, from the constructor on, until it is killed.

    `wait` raises the AgentSignal that a worker ended the agent with, and ForcedStopError if workers did not end within
    `budget_seconds` of the stop, or `force` was called meanwhile.
    """

    def __init__(
        self,
        setup: Setup,
        *,
        clock: Clock | None = None,
        process: Process | None = None,
        notifier: Notifier | None = None,
        new_rng: Callable[[], random.Random] = random.Random,
        budget_seconds: float = 60.0,
        error_delay: float = RESTART_DELAY,
    ) -> None:
        """Ask every plugin for its manifolds, and begin.

        Raises:
            ConfigError: the store's URL cannot be opened by anything that is installed.
            RequiredPluginError, StrictError: plugins that must be active are not.
        """
        self._budget_seconds = budget_seconds
        self._clock: Clock = clock or SystemClock()
        self._filled, self._ending, self._forced = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._reload_wanted = asyncio.Event()
        self._site = _site(setup, self._clock, process or SystemProcess(clock=self._clock), new_rng)
        self._site.surroundings.error_delay = error_delay
        self._reloader = Reloader(self._site)
        self.control = AgentControl(AgentDesk(self._site, reload=self._reload))
        _draw(self._site, self.control)
        self._announcer = Announcer(notifier or Notifier({}), self.report, self._clock)
        self._tomb = Tomb(NAME, clock=self._clock)
        self._tomb.go(self._run(), name=NAME)
        self._tomb.go(self._heed_stop(), name=f"{NAME}: stop")
        self._tomb.go(self._announce_ready(), name=f"{NAME}: ready", grace=0)
        self._tomb.go(self._announcer.ping(), name=f"{NAME}: watchdog", grace=0)
        self._tomb.go(self._heed_reloads(), name=f"{NAME}: reloads", grace=0)

    def report(self) -> dict[str, object]:
        """The top engine's report, with the names in quarantine."""
        return self._site.top.report()

    def force(self) -> None:
        """Stop waiting for workers that do not end."""
        self.kill()
        self._forced.set()

    def request_reload(self) -> None:
        """Have the config read again; requests that come meanwhile are one more reload after it."""
        self._reload_wanted.set()

    async def settled(self) -> None:
        """Return when every worker is up, waits for an input, has failed or is done; after READY_SECONDS anyway."""
        with suppress(TimeoutError):
            await within(self._clock, READY_SECONDS, self._settled())

    @property
    def events(self) -> Events:
        """Every engine's events."""
        return self._site.events

    @property
    def top(self) -> PluginEngine:
        """The top engine."""
        return self._site.top

    async def _run(self) -> None:
        top = self._site.top
        ended = asyncio.ensure_future(outcome(top))
        ended.add_done_callback(lambda _: self._ending.set())
        try:
            with self._observed():
                async with serve(self.control, self._site.setup.data_dir):
                    await top.fill()
                    self._filled.set()
                    await self._ending.wait()
                    await self._run_down(ended)
        except BaseException:
            top.kill()
            await ended
            raise
        if not ended.done():
            ended.cancel()
            raise ForcedStopError(sorted(top.present))
        error = ended.result()
        if error is not None:
            raise error

    async def _run_down(self, ended: asyncio.Future[BaseException | None]) -> None:
        """Stop everything, and return when it has ended or there is no waiting for it any longer."""
        top = self._site.top
        top.kill()
        telling = asyncio.ensure_future(self._announcer.stopping())
        try:
            await first(ended, self._clock.sleep(self._budget_seconds), self._forced.wait())
            if not ended.done():
                _log.error("these workers are still up, and are left in a moment: %s", ", ".join(sorted(top.present)))
                top.kill_everything()
                await first(ended, self._clock.sleep(LEAVING_SECONDS))
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)

    async def _settled(self) -> None:
        await self._filled.wait()
        await settled(self.report, self.events)

    async def _heed_stop(self) -> None:
        await self._tomb.stop.wait()
        self._ending.set()

    async def _announce_ready(self) -> None:
        await self.settled()
        self._announcer.ready()
        _log.info("ready: %s", summary(self.report()))

    async def _heed_reloads(self) -> None:
        await self._filled.wait()
        while True:
            await self._reload_wanted.wait()
            self._reload_wanted.clear()
            try:
                await self._reload()
            except Exception:  # The edge to the operator: the agent runs on as it was.
                _log.exception("the reload failed")

    async def _reload(self) -> dict[str, object]:
        self._announcer.reloading()
        try:
            return await self._reloader.reload()
        finally:
            self._announcer.ready()

    @contextmanager
    def _observed(self) -> Iterator[None]:
        hooks = self._site.setup.registry.hooks
        observers = (self._on_event, self._announcer.on_event, lambda event: hooks.tell(EVENT_HOOK, event=event))
        forget = [self.events.observe(observer) for observer in observers]
        try:
            yield
        finally:
            for end in forget:
                end()

    def _on_event(self, event: Event) -> None:
        if event.kind == "fatal" and event.path.startswith(f"{NAME}/"):
            self._ending.set()


def _site(setup: Setup, clock: Clock, process: Process, new_rng: Callable[[], random.Random]) -> Site:
    config, events = setup.registry.config, Events()
    handles = Handles(
        setup.registry,
        host=setup.host,
        data_dir=setup.data_dir,
        clock=clock,
        process=process,
        instruments=Instruments(),
        new_rng=new_rng,
    )
    surroundings = Surroundings(
        clock=clock,
        limit=Limit(config.restart_limit.failures, config.restart_limit.seconds),
        allow_reboot=config.allow_reboot,
        events=events,
    )
    return Site(setup=setup, handles=handles, events=events, surroundings=surroundings)


def _draw(site: Site, control: Control) -> None:
    """Add what the plugins contribute, and the engine that is filled with it."""
    outputs: dict[type, object] = {
        Control: control,
        Samples: site.handles.instruments,
        UnitEngines: UnitRooms(site),
        Role: ProcessRole("agent"),
    }
    setup = site.setup
    state = state_manifolds(setup.registry, host=setup.host, data_dir=setup.data_dir, clock=site.surroundings.clock)
    site.draughtsman = Draughtsman(site.handles, {"agent": outputs_manifold(outputs), **state})
    site.blueprint = site.draughtsman.draw()
    setup.check()
    site.top = PluginEngine(NAME, site.blueprint.top.claims, site.surroundings)
