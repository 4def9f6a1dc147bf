"""What a unit's workers see of the unit itself, its application, its model and its host.

Every facade is bound to one unit of one model. Writes raise StoreUnavailable during an outage; watches wait for its
end.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import msgspec

from undercroft_hookspecs.records import Record
from undercroft_hookspecs.state import Status

if TYPE_CHECKING:
    from undercroft_hookspecs.charm import Scalar
    from undercroft_hookspecs.state import Action, Application, MeterStatus, Model, PortRange, Unit


@runtime_checkable
class UnitFacade(Protocol):
    """The unit's own record."""

    async def unit(self) -> Unit:
        """The unit. Raises NotFoundError when it has been removed."""
        ...

    def watch_unit(self) -> AbstractAsyncContextManager[AsyncIterator[Unit]]:
        """The unit, and again whenever it has changed; ends with NotFoundError when it has been removed."""
        ...

    async def take_up_charm(self, *, url: str, sha256: str) -> None:
        """The unit runs this charm from now on."""

    async def clear_resolved(self) -> None:
        """The unit has done as `resolved` told it."""

    async def set_workload_version(self, version: str) -> None:
        """The version of the software that the charm runs."""

    async def destroy(self) -> None:
        """Let the unit die, as a subordinate does that has lost its last relation; nothing if it is dying."""

    async def remove_subordinates(self) -> None:
        """Let all of the unit's subordinates die."""

    async def ensure_dead(self) -> None:
        """The unit has run its last hook. Raises UnitHasSubordinates while there are any."""


class ApplicationStatuses(Record, frozen=True, kw_only=True):
    """What an application's leader has set (or the worst of its units), and what its units say of themselves."""

    application: Status
    units: Mapping[str, Status] = msgspec.field(default_factory=dict)


@runtime_checkable
class StatusFacade(Protocol):
    """What the unit, its agent and, by its leader, its application say of themselves."""

    async def workload_status(self) -> Status:
        """What the charm has said last; `unknown` if it has said nothing yet."""
        ...

    async def set_workload_status(
        self, current: str, message: str = "", *, data: Mapping[str, object] | None = None
    ) -> None:
        """Say how the workload is; nothing is written, and `since` stays, if it is as it was."""

    async def set_agent_status(
        self, current: str, message: str = "", *, data: Mapping[str, object] | None = None
    ) -> None:
        """Say what the unit's agent is at; nothing is written, and `since` stays, if it is as it was."""

    async def application_statuses(self) -> ApplicationStatuses:
        """The statuses of the application. Raises NotLeaderError."""
        ...

    async def set_application_status(
        self, current: str, message: str = "", *, data: Mapping[str, object] | None = None
    ) -> None:
        """Say how the application is. Raises NotLeaderError."""


@runtime_checkable
class ApplicationFacade(Protocol):
    """The unit's application: which charm it is to run, and whether it is trusted."""

    async def application(self) -> Application:
        """The application. Raises NotFoundError when it has been removed."""
        ...

    def watch_application(self) -> AbstractAsyncContextManager[AsyncIterator[Application]]:
        """The application, and again whenever it has changed; ends with NotFoundError when it has been removed."""
        ...

    async def goal_state(self) -> Mapping[str, object]:
        """What there is to be, as `goal-state` gives it: `units` and `relations` with their statuses."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigHashes:
    """What the hook config-changed is run for; each is another text whenever its matter has changed."""

    config: str
    trust: str
    addresses: str


@runtime_checkable
class ConfigFacade(Protocol):
    """The application's config as the unit's charm reads it."""

    async def settings(self) -> Mapping[str, Scalar]:
        """All options of the unit's present charm; None where one is neither set nor has a default."""
        ...

    def watch_hashes(self) -> AbstractAsyncContextManager[AsyncIterator[ConfigHashes]]:
        """Hashes of what config-changed is run for, and again whenever one has changed."""
        ...


