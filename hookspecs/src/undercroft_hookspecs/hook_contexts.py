"""The parts of a hook that hook tools ask for, each a narrow Protocol: `context.get(StatusContext)`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from undercroft_hookspecs.charm import Scalar
    from undercroft_hookspecs.hook_facades import OwnedSecret, Rotation, SecretContent
    from undercroft_hookspecs.state import PortRange, Status
    from undercroft_hookspecs.unit_facades import ApplicationStatuses, NetworkInfo


@runtime_checkable
class LogContext(Protocol):
    """The unit's log."""

    def log(self, level: int, message: str) -> None:
        """Write a line now, whatever becomes of the hook; `level` is one of logging's."""


@runtime_checkable
class StatusContext(Protocol):
    """Statuses; written at once."""

    async def unit_status(self) -> Status:
        """What the charm last said, as it was when this hook first asked."""
        ...

    async def set_unit_status(self, current: str, message: str) -> None:
        """Say how the workload is."""

    async def application_statuses(self) -> ApplicationStatuses:
        """The application's status and its units'. Raises NotLeaderError."""
        ...

    async def set_application_status(self, current: str, message: str) -> None:
        """Say how the application is. Raises NotLeaderError."""

    async def set_workload_version(self, version: str) -> None:
        """Say which version of the software runs."""


@runtime_checkable
class LeadershipContext(Protocol):
    """Leadership; what a leader says is written at once."""

    async def is_leader(self) -> bool:
        """True: the unit leads for 30 s at least. Once False, False for the whole hook."""
        ...

    async def leader_settings(self) -> Mapping[str, str]:
        """What the leader has said."""
        ...

    async def merge_leader_settings(self, changes: Mapping[str, str]) -> None:
        """Say something; an empty value deletes. Raises NotLeaderError."""


@runtime_checkable
class ConfigContext(Protocol):
    """The application's config."""

    async def settings(self) -> Mapping[str, Scalar]:
        """All options, None where one is neither set nor has a default; the same for the whole hook."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RelationContext:
    """A relation as a hook sees it: its members do not change while the hook runs."""

    id: int
    endpoint: str
    remote_application: str
    members: tuple[str, ...]
    """The remote units, sorted as text; a departing one is not among them."""
    is_peer: bool = False
    is_dead: bool = False

    def __str__(self) -> str:
        return f"{self.endpoint}:{self.id}"


@runtime_checkable
class RelationsContext(Protocol):
    """Relations. What a hook sets is read back by it, and written when the hook has succeeded."""

    @property
    def current(self) -> RelationContext | None:
        """The relation that the hook is run for."""
        ...

    @property
    def remote_unit(self) -> str:
        """The remote unit that the hook is run for; empty if for none."""
        ...

    @property
    def remote_application(self) -> str:
        """The remote application that the hook is run for; empty if for none."""
        ...

    def relations(self) -> Mapping[int, RelationContext]:
        """The unit's relations, by id."""
        ...

    async def read(self, relation: int, name: str) -> Mapping[str, str]:
        """What a unit or an application has said; its own: with what this hook has set.

        Raises:
            NotFoundError: that unit has never been in the relation.
            NotPermittedError: it is not for this unit to read.
            NotLeaderError: it is the unit's own application, the unit does not lead it, and they are no peers.
        """
        ...

    async def set(self, relation: int, changes: Mapping[str, str], *, application: bool) -> None:
        """Say something, as the unit or (by its leader) as the application; an empty value deletes.

        Raises:
            NotLeaderError: the unit does not lead the application.
            TooLarge: it would not fit.
        """

    async def model_uuid(self, relation: int) -> str:
        """The model of the relation's other side."""
        ...


@runtime_checkable
class PortsContext(Protocol):
    """Ports; opened and closed when the hook has succeeded."""

    async def open_ports(self, ports: Sequence[PortRange]) -> None:
        """Ask for ranges to be opened. Raises NotValidError where one conflicts."""

    async def close_ports(self, ports: Sequence[PortRange]) -> None:
        """Ask for ranges to be closed; one that is not open is no error."""

    async def opened_ports(self) -> Sequence[PortRange]:
        """What the unit has open, with what this hook has asked for."""
        ...


@runtime_checkable
class NetworkContext(Protocol):
    """Addresses."""

    async def network_info(self, binding: str) -> NetworkInfo:
        """How the unit is reached by a binding. Raises NotFoundError: the charm has no such binding."""
        ...

    async def addresses(self) -> tuple[str, str]:
        """The unit's private and its public address; empty where there is none."""
        ...


