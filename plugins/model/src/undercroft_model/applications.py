"""Applications: deployed with all that belongs to them at once, refreshed, configured, marked for removal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from undercroft_hookspecs.errors import AlreadyExistsError, NotValidError
from undercroft_hookspecs.identity import ApplicationName
from undercroft_hookspecs.state import Application, Life
from undercroft_hookspecs.store import MAX_OPERATIONS
from undercroft_model.blobholds import note_blob
from undercroft_model.charmrecords import charm_of, need_application, next_charm_url
from undercroft_model.charms import values as charm_values
from undercroft_model.cleanups import ask_cleanup, note_loss
from undercroft_model.models import living_model
from undercroft_model.options import describe_options, typed
from undercroft_model.relations import add_peers, check_endpoints_kept
from undercroft_model.rows import Config, Resource
from undercroft_model.secrets import MODEL_OWNER
from undercroft_model.storage.directives import check_directives, refuse_shared
from undercroft_model.tables import APPLICATIONS, CONFIG, RESOURCES
from undercroft_model.units import MAX_UNITS_AT_ONCE, OPERATIONS_PER_UNIT, add_to

if TYPE_CHECKING:
    from datetime import datetime

    from undercroft_hookspecs.charm import Charm, Scalar
    from undercroft_hookspecs.identity import ModelId
    from undercroft_hookspecs.state import Host, Unit
    from undercroft_model.options import ConfigValue
    from undercroft_model.transaction import Transaction


RESERVED_OPERATIONS = 10
"""What a deployment reads and writes beside its units after it has counted what there is room for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """What is to be deployed. `units` None: one, or none for a subordinate."""

    name: str
    charm: Charm
    units: int | None = None
    to: Sequence[str] = ()
    config: Mapping[str, object] = field(default_factory=dict)
    trust: bool = False
    channel: str = ""
    bindings: Mapping[str, str] = field(default_factory=dict)
    storage: Mapping[str, str] = field(default_factory=dict)
    resources: Mapping[str, Resource] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """What has come of it. So many units as are `missing` did not fit: add them with `units.add_units_in_batches`."""

    application: Application
    units: Sequence[Unit]
    missing: int


async def deploy(
    tx: Transaction, model: ModelId, deployment: Deployment, *, here: Host | None, now: datetime
) -> Deployed:
    """Add an application: its config, charm, peer relations and first units, as many as one transaction takes.

    `here` is the host of the one who asks: it is registered if it is not known yet.

    Raises:
        AlreadyExistsError: there is one of that name.
        NotFoundError: a placement names what does not exist.
        NotValidError: the name, an option, a resource, a binding or a placement is not usable.
    """
    await living_model(tx, model)
    await _check_name(tx, model, deployment.name)
    charm = deployment.charm
    wanted = _wanted_units(deployment)
    _check_names(charm, deployment.bindings, deployment.storage, deployment.resources)
    check_directives(charm, deployment.storage)
    application = Application(
        name=deployment.name,
        charm=charm.sha256,
        charm_url=await next_charm_url(tx, model, charm),
        charm_name=charm.name,
        channel=deployment.channel,
        subordinate=charm.subordinate,
        trust=deployment.trust,
        bindings=dict(deployment.bindings),
        storage=dict(deployment.storage),
        resources={name: resource.sha256 for name, resource in deployment.resources.items()},
    )
    tx.put(CONFIG.of(model), deployment.name, record=Config(values=_set(typed(charm, deployment.config))))
    _put_resources(tx, model, deployment.name, deployment.resources)
    await add_peers(tx, model, deployment.name, charm, now=now)
    room = (MAX_OPERATIONS - RESERVED_OPERATIONS - tx.size) // OPERATIONS_PER_UNIT
    first = max(0, min(wanted, room, MAX_UNITS_AT_ONCE))
    units = await add_to(tx, model, application, first, to=deployment.to[:first], here=here, now=now)
    grown = await need_application(tx, model, deployment.name)
    return Deployed(application=grown, units=units, missing=wanted - first)


