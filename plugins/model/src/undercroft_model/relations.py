"""Relations: which endpoints match, and relations between them made and marked for removal.

Two endpoints match if they have one interface, of two applications, and one provides what the other requires. Every
application provides `juju-info` besides what its charm says; a relation by that is taken only where no other matches.
Peer relations are made with their application, and go with it.

A relation that is dying goes when nobody is in its scope any more: see `lifecycle`.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import msgspec

from undercroft_hookspecs.errors import AlreadyExistsError, NotFoundError, NotValidError
from undercroft_hookspecs.state import Endpoint, Life, Relation, Status
from undercroft_model.charmrecords import charm_of, need_application
from undercroft_model.cleanups import ask_cleanup
from undercroft_model.models import living_model
from undercroft_model.rows import RelationKey
from undercroft_model.tables import RELATION_KEYS, RELATIONS, SEQUENCES, next_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from undercroft_hookspecs.charm import Charm
    from undercroft_hookspecs.identity import ModelId
    from undercroft_hookspecs.state import Application
    from undercroft_hookspecs.store import Store
    from undercroft_model.transaction import Transaction

JUJU_INFO = "juju-info"
_COUNTERPART = {"provider": "requirer", "requirer": "provider"}


def endpoints_of(application: str, charm: Charm) -> dict[str, Endpoint]:
    """The endpoints that an application has, the implicit one included, by name."""
    found = {
        name: Endpoint(application=application, name=name, interface=spec.interface, role=spec.role, scope=spec.scope)
        for name, spec in charm.endpoints.items()
    }
    found.setdefault(JUJU_INFO, Endpoint(application=application, name=JUJU_INFO, interface=JUJU_INFO, role="provider"))
    return found


def is_implicit(endpoint: Endpoint) -> bool:
    """Whether it is the endpoint that every application has: no hooks are run for it."""
    return (endpoint.name, endpoint.interface, endpoint.role) == (JUJU_INFO, JUJU_INFO, "provider")


async def integrate(tx: Transaction, model: ModelId, first: str, second: str, *, now: datetime) -> Relation:
    """Relate two applications, each given as `application` or `application:endpoint`.

    Raises:
        NotFoundError: there is no such application.
        NotValidError: nothing matches, several do, or a limit of the charm would be exceeded.
        AlreadyExistsError: they are related so already.
    """
    await living_model(tx, model)
    applications: dict[str, Application] = {}
    charms: dict[str, Charm] = {}
    for end in (first, second):
        name = end.partition(":")[0]
        applications[name] = await need_application(tx, model, name)
        charms[name] = await charm_of(tx, model, applications[name])
    endpoints = _choose(first, second, charms)
    relation = Relation(id=0, endpoints=endpoints, status=Status(current="joining", since=now))
    await _check_new(tx, model, relation, applications, charms)
    return await _add(tx, model, relation)


async def add_peers(tx: Transaction, model: ModelId, application: str, charm: Charm, *, now: datetime) -> None:
    """Make the peer relations of a new application."""
    for endpoint in endpoints_of(application, charm).values():
        if endpoint.role == "peer":
            status = Status(current="joined", since=now)
            await _add(tx, model, Relation(id=0, endpoints=(endpoint,), status=status))


async def find_relation(tx: Transaction, model: ModelId, first: str, second: str) -> Relation:
    """The relation between two applications, each given as `application` or `application:endpoint`.

    Raises:
        NotFoundError: there is none.
        NotValidError: there are several.
    """
    for end in (first, second):
        await need_application(tx, model, end.partition(":")[0])
    relations = (await tx.look(RELATIONS.of(model))).values()
    found = [relation for relation in relations if _joins(relation, first, second)]
    if not found:
        raise NotFoundError(f"{first} {second}", f'relation "{first} {second}" not found')
    if len(found) > 1:
        raise _ambiguous(first, second, [relation.key for relation in found])
    return await need_relation(tx, model, found[0].id)


async def need_relation(tx: Transaction, model: ModelId, relation: int) -> Relation:
    """The relation.

    Raises:
        NotFoundError: there is none of that id.
    """
    record = await tx.get(RELATIONS.of(model), str(relation))
    if record is None:
        raise NotFoundError(str(relation), f"relation {relation} not found")
    return record


async def remove_relation(tx: Transaction, model: ModelId, relation: int, *, force: bool = False) -> None:
    """Let a relation die; with `force` without waiting for the units in its scope.

    Raises:
        NotFoundError: there is none of that id.
        NotValidError: it is a peer relation.
    """
    record = await need_relation(tx, model, relation)
    if record.endpoints[0].role == "peer":
        raise NotValidError(f'cannot remove the peer relation "{record.key}"', field="relation")
    await relation_dying(tx, model, record, force=force)


async def relation_dying(tx: Transaction, model: ModelId, relation: Relation, *, force: bool = False) -> None:
    """Let a relation die whose record is at hand."""
    if relation.life is Life.ALIVE:
        tx.put(RELATIONS.of(model), str(relation.id), record=msgspec.structs.replace(relation, life=Life.DYING))
    await ask_cleanup(tx, model, "relation", str(relation.id), force=force)


async def relations_of(store: Store, model: ModelId, application: str) -> list[Relation]:
    """The relations that an application is part of, peers included, by id."""
    table = RELATIONS.of(model)
    relations = [table.decode(entry) for entry in (await store.list(table.prefix)).entries]
    found = [relation for relation in relations if endpoint_in(relation, application) is not None]
    return sorted(found, key=lambda relation: relation.id)


def endpoint_in(relation: Relation, application: str) -> Endpoint | None:
    """An application's side of a relation, or None if it is not part of it."""
    return next((endpoint for endpoint in relation.endpoints if endpoint.application == application), None)


