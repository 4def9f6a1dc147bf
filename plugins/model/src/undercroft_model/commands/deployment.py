"""Deploy and refresh charms: everything is checked before anything is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from undercroft.files import in_thread
from undercroft_hookspecs.errors import NotFoundError, NotValidError
from undercroft_model.applications import Deployment, attach_resource
from undercroft_model.applications import deploy as deploy_application
from undercroft_model.applications import refresh as refresh_application
from undercroft_model.charmrecords import charm_of, need_application
from undercroft_model.charms.values import settings
from undercroft_model.commands.columns import columns
from undercroft_model.commands.frame import pairs, read_bytes, say
from undercroft_model.commands.progress import progress
from undercroft_model.commands.sources import taken
from undercroft_model.rows import Resource
from undercroft_model.storage.attaching import give_to_new, where_it_is
from undercroft_model.tables import RESOURCES
from undercroft_model.transaction import Transaction
from undercroft_model.units import add_units_in_batches

if TYPE_CHECKING:
    from undercroft_hookspecs.charm import Charm
    from undercroft_model.applications import Deployed
    from undercroft_model.blobholds import BlobHold
    from undercroft_model.operator import Desk

UNKNOWN = "0" * 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the operator wants of a deployment. `settings` are KEY=VALUE or files, `options` ready values."""

    units: int | None = None
    settings: Sequence[str] = ()
    options: Mapping[str, object] = field(default_factory=dict)
    resources: Mapping[str, str] = field(default_factory=dict)
    storage: Mapping[str, str] = field(default_factory=dict)
    attached: Sequence[str] = ()
    to: Sequence[str] = ()
    trust: bool = False
    bindings: Mapping[str, str] = field(default_factory=dict)
    channel: str = ""


async def deploy_charm(desk: Desk, wanted: str, name: str | None, wishes: Wishes) -> str:
    """Deploy a charm, and give the application's name.

    Raises:
        NotFoundError, AlreadyExistsError, NotValidError: as `applications.deploy`; nothing was kept.
    """
    async with taken(wanted, data_dir=desk.operator.data_dir) as found:
        charm = found.charm
        application = name or charm.name
        values, trust = _options(charm, application, wishes.settings, wishes.trust)
        deployment = Deployment(
            name=application,
            charm=charm,
            units=None if charm.subordinate and wishes.units == 1 else wishes.units,
            to=wishes.to,
            config={**wishes.options, **values},
            trust=trust,
            channel=wishes.channel,
            bindings=wishes.bindings,
            storage=wishes.storage,
            resources=dict.fromkeys(wishes.resources, Resource(sha256=UNKNOWN)),
        )
        await _rehearse(desk, deployment, wishes.attached)
        async with desk.operator.holding() as hold:
            async with progress(f"Keeping the archive of {charm.name}", clock=desk.operator.clock):
                await desk.operator.blobs.put(found.archive, claim=hold.add)
            resources = {key: await _kept(desk, charm, key, path, hold) for key, path in wishes.resources.items()}
            deployed = await _deploy(desk, replace(deployment, resources=resources), wishes.attached, hold)
        await _add_missing(desk, deployment, deployed)
    say(f'Deploying "{application}" from local charm "{charm.name}", revision {_revision(deployed)}')
    return application


async def refresh_charm(
    desk: Desk,
    name: str,
    wanted: str | None,
    *,
    settings: Sequence[str],
    resources: Mapping[str, str],
    trust: bool | None,
    channel: str | None,
    force: bool,
) -> None:
    """Refresh an application's charm, by default to what is found under the charm's name.

    Raises:
        NotFoundError: there is no such application or charm.
        NotValidError: as `applications.refresh`; nothing was kept.
    """
    before = await desk.look(need_application, name)
    async with taken(wanted or before.charm_name, data_dir=desk.operator.data_dir) as found:
        charm = found.charm
        values, _ = _options(charm, name, settings, trust=False)

        async def decide(tx: Transaction, files: Mapping[str, Resource]) -> str:
            application = await refresh_application(
                tx, desk.model, name, charm, config=values, force=force, trust=trust, channel=channel, resources=files
            )
            return application.charm_url

        await decide(Transaction(desk.store), dict.fromkeys(resources, Resource(sha256=UNKNOWN)))
        async with desk.operator.holding() as hold:
            await desk.operator.blobs.put(found.archive, claim=hold.add)
            kept = {key: await _kept(desk, charm, key, path, hold) for key, path in resources.items()}

            async def decide_held(tx: Transaction) -> str:
                await hold.check(tx)
                return await decide(tx, kept)

            url = await desk.operator.change(decide_held)
    say(f'Added local charm "{charm.name}", revision {url.rpartition("-")[2]}, to the model')


