"""The typed record of a charm: what its files say, parsed once when it is deployed or refreshed.

Names and defaults are those of Juju 3.6's charm metadata. Only the model parses charm files; everyone else reads this.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

import msgspec

from undercroft_hookspecs.records import Record

Scalar: TypeAlias = "str | int | float | bool | None"


class EndpointSpec(Record, frozen=True, kw_only=True):
    """One entry of provides, requires or peers."""

    name: str
    interface: str
    role: Literal["provider", "requirer", "peer"]
    scope: Literal["global", "container"] = "global"
    optional: bool = False
    limit: int = 0


class OptionSpec(Record, frozen=True, kw_only=True):
    """A config option."""

    type: Literal["string", "int", "float", "boolean", "secret"] = "string"
    description: str = ""
    default: Scalar = None


class ActionSpec(Record, frozen=True, kw_only=True):
    """An action. `parameters` is the JSON schema of its parameters, always an object schema."""

    description: str = ""
    parameters: Mapping[str, object] = msgspec.field(default_factory=dict)
    parallel: bool = False
    execution_group: str = ""


class StorageSpec(Record, frozen=True, kw_only=True):
    """A store that the charm asks for. `maximum` None: any number."""

    type: Literal["filesystem", "block"] = "filesystem"
    description: str = ""
    shared: bool = False
    read_only: bool = False
    minimum: int = 1
    maximum: int | None = 1
    minimum_size_mib: int = 0
    location: str = ""
    properties: tuple[str, ...] = ()


class ResourceSpec(Record, frozen=True, kw_only=True):
    """A resource that the charm can be given."""

    type: Literal["file", "oci-image"] = "file"
    filename: str = ""
    description: str = ""


class DeviceSpec(Record, frozen=True, kw_only=True):
    """A device that the charm asks for, such as a GPU. `maximum` None: any number."""

    type: str
    description: str = ""
    minimum: int = 1
    maximum: int | None = 1


class MetricSpec(Record, frozen=True, kw_only=True):
    """A metric that the charm may add: a value as it stands, what was added since the last time, or a sum so far."""

    type: Literal["gauge", "absolute", "counter"] = "gauge"
    description: str = ""


class Charm(Record, frozen=True, kw_only=True):
    """A charm: `sha256` is its archive's.

    `bases` are like `ubuntu@22.04`; `series` are the old names as the charm has them, whose bases are in `bases`, too,
    where they are known. `assumes` is the list of the file: names, and mappings `any-of` and `all-of`. `plan_required`
    is metrics.yaml's.
    """

    name: str
    sha256: str
    size_bytes: int = 0
    revision: int = 0
    summary: str = ""
    description: str = ""
    version: str = ""
    subordinate: bool = False
    min_juju_version: str = ""
    assumes: tuple[object, ...] = ()
    bases: tuple[str, ...] = ()
    endpoints: Mapping[str, EndpointSpec] = msgspec.field(default_factory=dict)
    extra_bindings: tuple[str, ...] = ()
    options: Mapping[str, OptionSpec] = msgspec.field(default_factory=dict)
    actions: Mapping[str, ActionSpec] = msgspec.field(default_factory=dict)
    storage: Mapping[str, StorageSpec] = msgspec.field(default_factory=dict)
    resources: Mapping[str, ResourceSpec] = msgspec.field(default_factory=dict)
    metrics: Mapping[str, MetricSpec] = msgspec.field(default_factory=dict)
    terms: tuple[str, ...] = ()
    containers: tuple[str, ...] = ()
    display_name: str = ""
    maintainers: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    links: Mapping[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    series: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()
    charm_user: Literal["", "root", "sudoer", "non-root"] = ""
    devices: Mapping[str, DeviceSpec] = msgspec.field(default_factory=dict)
    payloads: Mapping[str, str] = msgspec.field(default_factory=dict)
    plan_required: bool = False