def other_endpoint(relation: Relation, application: str) -> Endpoint:
    """The side that an application sees: its own one, for peers."""
    others = [endpoint for endpoint in relation.endpoints if endpoint.application != application]
    return others[0] if others else relation.endpoints[0]


async def check_endpoints_kept(tx: Transaction, model: ModelId, application: str, charm: Charm) -> None:
    """See that a charm has every endpoint by which its application is related.

    Raises:
        NotValidError: it lacks one.
    """
    kept = endpoints_of(application, charm)
    await tx.get(SEQUENCES.of(model), "relation")  # Read first: whoever makes a relation meanwhile stands out.
    for relation in await relations_of(tx.store, model, application):
        endpoint = endpoint_in(relation, application)
        if endpoint is None:
            continue
        new = kept.get(endpoint.name)
        if new is None or (new.interface, new.role) != (endpoint.interface, endpoint.role):
            message = f'cannot refresh application "{application}": the charm would break relation "{relation.key}"'
            raise NotValidError(message, field="charm")


def _choose(first: str, second: str, charms: Mapping[str, Charm]) -> tuple[Endpoint, ...]:
    """The one pair of endpoints that is meant."""
    if first.partition(":")[0] == second.partition(":")[0]:
        message = f'no relations found: application "{first.partition(":")[0]}" cannot be integrated with itself'
        raise NotValidError(message, field="relation")
    pairs = [
        pair
        for pair in product(_candidates(first, charms), _candidates(second, charms))
        if pair[0].interface == pair[1].interface and _COUNTERPART.get(pair[0].role) == pair[1].role
    ]
    explicit = [pair for pair in pairs if not any(is_implicit(endpoint) for endpoint in pair)]
    for found in (pairs, explicit):
        if len(found) == 1:
            return found[0]
    if not pairs:
        message = f'no relations found: no endpoints of "{first}" and "{second}" match by interface and role'
        raise NotValidError(message, field="relation")
    raise _ambiguous(first, second, [Relation(id=0, endpoints=pair).key for pair in pairs])


def _candidates(end: str, charms: Mapping[str, Charm]) -> Sequence[Endpoint]:
    application, colon, name = end.partition(":")
    endpoints = endpoints_of(application, charms[application])
    if not colon:
        return list(endpoints.values())
    if name not in endpoints:
        raise NotFoundError(end, f'application "{application}" has no "{name}" relation')
    return [endpoints[name]]


def _ambiguous(first: str, second: str, keys: Iterable[str]) -> NotValidError:
    options = "; ".join(f'"{key}"' for key in sorted(keys))
    return NotValidError(f'ambiguous relation: "{first} {second}" could refer to {options}', field="relation")


def _joins(relation: Relation, first: str, second: str) -> bool:
    if len(relation.endpoints) == 1:
        return False
    forwards = all(_is_meant(end, endpoint) for end, endpoint in zip((first, second), relation.endpoints, strict=True))
    backwards = all(_is_meant(end, endpoint) for end, endpoint in zip((second, first), relation.endpoints, strict=True))
    return forwards or backwards


def _is_meant(end: str, endpoint: Endpoint) -> bool:
    return end in (endpoint.application, str(endpoint))


async def _check_new(
    tx: Transaction,
    model: ModelId,
    relation: Relation,
    applications: Mapping[str, Application],
    charms: Mapping[str, Charm],
) -> None:
    """Refuse a relation that there is already, that a charm's limit forbids, or for which somebody is dying."""
    what = f'cannot add relation "{relation.key}"'
    for application in applications.values():
        if application.life is not Life.ALIVE:
            raise NotValidError(f"{what}: application {application.name} is being removed", field="relation")
    if relation.scope == "container" and not any(application.subordinate for application in applications.values()):
        message = f"{what}: container scoped relation requires at least one subordinate application"
        raise NotValidError(message, field="relation")
    # Read first, and written with every new relation: so none can come between the look and the commit.
    await tx.get(SEQUENCES.of(model), "relation")
    present = (await tx.look(RELATIONS.of(model))).values()
    for other in present:
        if other.key == relation.key:
            dying = "" if other.life is Life.ALIVE else ", and is being removed"
            raise AlreadyExistsError(relation.key, f"{what}: relation {relation.key} already exists{dying}")
    for endpoint in relation.endpoints:
        _check_limit(what, endpoint, charms[endpoint.application], present)


def _check_limit(what: str, endpoint: Endpoint, charm: Charm, present: Iterable[Relation]) -> None:
    spec = charm.endpoints.get(endpoint.name)
    if spec is None or not spec.limit:
        return
    used = sum(str(endpoint) in map(str, relation.endpoints) for relation in present)
    if used >= spec.limit:
        why = f"establishing a new relation for {endpoint} would exceed its maximum relation limit of {spec.limit}"
        raise NotValidError(f"{what}: {why}", field="relation")


async def _add(tx: Transaction, model: ModelId, relation: Relation) -> Relation:
    numbered = msgspec.structs.replace(relation, id=await next_number(tx, model, "relation"))
    tx.put(RELATIONS.of(model), str(numbered.id), record=numbered)
    tx.put(RELATION_KEYS.of(model), numbered.key, record=RelationKey(id=numbered.id))
    return numbered
