"""Read metadata.yaml, and the same keys of charmcraft.yaml."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from undercroft_hookspecs.charm import DeviceSpec, EndpointSpec, ResourceSpec
from undercroft_model.charms import names
from undercroft_model.charms.document import Entry, optional_boolean, optional_text
from undercroft_model.charms.stores import read_storage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from undercroft_hookspecs.charm import StorageSpec

Role = Literal["provider", "requirer", "peer"]
CharmUser = Literal["", "root", "sudoer", "non-root"]

USERS: tuple[CharmUser, ...] = ("root", "sudoer", "non-root")
_VERSION = re.compile(r"[0-9]+\.[0-9]+(?:[.-][0-9A-Za-z]+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """What metadata.yaml says."""

    name: str
    summary: str
    description: str
    display_name: str
    subordinate: bool
    min_juju_version: str
    charm_user: CharmUser
    assumes: tuple[object, ...]
    series: tuple[str, ...]
    endpoints: Mapping[str, EndpointSpec]
    extra_bindings: tuple[str, ...]
    storage: Mapping[str, StorageSpec]
    resources: Mapping[str, ResourceSpec]
    devices: Mapping[str, DeviceSpec]
    payloads: Mapping[str, str]
    containers: tuple[str, ...]
    terms: tuple[str, ...]
    maintainers: tuple[str, ...]
    tags: tuple[str, ...]
    links: Mapping[str, tuple[str, ...]]


def read_metadata(root: Entry) -> Metadata:
    """The metadata in a file.

    Raises:
        CharmFileError: something is missing or wrong.
    """
    if root.is_null:
        raise root.error("the charm's metadata, `name` at least", "an empty file")
    keys = root.mapping()
    name = names.check(keys["name"], keys["name"].text(), names.CHARM, "a charm") if "name" in keys else ""
    if not name:
        raise Entry(root.file, "name", None).error("the charm's name")
    subordinate = optional_boolean(keys, "subordinate")
    endpoints = _endpoints(keys, name, subordinate=subordinate)
    if subordinate and not any(e.role == "requirer" and e.scope == "container" for e in endpoints.values()):
        raise _at(keys, root, "requires").error(
            "an endpoint of scope 'container', as the charm is a subordinate", "none"
        )
    return Metadata(
        name=name,
        summary=optional_text(keys, "summary"),
        description=optional_text(keys, "description"),
        display_name=optional_text(keys, "display-name") or optional_text(keys, "title"),
        subordinate=subordinate,
        min_juju_version=_min_juju_version(keys),
        charm_user=keys["charm-user"].one_of(USERS) if "charm-user" in keys else "",
        assumes=tuple(item.plain() for item in _at(keys, root, "assumes").items()),
        series=_at(keys, root, "series").texts(),
        endpoints=endpoints,
        extra_bindings=_extra_bindings(_at(keys, root, "extra-bindings"), endpoints),
        storage=read_storage(_at(keys, root, "storage")),
        resources=_resources(_at(keys, root, "resources")),
        devices=_devices(_at(keys, root, "devices")),
        payloads=_payloads(_at(keys, root, "payloads")),
        containers=tuple(sorted(_at(keys, root, "containers").mapping())),
        terms=_at(keys, root, "terms").texts(),
        maintainers=_maintainers(keys),
        tags=_at(keys, root, "tags").texts() or _at(keys, root, "categories").texts(),
        links=_links(keys, root),
    )


def _at(keys: Mapping[str, Entry], root: Entry, key: str) -> Entry:
    return keys.get(key) or Entry(root.file, key, None)


def _min_juju_version(keys: Mapping[str, Entry]) -> str:
    version = optional_text(keys, "min-juju-version")
    if version and _VERSION.fullmatch(version) is None:
        raise keys["min-juju-version"].error("a version like 2.9.0")
    return version


def _endpoints(keys: Mapping[str, Entry], charm: str, *, subordinate: bool) -> dict[str, EndpointSpec]:
    found: dict[str, EndpointSpec] = {}
    roles: tuple[tuple[str, Role], ...] = (("provides", "provider"), ("requires", "requirer"), ("peers", "peer"))
    for section, role in roles:
        for name, entry in (keys[section].mapping() if section in keys else {}).items():
            if name in found:
                raise entry.error("each endpoint's name once", f"another endpoint {name!r}")
            names.check(entry, name, names.ENDPOINT, "an endpoint")
            found[name] = endpoint = _endpoint(name, entry, role)
            is_inside = subordinate and role == "requirer" and endpoint.scope == "container"
            if names.is_reserved(name, charm) and not is_inside:
                raise entry.error("a name that does not begin with 'juju'", repr(name))
            if role != "requirer" and names.is_reserved(endpoint.interface, charm):
                raise entry.error("an interface that does not begin with 'juju'", repr(endpoint.interface))
    return found


def _endpoint(name: str, entry: Entry, role: Role) -> EndpointSpec:
    """One endpoint: a mapping, or its interface alone."""
    if not (entry.is_null or entry.is_mapping or entry.is_list):
        return EndpointSpec(name=name, interface=_interface(entry), role=role)
    keys = entry.mapping()
    if "interface" not in keys:
        raise entry.error("`interface`")
    limit = keys["limit"].integer() if "limit" in keys and not keys["limit"].is_null else 0
    if limit < 0:
        raise keys["limit"].error("a number of at least 0")
    return EndpointSpec(
        name=name,
        interface=_interface(keys["interface"]),
        role=role,
        scope=keys["scope"].one_of(("global", "container")) if "scope" in keys else "global",
        optional=optional_boolean(keys, "optional"),
        limit=limit,
    )


def _interface(entry: Entry) -> str:
    interface = entry.text()
    if not interface or any(char.isspace() or char in ":/" for char in interface):
        raise entry.error("the name of an interface")
    return interface


def _extra_bindings(entry: Entry, endpoints: Mapping[str, EndpointSpec]) -> tuple[str, ...]:
    """A mapping of names to nothing. A name that is an endpoint's, too, is bound by that."""
    for name, value in entry.mapping().items():
        names.check(value, name, names.BINDING, "a binding")
        if not value.is_null:
            raise value.error("nothing behind the name of a binding")
        if name in endpoints:
            raise value.error("a name that no endpoint has", repr(name))
    return tuple(sorted(entry.mapping()))


