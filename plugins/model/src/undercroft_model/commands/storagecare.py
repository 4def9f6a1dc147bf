"""storage-resize, storage-snapshot, storage-trim, import-filesystem: what is asked of storage that is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from undercroft_model.commands.frame import at_desk, command, say

if TYPE_CHECKING:
    from undercroft_hookspecs.command import Session
    from undercroft_model.operator import Desk


@command("storage-resize", example="undercroft storage-resize data/0 20G")
@click.argument("storage")
@click.argument("size")
@click.pass_obj
def storage_resize(session: Session, storage: str, size: str) -> None:
    """Make storage larger, while it is used; `undercroft storage` shows when it is."""

    async def work(desk: Desk) -> None:
        from undercroft_model.storage.care import resize_storage
        from undercroft_model.storage.directives import parse_size

        wanted = parse_size(size, field="size")
        await desk.run(resize_storage, storage, wanted, providers=desk.operator.providers())
        say(f"resizing {storage} to {wanted} MiB")

    at_desk(session, work)


@command("storage-snapshot", example="undercroft storage-snapshot data/0 before-upgrade")
@click.argument("storage")
@click.argument("name", default="")
@click.option("--remove", is_flag=True, help="Destroy the snapshot of that name.")
@click.pass_obj
def storage_snapshot(session: Session, storage: str, name: str, remove: bool) -> None:
    """Keep what is in storage now; `show-storage` lists what is kept, and import-filesystem makes storage of it.

    Without a NAME it is called by the time. Snapshots go with their storage.
    """
    if remove and not name:
        raise click.UsageError("which snapshot is to be removed? Give its name.")

    async def work(desk: Desk) -> None:
        from undercroft_model.storage.care import ask_snapshot, remove_snapshot

        if remove:
            await desk.run(remove_snapshot, storage, name)
            say(f"removing snapshot {name} of {storage}")
            return
        now, providers = desk.operator.clock.now(), desk.operator.providers()
        made = await desk.run(ask_snapshot, storage, name, providers=providers, now=now)
        say(f"making snapshot {made} of {storage}")

    at_desk(session, work)


@command("storage-trim", example="undercroft storage-trim data/0")
@click.argument("storage")
@click.pass_obj
def storage_trim(session: Session, storage: str) -> None:
    """Have what a filesystem does not use be given back by the volume that it is on."""

    async def work(desk: Desk) -> None:
        from undercroft_model.storage.care import ask_trim

        now, providers = desk.operator.clock.now(), desk.operator.providers()
        await desk.run(ask_trim, storage, providers=providers, now=now)
        say(f"trimming {storage}")

    at_desk(session, work)


@command("import-filesystem", example="undercroft import-filesystem loop volume-0-3 data")
@click.argument("pool", metavar="POOL")
@click.argument("provider_id", metavar="PROVIDER-ID")
@click.argument("store", metavar="STORAGE-NAME")
@click.option("--machine", default="", help="Where it is; without, on this host.")
@click.pass_obj
def import_filesystem(session: Session, pool: str, provider_id: str, store: str, machine: str) -> None:
    """Take a filesystem that is there, or a volume with one on it, into the model; it is not formatted.

    The storage is detached: attach-storage gives it to a unit whose charm has a store of that name.
    """

    async def work(desk: Desk) -> None:
        from undercroft_model.storage.importing import import_filesystem as take

        say(f'importing "{provider_id}" from storage pool "{pool}" for storage "{store}"')
        operator = desk.operator
        made = await desk.run(
            take,
            pool,
            provider_id,
            store,
            host=str(operator.host),
            machine=machine,
            providers=operator.providers(),
            now=operator.clock.now(),
        )
        say(f"imported storage {made}")

    at_desk(session, work)
