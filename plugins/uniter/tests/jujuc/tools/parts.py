"""Every part of a hook that tools ask for, held in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeVar

from undercroft_hookspecs.charm import Scalar
from undercroft_hookspecs.errors import (
    NotFoundError,
    NotLeaderError,
    NotPermittedError,
    UndercroftError,
)
from undercroft_hookspecs.hook_facades import OwnedSecret, Rotation, SecretContent
from undercroft_hookspecs.hook_tools import (
    HookStorage,
    RelationContext,
)
from undercroft_hookspecs.state import PortRange, Secret, Status
from undercroft_hookspecs.unit_facades import ApplicationStatuses, NetworkInfo

T = TypeVar("T")
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
UNIT, APPLICATION = "shop/0", "shop"


@dataclass
class FakeLog:
    lines: list[tuple[int, str]] = field(default_factory=list)

    def log(self, level: int, message: str) -> None:
        self.lines.append((level, message))


@dataclass
class FakeLeadership:
    leads: bool = True
    settings: dict[str, str] = field(default_factory=dict)
    failure: UndercroftError | None = None
    merged: list[Mapping[str, str]] = field(default_factory=list)

    async def is_leader(self) -> bool:
        self._look()
        return self.leads

    async def leader_settings(self) -> Mapping[str, str]:
        self._look()
        return self.settings

    async def merge_leader_settings(self, changes: Mapping[str, str]) -> None:
        self._look()
        self.need()
        self.merged.append(changes)

    def need(self) -> None:
        """Refuse who does not lead."""
        if not self.leads:
            raise NotLeaderError(f"unit {UNIT} is not the leader of {APPLICATION}")

    def _look(self) -> None:
        if self.failure is not None:
            raise self.failure


@dataclass
class FakeStatus:
    leadership: FakeLeadership
    unit: Status = field(default_factory=lambda: Status(current="active", since=NOW))
    application: ApplicationStatuses = field(
        default_factory=lambda: ApplicationStatuses(application=Status(current="unknown", since=NOW))
    )
    written: list[tuple[str, ...]] = field(default_factory=list)
    failure: UndercroftError | None = None

    async def unit_status(self) -> Status:
        return self.unit

    async def set_unit_status(self, current: str, message: str) -> None:
        self.written.append(("unit", current, message))

    async def application_statuses(self) -> ApplicationStatuses:
        self.leadership.need()
        return self.application

    async def set_application_status(self, current: str, message: str) -> None:
        self.leadership.need()
        self.written.append(("application", current, message))

    async def set_workload_version(self, version: str) -> None:
        if self.failure is not None:
            raise self.failure
        self.written.append(("version", version))


@dataclass
class FakeConfig:
    values: dict[str, Scalar] = field(default_factory=dict)

    async def settings(self) -> Mapping[str, Scalar]:
        return self.values


@dataclass
class FakeRelations:
    leadership: FakeLeadership
    known: dict[int, RelationContext] = field(default_factory=dict)
    current: RelationContext | None = None
    remote_unit: str = ""
    remote_application: str = ""
    said: dict[tuple[int, str], dict[str, str]] = field(default_factory=dict)
    gone: set[int] = field(default_factory=set)
    written: list[tuple[int, Mapping[str, str], bool]] = field(default_factory=list)

    def relations(self) -> Mapping[int, RelationContext]:
        return self.known

    async def read(self, relation: int, name: str) -> Mapping[str, str]:
        if relation in self.gone:
            raise NotFoundError(str(relation), f"relation {relation} not found")
        if name == APPLICATION and not self.known[relation].is_peer:
            self.leadership.need()
        if (relation, name) not in self.said:
            message = f'cannot read settings for unit "{name}" in relation "shop:db mysql:server": settings not found'
            raise NotFoundError(name, message)
        return self.said[relation, name]

    async def set(self, relation: int, changes: Mapping[str, str], *, application: bool) -> None:
        if application:
            self.leadership.need()
        self.written.append((relation, changes, application))

    async def model_uuid(self, relation: int) -> str:
        return f"00000000-0000-4000-8000-{relation:012}"

    def add(self, relation: RelationContext) -> RelationContext:
        """Let the unit be in a relation."""
        self.known[relation.id] = relation
        return relation


@dataclass
class FakePorts:
    opened: list[PortRange] = field(default_factory=list)
    asked: list[tuple[str, list[str]]] = field(default_factory=list)
    failure: UndercroftError | None = None

    async def open_ports(self, ports: Sequence[PortRange]) -> None:
        if self.failure is not None:
            raise self.failure
        self.asked.append(("open", _written(ports)))

    async def close_ports(self, ports: Sequence[PortRange]) -> None:
        self.asked.append(("close", _written(ports)))

    async def opened_ports(self) -> Sequence[PortRange]:
        return self.opened


def _written(ports: Sequence[PortRange]) -> list[str]:
    return [f"{one}@{one.endpoint}" if one.endpoint else str(one) for one in ports]


@dataclass
class FakeNetwork:
    bindings: dict[str, NetworkInfo] = field(default_factory=dict)
    private: str = "10.0.0.5"
    public: str = "198.51.100.7"

    async def network_info(self, binding: str) -> NetworkInfo:
        if binding not in self.bindings:
            raise NotFoundError(binding)
        return self.bindings[binding]

    async def addresses(self) -> tuple[str, str]:
        return self.private, self.public


@dataclass
class FakeCharmState:
    state: dict[str, str] = field(default_factory=dict)
    changes: list[Mapping[str, str | None]] = field(default_factory=list)

    async def charm_state(self) -> Mapping[str, str]:
        return self.state

    async def change_charm_state(self, changes: Mapping[str, str | None]) -> None:
        self.changes.append(changes)


@dataclass
class FakeAction:
    parameters: Mapping[str, object] = field(default_factory=dict)
    results: list[tuple[tuple[str, ...], str]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    progress: list[str] = field(default_factory=list)

    def set_result(self, path: Sequence[str], value: str) -> None:
        self.results.append((tuple(path), value))

    def fail(self, message: str) -> None:
        self.failures.append(message)

    async def log(self, message: str) -> None:
        self.progress.append(message)


@dataclass
class FakeStorage:
    current: str = ""
    pieces: dict[str, HookStorage] = field(default_factory=dict)
    asked: list[Mapping[str, int]] = field(default_factory=list)

    async def attached(self) -> Mapping[str, HookStorage]:
        return self.pieces

    async def add(self, counts: Mapping[str, int]) -> None:
        self.asked.append(counts)


@dataclass
class FakeSecrets:
    leadership: FakeLeadership
    content: dict[str, dict[str, str]] = field(default_factory=dict)
    owned: dict[str, Secret] = field(default_factory=dict)
    forbidden: set[str] = field(default_factory=set)
    calls: list[tuple[str, dict[str, object]]] = field(default_factory=list)

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
        if owner == "application":
            self.leadership.need()
        self._note("add", content=dict(content), owner=owner, label=label)
        self._note("about", description=description, rotation=rotation, expires=expires)
        return "9m4e2mr0ui3e8a215n4g"

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
        self._own(name)
        self._note("update", name=name, content=content, label=label)
        self._note("about", description=description, rotation=rotation, expires=expires)

    async def read_secret(
        self, name: str, *, label: str = "", refresh: bool = False, peek: bool = False
    ) -> SecretContent:
        if name not in self.content:
            raise NotFoundError(name)
        self._note("read", name=name, label=label, refresh=refresh, peek=peek)
        return SecretContent(id=name, revision=1, content=self.content[name])

    async def owned_secrets(self) -> Mapping[str, OwnedSecret]:
        return {name: OwnedSecret(secret=secret) for name, secret in self.owned.items()}

    async def secret_grants(self, name: str) -> Mapping[str, int | None]:
        self._own(name)
        return {}

    async def grant_secret(self, name: str, *, relation: int, unit: str = "") -> None:
        self._own(name)
        self._note("grant", name=name, relation=relation, unit=unit)

    async def revoke_secret(
        self, name: str, *, relation: int | None = None, application: str = "", unit: str = ""
    ) -> None:
        self._own(name)
        self._note("revoke", name=name, relation=relation, application=application, unit=unit)

    async def remove_secret(self, name: str, *, revision: int | None = None) -> None:
        self._own(name)
        self._note("remove", name=name, revision=revision)

    def _own(self, name: str) -> None:
        if name not in self.owned:
            raise NotFoundError(name)
        if name in self.forbidden:
            raise NotPermittedError(f'secret "{name}" is not a secret of {UNIT}')
        if self.owned[name].owner == APPLICATION:
            self.leadership.need()

    def _note(self, what: str, **details: object) -> None:
        self.calls.append((what, details))


@dataclass
class FakeResources:
    files: dict[str, Path] = field(default_factory=dict)

    async def resource(self, name: str) -> Path:
        if name not in self.files:
            raise NotFoundError(name, f'resource "{name}" of {APPLICATION} not found')
        return self.files[name]


@dataclass
class FakeReboot:
    asked: list[bool] = field(default_factory=list)
    failure: UndercroftError | None = None

    async def request_reboot(self, *, now: bool) -> None:
        if self.failure is not None:
            raise self.failure
        self.asked.append(now)


@dataclass
class FakeGoals:
    document: Mapping[str, object] = field(default_factory=dict)

    async def goal_state(self) -> Mapping[str, object]:
        return self.document


@dataclass
class FakeCredential:
    document: Mapping[str, object] | None = None

    async def credential(self) -> Mapping[str, object]:
        if self.document is None:
            raise NotPermittedError("permission denied")
        return self.document
