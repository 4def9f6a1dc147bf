"""The facades of the unit's model, by hand, and who leads, and who guards the charm's folder."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec

from undercroft_hookspecs import NotFoundError, NotValidError, UnitHasSubordinates
from undercroft_hookspecs.state import Action, Application, Life, Model, Status, Unit
from undercroft_hookspecs.unit_facades import ApplicationStatuses
from undercroft_uniter.operation.state import CharmReference

THEN = datetime(2024, 1, 1, tzinfo=UTC)

OLD = CharmReference(url="local:shop-0", sha256="a" * 64)
NEW = CharmReference(url="local:shop-1", sha256="b" * 64)


class FakeUnit:
    """`UnitFacade`, over one record that the test sets with `be`; None: it has been removed."""

    def __init__(self, journal: list[str]) -> None:
        self.record: Unit | None = Unit(name="shop/0", machine="0")
        self.journal = journal
        self._changed = asyncio.Event()

    def be(self, **fields: Any) -> None:  # as Unit's own
        """Change the record."""
        assert self.record is not None
        self.record = msgspec.structs.replace(self.record, **fields)
        self._notify()

    def remove(self) -> None:
        """Remove the unit."""
        self.record = None
        self._notify()

    async def unit(self) -> Unit:
        if self.record is None:
            raise NotFoundError("shop/0")
        return self.record

    @asynccontextmanager
    async def watch_unit(self) -> AsyncIterator[AsyncIterator[Unit]]:
        yield self._states()

    async def take_up_charm(self, *, url: str, sha256: str) -> None:
        self.be(charm_url=url, charm=sha256)
        self.journal.append(f"take up {url}")

    async def clear_resolved(self) -> None:
        self.be(resolved="")

    async def set_workload_version(self, version: str) -> None:
        self.be(workload_version=version)

    async def destroy(self) -> None:
        self.be(life=Life.DYING)

    async def remove_subordinates(self) -> None:
        self.journal.append("remove subordinates")

    async def ensure_dead(self) -> None:
        assert self.record is not None
        if self.record.subordinates:
            raise UnitHasSubordinates("shop/0")
        self.be(life=Life.DEAD)
        self.journal.append("dead")

    async def _states(self) -> AsyncIterator[Unit]:
        while True:
            changed = self._changed
            yield await self.unit()
            await changed.wait()

    def _notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


class FakeStatus:
    """`StatusFacade`: `workload` and `agent` have all that was said, the last one last."""

    def __init__(self) -> None:
        self.workload: list[tuple[str, str]] = [("waiting", "waiting for machine")]
        self.agent: list[tuple[str, str]] = [("allocating", "")]
        self.data: dict[str, object] = {}
        self.workload_data: dict[str, object] = {}
        self.failure: Exception | None = None

    async def workload_status(self) -> Status:
        current, message = self.workload[-1]
        return Status(current=current, message=message, since=THEN, data=self.workload_data)

    async def set_workload_status(
        self, current: str, message: str = "", *, data: Mapping[str, object] | None = None
    ) -> None:
        self._fail()
        self.workload.append((current, message))
        self.workload_data = dict(data or {})

    async def set_agent_status(
        self, current: str, message: str = "", *, data: Mapping[str, object] | None = None
    ) -> None:
        self._fail()
        self.agent.append((current, message))
        self.data = dict(data or {})

    async def set(self, current: str, message: str = "", *, data: Mapping[str, object] | None = None) -> None:
        """The seam `AgentStatus`, without its deduplication."""
        await self.set_agent_status(current, message, data=data)

    async def application_statuses(self) -> ApplicationStatuses:
        return ApplicationStatuses(application=await self.workload_status())

    async def set_application_status(
        self, current: str, message: str = "", *, data: Mapping[str, object] | None = None
    ) -> None:
        raise NotImplementedError

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure


class FakeModel:
    """`ModelFacade`."""

    def __init__(self) -> None:
        self.settings: dict[str, str | bool | int] = {"automatically-retry-hooks": True}

    async def model(self) -> Model:
        return Model(uuid="0" * 8, name="default", created=THEN)

    async def model_settings(self) -> Mapping[str, str | bool | int]:
        return self.settings

    @asynccontextmanager
    async def watch_update_status_seconds(self) -> AsyncIterator[AsyncIterator[float]]:
        yield _once(300.0)


class FakeApplication:
    """`ApplicationFacade`, over a record."""

    def __init__(self) -> None:
        self.record = Application(name="shop", charm=OLD.sha256, charm_url=OLD.url, charm_name="shop")

    async def application(self) -> Application:
        return self.record

    @asynccontextmanager
    async def watch_application(self) -> AsyncIterator[AsyncIterator[Application]]:
        yield _once(self.record)

    async def goal_state(self) -> Mapping[str, object]:
        return {}


class FakeActions:
    """`ActionFacade`: `ended` has how each action ended."""

    def __init__(self, journal: list[str]) -> None:
        self.begun: list[int] = []
        self.ended: dict[int, tuple[str, str]] = {}
        self.refusal: Exception | None = None
        self.journal = journal

    @asynccontextmanager
    async def watch_pending(self) -> AsyncIterator[AsyncIterator[Sequence[Action]]]:
        yield _once(())

    async def begin(self, action: int) -> Action:
        if self.refusal is not None:
            raise self.refusal
        if action in self.begun:
            raise NotValidError("it is not pending", field="action")
        self.begun.append(action)
        return Action(id=action, operation=action, unit="shop/0", name="backup", enqueued=THEN, status="running")

    async def log(self, action: int, message: str) -> None:
        raise NotImplementedError

    async def finish(
        self, action: int, status: str, *, message: str = "", results: Mapping[str, object] | None = None
    ) -> None:
        self.ended.setdefault(action, (status, message))
        self.journal.append(f"action {action} {status}")


class FakeLog:
    """`UnitLog`: what the agent has said, and how loud."""

    def __init__(self) -> None:
        self.own: list[tuple[int, str, str]] = []

    def write(self, level: int, module: str, message: str) -> None:
        raise NotImplementedError

    def write_own(self, level: int, room: str, message: str) -> None:
        self.own.append((level, room, message))


async def _once(item: Any) -> AsyncIterator[Any]:  # whatever a watch yields
    yield item
    await asyncio.Event().wait()


class FakeLeadership:
    """`Leadership`."""

    def __init__(self) -> None:
        self.leads = False

    def is_leader(self) -> bool:
        return self.leads

    async def guarantee(self) -> bool:
        return self.leads

    async def changed(self) -> None:
        await asyncio.Event().wait()


class FakeGuard:
    """`Guard` of the charm's folder."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.aborts: list[object] = []

    async def unlock(self) -> None:
        self.calls.append("unlock")

    async def lockdown(self, *, abort: object = None) -> None:
        self.calls.append("lockdown")
        self.aborts.append(abort)