@runtime_checkable
class CharmStateContext(Protocol):
    """What the charm keeps with `state-set`; written when the hook has succeeded."""

    async def charm_state(self) -> Mapping[str, str]:
        """All of it, with what this hook has changed."""
        ...

    async def change_charm_state(self, changes: Mapping[str, str | None]) -> None:
        """Set some keys, and delete those whose value is None. Raises TooLarge."""


@runtime_checkable
class ActionContext(Protocol):
    """The action that the tool is called in; only an action has it."""

    @property
    def parameters(self) -> Mapping[str, object]:
        """The action's parameters, with the defaults of its schema."""
        ...

    def set_result(self, path: Sequence[str], value: str) -> None:
        """Add to the results, nested by `path`; a later value takes the place of an earlier."""

    def fail(self, message: str) -> None:
        """The action has failed, whatever its exit status."""

    async def log(self, message: str) -> None:
        """Report progress, at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HookStorage:
    """A piece of storage that the unit has attached."""

    id: str
    kind: Literal["block", "filesystem"]
    location: str


@runtime_checkable
class StorageContext(Protocol):
    """Storage."""

    @property
    def current(self) -> str:
        """The id of the storage that the hook is run for; empty if for none."""
        ...

    async def attached(self) -> Mapping[str, HookStorage]:
        """What is attached, and has been announced to the charm, by id."""
        ...

    async def add(self, counts: Mapping[str, int]) -> None:
        """Ask for more pieces of a store of the charm, when the hook has succeeded.

        Raises NotFoundError: the charm has no such store.
        """


@runtime_checkable
class SecretsContext(Protocol):
    """Secrets. What a hook does to them is seen by it at once, and kept when it has succeeded.

    A secret is named by `secret:<id>`, `secret://<model>/<id>`, a bare id, or the unit's own label for it.
    """

    async def add_secret(
        self,
        content: Mapping[str, str],
        *,
        owner: Literal["unit", "application"],
        label: str = "",
        description: str = "",
        rotation: Rotation = "never",
        expires: datetime | None = None,
    ) -> str:
        """Make a secret, and give its id. Raises NotLeaderError for one of the application."""
        ...

    async def update_secret(
        self,
        name: str,
        *,
        content: Mapping[str, str] | None = None,
        label: str | None = None,
        description: str | None = None,
        rotation: Rotation | None = None,
        expires: datetime | None = None,
    ) -> None:
        """Change what is not None. Raises NotFoundError, NotLeaderError."""

    async def read_secret(
        self, name: str, *, label: str = "", refresh: bool = False, peek: bool = False
    ) -> SecretContent:
        """The content that the unit follows, or with `refresh` or `peek` the latest. Raises NotFoundError."""
        ...

    async def owned_secrets(self) -> Mapping[str, OwnedSecret]:
        """What the unit may write to, by id."""
        ...

    async def secret_grants(self, name: str) -> Mapping[str, int | None]:
        """Who may read a secret of the unit's, and for as long as which relation lasts."""
        ...

    async def grant_secret(self, name: str, *, relation: int, unit: str = "") -> None:
        """Let the application (or one unit) at the other end of a relation read a secret."""

    async def revoke_secret(
        self, name: str, *, relation: int | None = None, application: str = "", unit: str = ""
    ) -> None:
        """Let somebody read a secret no longer."""

    async def remove_secret(self, name: str, *, revision: int | None = None) -> None:
        """Remove a secret, or one revision of it."""


@runtime_checkable
class ResourcesContext(Protocol):
    """The application's resources."""

    async def resource(self, name: str) -> Path:
        """The file of a resource, fetched if need be.

        Raises NotFoundError: the charm has none of that name, or nobody has attached it.
        """
        ...


@runtime_checkable
class RebootContext(Protocol):
    """Reboot of the machine; an action does not have it."""

    async def request_reboot(self, *, now: bool) -> None:
        """Reboot after the hook, if it succeeds; or `now`: the hook is killed, and run again after the reboot."""


@runtime_checkable
class GoalStateContext(Protocol):
    """What there is to be."""

    async def goal_state(self) -> Mapping[str, object]:
        """`units` and `relations`, with their statuses."""
        ...


@runtime_checkable
class CredentialContext(Protocol):
    """The cloud's credential, for an application that is trusted with it."""

    async def credential(self) -> Mapping[str, object]:
        """The cloud and its credential. Raises NotPermittedError: not trusted, or there is no cloud."""
        ...