@runtime_checkable
class ModelFacade(Protocol):
    """The unit's model."""

    async def model(self) -> Model:
        """The model's record."""
        ...

    async def model_settings(self) -> Mapping[str, str | bool | int]:
        """All settings of the model, those with their default included."""
        ...

    def watch_update_status_seconds(self) -> AbstractAsyncContextManager[AsyncIterator[float]]:
        """How long to wait between two update-status hooks, and again whenever that has changed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class InterfaceAddress:
    """An address of an interface; `cidr` is the subnet that it is in, `hostname` the name that it was resolved from."""

    value: str
    cidr: str = ""
    hostname: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkInterface:
    """An interface of the unit's host, with those of its addresses that a binding may use."""

    name: str
    mac_address: str = ""
    addresses: Sequence[InterfaceAddress] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkInfo:
    """How the unit is reached by one of its bindings. The first address of each kind is the best."""

    bind_addresses: Sequence[str]
    ingress_addresses: Sequence[str]
    egress_subnets: Sequence[str]
    hostname: str = ""
    interfaces: Sequence[NetworkInterface] = ()
    """Where the bind addresses are, in their order; empty where that is not known."""


@runtime_checkable
class NetworkFacade(Protocol):
    """The addresses of the unit's host, and the ports that are open on its machine."""

    async def network_info(self, binding: str) -> NetworkInfo:
        """How the unit is reached by an endpoint or an extra binding.

        Raises:
            NotFoundError: the unit's charm has no such binding.
        """
        ...

    async def opened_ports(self) -> Sequence[PortRange]:
        """What the unit has opened, sorted."""
        ...

    async def machine_ports(self) -> Mapping[str, Sequence[PortRange]]:
        """What the units on the unit's machine have opened, by unit."""
        ...


class AttachedResource(Record, frozen=True, kw_only=True):
    """A resource that the application has been given: the blob, and the name to give its file."""

    sha256: str
    size_bytes: int
    filename: str
    revision: int = 0


@runtime_checkable
class ResourceFacade(Protocol):
    """The application's resources."""

    async def resource(self, name: str) -> AttachedResource:
        """A resource.

        Raises:
            NotFoundError: the charm has none of that name, or nobody has attached it.
        """
        ...


@runtime_checkable
class MeterFacade(Protocol):
    """How the unit's metering stands."""

    async def meter_status(self) -> MeterStatus:
        """The unit's own meter status, else its application's, else `NOT SET`."""
        ...

    def watch_meter_status(self) -> AbstractAsyncContextManager[AsyncIterator[MeterStatus]]:
        """The meter status, and again whenever it has changed."""
        ...


@runtime_checkable
class ConnectionFacade(Protocol):
    """Whether what the unit is told can still reach it."""

    def watch_connection(self) -> AbstractAsyncContextManager[AsyncIterator[bool]]:
        """Whether the store can be reached, and again whenever that has changed."""
        ...


@runtime_checkable
class MeterStatusFacade(Protocol):
    """Whoever hears how the unit's metering stands says it here."""

    async def set_meter_status(self, status: MeterStatus) -> None:
        """The unit's own meter status; nothing if it is that already, or if the unit is dying.

        Raises:
            NotFoundError: the unit has been removed.
            NotValidError: the code is not GREEN, AMBER or RED, which are those that can be set.
        """


@runtime_checkable
class ActionFacade(Protocol):
    """The tasks that operators have given the unit: actions, and commands."""

    def watch_pending(self) -> AbstractAsyncContextManager[AsyncIterator[Sequence[Action]]]:
        """The tasks that are not finished, the oldest first; one whose status is `aborting` is to be stopped."""
        ...

    async def begin(self, action: int) -> Action:
        """Mark a task as running.

        Raises:
            NotFoundError: the unit has no such task.
            NotValidError: it is not pending: it was begun before, or cancelled.
        """
        ...

    async def log(self, action: int, message: str) -> None:
        """Add a line to a running task's progress."""

    async def finish(
        self,
        action: int,
        status: str,
        *,
        message: str = "",
        results: Mapping[str, object] | None = None,
    ) -> None:
        """End a task as `completed`, `failed`, `aborted` or `cancelled`; nothing if it has ended before."""