async def refresh(
    tx: Transaction,
    model: ModelId,
    name: str,
    charm: Charm,
    *,
    config: Mapping[str, object] | None = None,
    force: bool = False,
    trust: bool | None = None,
    channel: str | None = None,
    resources: Mapping[str, Resource] | None = None,
) -> Application:
    """Give an application another charm, or the same one once more; options that it no longer has are dropped.

    With `force` units in error take it up, too.

    Raises:
        NotFoundError: there is no such application.
        NotValidError: the charm is of another name, or lacks an endpoint that a relation needs.
    """
    application = await need_application(tx, model, name)
    if application.life is not Life.ALIVE:
        raise NotValidError(f'cannot refresh application "{name}": it is being removed', field="application")
    if charm.name != application.charm_name:
        message = f'cannot refresh "{application.charm_name}" to "{charm.name}": that is another charm'
        raise NotValidError(message, field="charm")
    if charm.subordinate != application.subordinate:
        raise NotValidError(f'cannot refresh "{name}": subordinacy cannot change', field="charm")
    _check_names(charm, {}, {}, resources or {})
    refuse_shared(charm)
    await check_endpoints_kept(tx, model, name, charm)
    await _carry_config(tx, model, name, charm, config or {})
    await _replace_resources(tx, model, name, resources or {})
    changed = msgspec.structs.replace(
        application,
        charm=charm.sha256,
        charm_url=await next_charm_url(tx, model, charm),
        charm_modified_version=application.charm_modified_version + 1,
        force_charm=force,
        trust=application.trust if trust is None else trust,
        channel=application.channel if channel is None else channel,
        resources={**application.resources, **{key: value.sha256 for key, value in (resources or {}).items()}},
    )
    tx.put(APPLICATIONS.of(model), name, record=changed)
    if application.charm != charm.sha256:
        note_loss(tx, model, "charm", application.charm)
    return changed


async def attach_resource(tx: Transaction, model: ModelId, name: str, resource: str, blob: Resource) -> None:
    """Give an application another blob for one of its resources; its units see that the charm was modified.

    Raises:
        NotFoundError: there is no such application.
        NotValidError: the charm has no such resource.
    """
    application = await need_application(tx, model, name)
    _check_names(await charm_of(tx, model, application), {}, {}, {resource: blob})
    before = await tx.get(RESOURCES.of(model), name, resource)
    revision = 1 if before is None else before.revision + 1
    await _replace_resources(tx, model, name, {resource: msgspec.structs.replace(blob, revision=revision)})
    changed = msgspec.structs.replace(
        application,
        resources={**application.resources, resource: blob.sha256},
        charm_modified_version=application.charm_modified_version + 1,
    )
    tx.put(APPLICATIONS.of(model), name, record=changed)


async def set_config(
    tx: Transaction, model: ModelId, name: str, values: Mapping[str, object], *, reset: Sequence[str] = ()
) -> None:
    """Set options, and give those of `reset` their defaults; all of it or nothing. `trust` is an option, too.

    Raises:
        NotFoundError: there is no such application.
        NotValidError: an unknown option, or a value of another type.
    """
    application = await need_application(tx, model, name)
    charm = await charm_of(tx, model, application)
    asked, dropped = dict(values), set(reset)
    if "trust" not in charm.options and ("trust" in asked or "trust" in dropped):
        trust = str(asked.pop("trust", "false")).lower() == "true"
        dropped.discard("trust")
        tx.put(APPLICATIONS.of(model), name, record=msgspec.structs.replace(application, trust=trust))
    before = await tx.get(CONFIG.of(model), name) or Config()
    changed = charm_values.changed(charm, before.values, to=typed(charm, asked), reset=dropped)
    tx.put(CONFIG.of(model), name, record=Config(values=changed))


async def get_config(tx: Transaction, model: ModelId, name: str) -> dict[str, ConfigValue]:
    """All options of an application with their values, types and defaults.

    Raises:
        NotFoundError: there is no such application.
    """
    charm = await charm_of(tx, model, await need_application(tx, model, name))
    return describe_options(charm, (await tx.get(CONFIG.of(model), name) or Config()).values)


async def effective_config(tx: Transaction, model: ModelId, name: str) -> dict[str, Scalar]:
    """What the application's charm reads as its config.

    Raises:
        NotFoundError: there is no such application.
    """
    charm = await charm_of(tx, model, await need_application(tx, model, name))
    return charm_values.effective(charm, (await tx.get(CONFIG.of(model), name) or Config()).values)