def _resources(entry: Entry) -> dict[str, ResourceSpec]:
    found: dict[str, ResourceSpec] = {}
    for name, resource in entry.mapping().items():
        names.check(resource, name, names.RESOURCE, "a resource")
        keys = resource.mapping()
        kind = keys["type"].one_of(("file", "oci-image", "docker")) if "type" in keys else "file"
        filename = optional_text(keys, "filename")
        if kind == "file" and not filename:
            raise Entry(resource.file, f"{resource.key}.filename", None).error("the name of the resource's file")
        if "/" in filename or filename in {".", ".."}:
            raise keys["filename"].error("a name without a folder")
        found[name] = ResourceSpec(
            type="file" if kind == "file" else "oci-image",
            filename=filename,
            description=optional_text(keys, "description"),
        )
    return found


def _devices(entry: Entry) -> dict[str, DeviceSpec]:
    found: dict[str, DeviceSpec] = {}
    for name, device in entry.mapping().items():
        keys = device.mapping()
        if "type" not in keys:
            raise device.error("`type`")
        minimum = keys["countmin"].integer() if "countmin" in keys else 1
        maximum = keys["countmax"].integer() if "countmax" in keys else max(1, minimum)
        if not 0 <= minimum <= maximum:
            raise device.error("0 <= countmin <= countmax", f"{minimum} and {maximum}")
        description = optional_text(keys, "description")
        kind = keys["type"].text()
        found[name] = DeviceSpec(type=kind, description=description, minimum=minimum, maximum=maximum)
    return found


def _payloads(entry: Entry) -> dict[str, str]:
    return {name: optional_text(payload.mapping(), "type") for name, payload in entry.mapping().items()}


def _maintainers(keys: Mapping[str, Entry]) -> tuple[str, ...]:
    links = keys["links"].mapping() if "links" in keys else {}
    found = [entry for entry in (keys.get("maintainer"), keys.get("maintainers"), links.get("contact")) if entry]
    return tuple(text for entry in found for text in _one_or_many(entry))


def _links(keys: Mapping[str, Entry], root: Entry) -> dict[str, tuple[str, ...]]:
    """Where to find more; charmcraft.yaml has all of it under `links`."""
    found = {name: entry for name, entry in _at(keys, root, "links").mapping().items() if name != "contact"}
    old = {"docs": "documentation", "issues": "issues", "source": "source", "website": "website"}
    found |= {new: keys[name] for name, new in old.items() if name in keys}
    return {name: _one_or_many(entry) for name, entry in found.items()}


def _one_or_many(entry: Entry) -> tuple[str, ...]:
    if entry.is_null:
        return ()
    return entry.texts() if entry.is_list else (entry.text(),)
