"""Make a model of what `export` wrote."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from undercroft.files import in_thread
from undercroft_hookspecs.errors import NotFoundError
from undercroft_model.applications import Deployment, deploy, set_exposed
from undercroft_model.charms.document import read
from undercroft_model.charms.source import take
from undercroft_model.commands.exporting import VERSION
from undercroft_model.commands.frame import say
from undercroft_model.models import create_model, destroy_model
from undercroft_model.operator import Desk
from undercroft_model.relations import integrate
from undercroft_model.rows import Resource
from undercroft_model.units import add_units_in_batches

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from undercroft_hookspecs.charm import Charm
    from undercroft_model.applications import Deployed
    from undercroft_model.blobholds import BlobHold
    from undercroft_model.charms.document import Entry
    from undercroft_model.operator import Operator
    from undercroft_model.transaction import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """An application of an export."""

    deployment: Deployment
    exposed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Where the charms and resources of an export are: among the blobs, or in a folder beside it."""

    operator: Operator
    beside: Path | None
    hold: BlobHold


async def import_model(operator: Operator, data: bytes, file: str, name: str | None, charms: Path | None) -> str:
    """Make the model, and give its name.

    Raises:
        CharmFileError: the file is not what `export` writes.
        NotFoundError: a charm or a resource is neither in `charms` nor among the blobs.
        AlreadyExistsError: there is a model of that name.
    """
    keys = read(data, file).mapping()
    if "undercroft-export" not in keys or keys["undercroft-export"].integer() != VERSION:
        raise read(data, file).error(f"what `undercroft export` writes (undercroft-export: {VERSION})")
    model = keys["model"].mapping() if "model" in keys else {}
    settings = {key: value.scalar() for key, value in model["config"].mapping().items()} if "config" in model else {}
    applications = keys["applications"].mapping() if "applications" in keys else {}
    relations = [entry.texts() for entry in keys["relations"].items()] if "relations" in keys else []
    if any(len(pair) != 2 for pair in relations):
        raise keys["relations"].error("pairs of endpoints")
    called = name or model["name"].text()
    async with operator.holding() as hold:
        files = Files(operator=operator, beside=charms, hold=hold)
        wanted = [await _wanted(files, key, entry) for key, entry in applications.items()]
        record = await operator.change(
            lambda tx: create_model(tx, called, now=operator.clock.now(), rng=operator.rng, config=settings)
        )
        desk = Desk(operator=operator, record=record)
        try:
            await _fill(desk, wanted, relations, hold)
        except BaseException:
            await desk.run(destroy_model, force=True)
            await desk.reap()
            raise
    return record.name


async def _fill(desk: Desk, wanted: list[Wanted], relations: list[tuple[str, ...]], hold: BlobHold) -> None:
    here, clock = await desk.operator.here(), desk.operator.clock

    async def decide(tx: Transaction, deployment: Deployment) -> Deployed:
        await hold.check(tx)
        return await deploy(tx, desk.model, deployment, here=here, now=clock.now())

    for each in wanted:
        name = each.deployment.name
        deployed = await desk.operator.change(partial(decide, deployment=each.deployment))
        if deployed.missing:
            await add_units_in_batches(
                desk.store, desk.model, name, deployed.missing, here=here, clock=clock, rng=desk.operator.rng
            )
        if each.exposed:
            await desk.run(set_exposed, name, True)
        say(f"deployed {name}")
    for first, second in relations:
        await desk.run(integrate, first, second, now=clock.now())


async def _wanted(files: Files, name: str, entry: Entry) -> Wanted:
    keys = entry.mapping()
    if "charm-sha256" not in keys:
        raise entry.error("`charm-sha256`")
    charm = await _charm(files, keys["charm-sha256"].text())
    resources = {key: await _resource(files, value.mapping()) for key, value in _section(keys, "resources").items()}
    deployment = Deployment(
        name=name,
        charm=charm,
        units=keys["num_units"].integer() if "num_units" in keys else None if charm.subordinate else 0,
        config={key: value.scalar() for key, value in _section(keys, "options").items()},
        trust=keys["trust"].boolean() if "trust" in keys else False,
        channel=keys["channel"].text() if "channel" in keys else "",
        bindings={key: value.text() for key, value in _section(keys, "bindings").items()},
        storage={key: value.text() for key, value in _section(keys, "storage").items()},
        resources=resources,
    )
    return Wanted(deployment=deployment, exposed=keys["expose"].boolean() if "expose" in keys else False)


async def _charm(files: Files, sha256: str) -> Charm:
    """The charm of that checksum, which is among the blobs from now on."""
    path = await _blob(files, sha256)
    try:
        async with take(path) as taken:
            return taken.charm
    finally:
        await in_thread(path.unlink, missing_ok=True)


async def _resource(files: Files, keys: Mapping[str, Entry]) -> Resource:
    sha256 = keys["sha256"].text()
    path = await _blob(files, sha256)
    size = (await in_thread(path.stat)).st_size
    await in_thread(path.unlink, missing_ok=True)
    return Resource(sha256=sha256, size_bytes=size, filename=keys["filename"].text() if "filename" in keys else "")


async def _blob(files: Files, sha256: str) -> Path:
    """A copy of a blob, of the file beside the export where there is one."""
    operator, charms = files.operator, files.beside
    await files.hold.add(sha256)
    if charms is not None and await in_thread((charms / sha256).is_file):
        found = await operator.blobs.put(charms / sha256)
        if found != sha256:
            raise NotFoundError(sha256, f"{charms / sha256} is damaged: its SHA-256 is {found}")
    elif not await operator.blobs.has(sha256):
        raise NotFoundError(sha256, f"no charm or resource {sha256} is here: give --charms, as for `export`")
    copy = operator.data_dir / f"import-{sha256}"
    await operator.blobs.fetch(sha256, copy)
    return copy


def _section(keys: Mapping[str, Entry], name: str) -> Mapping[str, Entry]:
    return keys[name].mapping() if name in keys else {}
