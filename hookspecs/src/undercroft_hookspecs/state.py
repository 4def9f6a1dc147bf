"""The records of a model: what operators and units want, and what is."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Literal

import msgspec

from undercroft_hookspecs.records import Record


class Life(StrEnum):
    """Where in its life an entity is. One that is dead is only waiting to be removed."""

    ALIVE = "alive"
    DYING = "dying"
    DEAD = "dead"


class Status(Record, frozen=True, kw_only=True):
    """What something says of itself, and since when."""

    current: str
    since: datetime
    message: str = ""
    data: Mapping[str, object] = msgspec.field(default_factory=dict)


class Host(Record, frozen=True, kw_only=True):
    """A host of the fleet, in all models."""

    id: str
    hostname: str
    base: str = ""
    """Its distribution, as `ubuntu@22.04`."""
    addresses: tuple[str, ...] = ()
    cores: int = 0
    memory_mib: int = 0


class Model(Record, frozen=True, kw_only=True):
    """A model. `config` holds what was set; what was not has its default."""

    uuid: str
    name: str
    owner: str = "admin"
    life: Life = Life.ALIVE
    created: datetime
    config: Mapping[str, object] = msgspec.field(default_factory=dict)


class Machine(Record, frozen=True, kw_only=True):
    """A host's appearance in a model, or a container on it."""

    id: str
    host: str
    life: Life = Life.ALIVE
    created: datetime | None = None
    ports_opened: int = 0
    """How often one of its units has opened ports: two that do so at the same time have to meet."""
    mount_points: int = 0
    """How often one of its units was given a mount point of its charm's choice; as above."""


class Application(Record, frozen=True, kw_only=True):
    """An application. Its config is a record of its own, so that a change of one does not touch the other."""

    name: str
    charm: str
    """The SHA-256 of the charm's archive."""
    charm_url: str
    """`local:NAME-REVISION`; a new one each time that the charm is refreshed."""
    charm_name: str
    charm_modified_version: int = 0
    """Grows when the charm or a resource is changed in place."""
    force_charm: bool = False
    """Units in error take up the charm, too."""
    channel: str = ""
    life: Life = Life.ALIVE
    subordinate: bool = False
    exposed: bool = False
    trust: bool = False
    next_unit: int = 0
    bindings: Mapping[str, str] = msgspec.field(default_factory=dict)
    storage: Mapping[str, str] = msgspec.field(default_factory=dict)
    """The storage directives given at deployment, by the store's name."""
    resources: Mapping[str, str] = msgspec.field(default_factory=dict)
    """The SHA-256 of each resource that was attached."""


class Unit(Record, frozen=True, kw_only=True):
    """A unit. Its statuses, ports and charm state are records of their own."""

    name: str
    machine: str
    life: Life = Life.ALIVE
    created: datetime | None = None
    charm_url: str = ""
    """What it runs now; empty before its first install."""
    charm: str = ""
    """The SHA-256 of the archive that it runs now."""
    principal: str = ""
    """For a subordinate, the unit beside which it lives."""
    subordinates: tuple[str, ...] = ()
    resolved: Literal["", "retry-hooks", "no-hooks"] = ""
    workload_version: str = ""


class RemovedUnit(Record, frozen=True, kw_only=True):
    """A unit whose record is no longer there, kept until its host has nothing left of it. Another one may have its
    name; `created` tells them apart."""

    model: str
    """The model's UUID."""
    unit: str
    created: datetime | None = None


class Endpoint(Record, frozen=True, kw_only=True):
    """One side of a relation."""

    application: str
    name: str
    interface: str
    role: Literal["provider", "requirer", "peer"]
    scope: Literal["global", "container"] = "global"

    def __str__(self) -> str:
        return f"{self.application}:{self.name}"


class Relation(Record, frozen=True, kw_only=True):
    """A relation: two endpoints, or one for peers. Which units are in its scope is kept beside it."""

    id: int
    endpoints: tuple[Endpoint, ...]
    life: Life = Life.ALIVE
    suspended: bool = False
    status: Status | None = None

    @property
    def key(self) -> str:
        """`requirer:endpoint provider:endpoint`, as Juju writes it; `application:endpoint` for peers."""
        ordered = sorted(self.endpoints, key=lambda endpoint: ("requirer", "provider", "peer").index(endpoint.role))
        return " ".join(str(endpoint) for endpoint in ordered)

    @property
    def scope(self) -> Literal["global", "container"]:
        """`container` if either side says so: then units see only those on their own principal."""
        return "container" if any(endpoint.scope == "container" for endpoint in self.endpoints) else "global"


class Settings(Record, frozen=True, kw_only=True):
    """A bag of settings, of a unit or an application in a relation."""

    values: Mapping[str, str] = msgspec.field(default_factory=dict)


class PortRange(Record, frozen=True, kw_only=True, order=True):
    """An opened range of ports; -1 for icmp. An empty endpoint: all of them."""

    protocol: Literal["tcp", "udp", "icmp"]
    first: int
    last: int
    endpoint: str = ""

    def __str__(self) -> str:
        if self.protocol == "icmp":
            return "icmp"
        ports = str(self.first) if self.first == self.last else f"{self.first}-{self.last}"
        return f"{ports}/{self.protocol}"


class Action(Record, frozen=True, kw_only=True):
    """A task of an operation: one action, or commands (`juju-exec`), on one unit."""

    id: int
    operation: int
    unit: str
    name: str
    parameters: Mapping[str, object] = msgspec.field(default_factory=dict)
    parallel: bool = False
    execution_group: str = ""
    status: Literal["pending", "running", "aborting", "completed", "failed", "cancelled", "aborted"] = "pending"
    message: str = ""
    results: Mapping[str, object] = msgspec.field(default_factory=dict)
    log: tuple[tuple[datetime, str], ...] = ()
    enqueued: datetime
    started: datetime | None = None
    completed: datetime | None = None


class Secret(Record, frozen=True, kw_only=True):
    """A secret without its content, which its revisions hold, encrypted."""

    id: str
    owner: str
    """`model`, an application, or a unit."""
    label: str = ""
    description: str = ""
    rotation: Literal["never", "hourly", "daily", "weekly", "monthly", "quarterly", "yearly"] = "never"
    next_rotation: datetime | None = None
    auto_prune: bool = False
    created: datetime
    updated: datetime
    latest: int = 1
    revisions: tuple[int, ...] = (1,)
    expires: Mapping[int, datetime] = msgspec.field(default_factory=dict)
    """When each revision expires that does."""


class MeterStatus(Record, frozen=True, kw_only=True):
    """How an application's or unit's metering stands."""

    code: Literal["NOT AVAILABLE", "NOT SET", "GREEN", "AMBER", "RED"] = "NOT SET"
    info: str = ""