async def attach(desk: Desk, application: str, name: str, path: str) -> None:
    """Give an application another file for a resource.

    Raises:
        NotFoundError: there is no such application or file.
        NotValidError: the charm has no such resource.
    """
    await attach_resource(Transaction(desk.store), desk.model, application, name, Resource(sha256=UNKNOWN))
    charm = await desk.look(charm_of, await desk.look(need_application, application))
    async with desk.operator.holding() as hold:
        blob = await _kept(desk, charm, name, path, hold)

        async def decide(tx: Transaction) -> None:
            await hold.check(tx)
            await attach_resource(tx, desk.model, application, name, blob)

        await desk.operator.change(decide)


async def resources_document(desk: Desk, name: str) -> dict[str, object]:
    """The resources of an application's charm, and the files that it has for them."""
    application = await desk.look(need_application, name)
    charm = await desk.look(charm_of, application)
    table = RESOURCES.of(desk.model)
    entries = (await desk.store.list(table.under(name))).entries
    kept = {table.parts(entry.key)[-1]: table.decode(entry) for entry in entries}
    found = []
    for key, spec in sorted(charm.resources.items()):
        row: dict[str, object] = {
            "name": key,
            "type": spec.type,
            "path": spec.filename,
            "description": spec.description,
        }
        if (resource := kept.get(key)) is not None:
            row |= {"revision": str(resource.revision), "fingerprint": resource.sha256, "size": resource.size_bytes}
        found.append({**row, "origin": "upload", "used": key in kept})
    return {"resources": found}


def resources_table(document: Mapping[str, object]) -> str:
    """The same for people."""
    rows = [
        (str(row["name"]), str(row["type"]), str(row.get("revision", "-")), str(row.get("size", "-")))
        for row in cast("list[Mapping[str, object]]", document["resources"])
    ]
    return columns(("Resource", "Type", "Revision", "Size"), rows) if rows else "No resources to display."


async def _rehearse(desk: Desk, deployment: Deployment, attached: Sequence[str]) -> None:
    """Do all of it but the commit, so that what is refused leaves no archive behind."""
    await _decide(Transaction(desk.store), desk, deployment, attached)


async def _deploy(desk: Desk, deployment: Deployment, attached: Sequence[str], hold: BlobHold) -> Deployed:
    async def decide(tx: Transaction) -> Deployed:
        await hold.check(tx)
        return await _decide(tx, desk, deployment, attached)

    return await desk.operator.change(decide)


async def _decide(tx: Transaction, desk: Desk, deployment: Deployment, attached: Sequence[str]) -> Deployed:
    here, now = await desk.operator.here(), desk.operator.clock.now()
    wanted = replace(deployment, to=deployment.to or await where_it_is(tx, desk.model, attached))
    deployed = await deploy_application(tx, desk.model, wanted, here=here, now=now)
    if attached and not deployed.units:
        raise NotValidError(f'"{wanted.name}" has no unit yet to be given storage', field="attach-storage")
    if attached:
        await give_to_new(tx, desk.model, deployed.units[0].name, attached)
    return deployed


async def _add_missing(desk: Desk, deployment: Deployment, deployed: Deployed) -> None:
    here, clock, rng = await desk.operator.here(), desk.operator.clock, desk.operator.rng
    if deployed.missing:
        to = deployment.to[len(deployed.units) :]
        async with progress(f"Adding {deployed.missing} more units of {deployment.name}", clock=clock):
            await add_units_in_batches(
                desk.store, desk.model, deployment.name, deployed.missing, to=to, here=here, clock=clock, rng=rng
            )


async def _kept(desk: Desk, charm: Charm, name: str, path: str, hold: BlobHold) -> Resource:
    """Keep the file of a resource."""
    if name not in charm.resources:
        raise NotValidError(f'charm "{charm.name}" has no resource called "{name}"', field="resource")
    file = await in_thread(Path(path).expanduser)
    if not await in_thread(file.is_file):
        raise NotFoundError(path, f'resource "{name}": there is no file {path}')
    sha256 = await desk.operator.blobs.put(file, claim=hold.add)
    size = (await in_thread(file.stat)).st_size
    return Resource(sha256=sha256, size_bytes=size, filename=charm.resources[name].filename or file.name)


def _options(charm: Charm, application: str, words: Sequence[str], trust: bool) -> tuple[dict[str, object], bool]:
    """The options that words and files give, the later ones counting; `trust` may be among them."""
    found: dict[str, object] = {}
    for word in words:
        if "=" in word:
            found |= pairs([word], what="option")
        else:
            found |= settings(charm, read_bytes(word), word, application=application)
    if "trust" in found and "trust" not in charm.options:
        trust = str(found.pop("trust")).lower() == "true" or trust
    return found, trust


def _revision(deployed: Deployed) -> str:
    return deployed.application.charm_url.rpartition("-")[2]