async def set_trust(tx: Transaction, model: ModelId, name: str, trust: bool) -> None:
    """Trust an application with the host's credentials, or no longer."""
    application = await need_application(tx, model, name)
    tx.put(APPLICATIONS.of(model), name, record=msgspec.structs.replace(application, trust=trust))


async def set_exposed(tx: Transaction, model: ModelId, name: str, exposed: bool) -> None:
    """Let an application's ports be reached from outside, or no longer."""
    application = await need_application(tx, model, name)
    tx.put(APPLICATIONS.of(model), name, record=msgspec.structs.replace(application, exposed=exposed))


async def remove_application(tx: Transaction, model: ModelId, name: str, *, force: bool = False) -> None:
    """Let an application die, with its relations and units; with `force` without waiting for them.

    Raises:
        NotFoundError: there is no such application.
    """
    application = await need_application(tx, model, name)
    tx.put(APPLICATIONS.of(model), name, record=msgspec.structs.replace(application, life=Life.DYING))
    await ask_cleanup(tx, model, "application", name, force=force)


async def _check_name(tx: Transaction, model: ModelId, name: str) -> None:
    if ApplicationName.form.fullmatch(name) is None:
        message = f'invalid application name "{name}": lowercase letters, digits and hyphens, as in "my-app"'
        raise NotValidError(message, field="application")
    if name == MODEL_OWNER:
        message = (
            f'cannot add an application called "{name}": secrets whose owner is "{name}" are the model\'s own; give it '
            "another name (`undercroft deploy CHARM NAME`)"
        )
        raise NotValidError(message, field="application")
    present = await tx.get(APPLICATIONS.of(model), name)
    if present is not None:
        why = "" if present.life is Life.ALIVE else ", and is still being removed"
        raise AlreadyExistsError(name, f'cannot add application "{name}": application already exists{why}')


def _wanted_units(deployment: Deployment) -> int:
    if not deployment.charm.subordinate:
        wanted = 1 if deployment.units is None else deployment.units
        if wanted < 0:
            raise NotValidError(f"cannot deploy {wanted} units", field="units")
        return wanted
    if deployment.units or deployment.to:
        message = "cannot use --num-units or --to with a subordinate application"
        raise NotValidError(message, field="units")
    return 0


def _check_names(
    charm: Charm, bindings: Mapping[str, str], storage: Mapping[str, str], resources: Mapping[str, Resource]
) -> None:
    """Refuse what the charm does not have."""
    endpoints = {"", "juju-info", *charm.endpoints, *charm.extra_bindings}
    for kind, asked, known in (
        ("endpoint", bindings, endpoints),
        ("store", storage, charm.storage.keys()),
        ("resource", resources, charm.resources.keys()),
    ):
        for name in asked:
            if name not in known:
                raise NotValidError(f'charm "{charm.name}" has no {kind} called "{name}"', field=kind)


def _set(values: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """Only what was set: None stands for the default."""
    return {option: value for option, value in values.items() if value is not None}


def _put_resources(tx: Transaction, model: ModelId, name: str, resources: Mapping[str, Resource]) -> None:
    for resource, blob in resources.items():
        tx.put(RESOURCES.of(model), name, resource, record=blob)


async def _replace_resources(tx: Transaction, model: ModelId, name: str, resources: Mapping[str, Resource]) -> None:
    for resource, blob in resources.items():
        before = await tx.get(RESOURCES.of(model), name, resource)
        if before is not None and before.sha256 != blob.sha256:
            note_blob(tx, before.sha256)
    _put_resources(tx, model, name, resources)


async def _carry_config(tx: Transaction, model: ModelId, name: str, charm: Charm, config: Mapping[str, object]) -> None:
    """Keep of the old values what the new charm can take; what is set now must be right."""
    before = await tx.get(CONFIG.of(model), name) or Config()
    kept = charm_values.carried_over(before.values, to=charm)
    tx.put(CONFIG.of(model), name, record=Config(values=_set(kept | typed(charm, config))))
