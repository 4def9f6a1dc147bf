"""storage, show-storage, add-storage, attach-storage, detach-storage, remove-storage, and storage pools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from undercroft_model.commands.frame import at_desk, command, listed, pairs, say, tidy, tolerated

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from undercroft_hookspecs.command import Session
    from undercroft_model.operator import Desk

# Any: a document of JSON.
Document = dict[str, Any]


@command("storage", example="undercroft storage --format json")
@click.option("--filesystem", "section", flag_value="filesystems", help="The filesystems behind it.")
@click.option("--volume", "section", flag_value="volumes", help="The volumes behind it.")
@click.pass_obj
def storage(session: Session, section: str | None) -> None:
    """List the storage of the model: what there is, whose it is, and where."""

    async def work(desk: Desk) -> Document:
        return await _document(desk)

    document = at_desk(session, work)
    if not document:
        say("No storage to display.")
    shown = {section: document.get(section, {})} if section else document
    session.emit(shown, table=lambda: _table(document, section or "storage"))


@command("show-storage", example="undercroft show-storage data/0", formats=("yaml", "json"))
@click.argument("names", nargs=-1, required=True, metavar="STORAGE...")
@click.pass_obj
def show_storage(session: Session, names: Sequence[str]) -> None:
    """Show all that is known of pieces of storage."""

    async def work(desk: Desk) -> Document:
        from undercroft_model.storage.ending import need_storage

        for name in names:
            await desk.look(need_storage, name)
        found = (await _document(desk)).get("storage", {})
        return {name: found[name] for name in names if name in found}

    from undercroft_model.commands.frame import by_lines

    document = at_desk(session, work)
    session.emit(document, table=lambda: by_lines(document))


@command("add-storage", example="undercroft add-storage mysql/0 data=fast,10G")
@click.argument("unit")
@click.argument("directives", nargs=-1, required=True, metavar="STORE[=POOL,COUNT,SIZE]...")
@click.pass_obj
def add_storage(session: Session, unit: str, directives: Sequence[str]) -> None:
    """Give a unit more of a store of its charm; its agent makes it."""

    async def work(desk: Desk) -> None:
        from undercroft_model.storage.adding import request_storage

        for directive in directives:
            store, _, text = directive.partition("=")
            await desk.run(request_storage, unit, store, text)
            say(f"added storage {store} to {unit}")

    at_desk(session, work)


@command("attach-storage", example="undercroft attach-storage mysql/1 data/0")
@click.argument("unit")
@click.argument("names", nargs=-1, required=True, metavar="STORAGE...")
@click.pass_obj
def attach_storage(session: Session, unit: str, names: Sequence[str]) -> None:
    """Give detached storage to a unit, with what is on it."""

    async def work(desk: Desk) -> None:
        from undercroft_model.storage.ending import attach_storage as attach

        for name in names:
            await desk.run(attach, name, unit)
            say(f"attaching {name} to {unit}")

    at_desk(session, work)


@command("detach-storage", example="undercroft detach-storage data/0")
@click.argument("names", nargs=-1, required=True, metavar="STORAGE...")
@click.option("--force", is_flag=True, help="Do not ask the charm.")
@tolerated("--no-wait", is_flag=True)
@click.pass_obj
def detach_storage(session: Session, names: Sequence[str], force: bool) -> None:
    """Take storage away from its unit, and keep it; the charm is asked to let go of it first."""

    async def work(desk: Desk) -> None:
        from undercroft_model.storage.ending import detach_storage as detach

        for name in names:
            await desk.run(detach, name, force=force)
            say(f"detaching {name}")

    at_desk(session, work)


@command("remove-storage", example="undercroft remove-storage data/0 --no-destroy")
@click.argument("names", nargs=-1, required=True, metavar="STORAGE...")
@click.option("--no-destroy", is_flag=True, help="Let go of what is behind it, and keep that.")
@click.option("--force", is_flag=True, help="Also if it is attached: it is detached first.")
@tolerated("--no-wait", is_flag=True)
@click.pass_obj
def remove_storage(session: Session, names: Sequence[str], no_destroy: bool, force: bool) -> None:
    """Remove storage, and destroy what is on it."""

    async def work(desk: Desk) -> None:
        from undercroft_model.storage.care import check_release
        from undercroft_model.storage.ending import need_storage
        from undercroft_model.storage.ending import remove_storage as remove

        for name in names:
            await desk.look(need_storage, name)  # Nothing is removed where one of them is wrong.
            if no_destroy:
                await desk.look(check_release, name, providers=desk.operator.providers())
        for name in names:
            await desk.run(remove, name, destroy=not no_destroy, force=force)
            say(f"{'releasing' if no_destroy else 'removing'} {name}")
        await tidy(desk)

    at_desk(session, work)


@command("create-storage-pool", example="undercroft create-storage-pool fast loop fs=xfs")
@click.argument("name")
@click.argument("provider")
@click.argument("attributes", nargs=-1, metavar="KEY=VALUE...")
@click.pass_obj
def create_storage_pool(session: Session, name: str, provider: str, attributes: Sequence[str]) -> None:
    """Name a way to make storage: a provider, with its attributes."""

    async def work(desk: Desk) -> None:
        from undercroft_model.storage.pools import create_pool

        given = pairs(attributes, what="an attribute")
        await desk.run(create_pool, name, provider, given, providers=desk.operator.providers())

    at_desk(session, work)


@command("update-storage-pool", example="undercroft update-storage-pool fast fs=btrfs")
@click.argument("name")
@click.argument("attributes", nargs=-1, required=True, metavar="KEY=VALUE...")
@click.pass_obj
def update_storage_pool(session: Session, name: str, attributes: Sequence[str]) -> None:
    """Change the attributes of a pool, for what is made of it from now on; an empty value takes one away."""

    async def work(desk: Desk) -> None:
        from undercroft_model.storage.pools import update_pool

        given = pairs(attributes, what="an attribute")
        await desk.run(update_pool, name, given, providers=desk.operator.providers())

    at_desk(session, work)


@command("remove-storage-pool", example="undercroft remove-storage-pool fast")
@click.argument("name")
@click.pass_obj
def remove_storage_pool(session: Session, name: str) -> None:
    """Remove a pool that no storage was made of."""

    async def work(desk: Desk) -> None:
        from undercroft_model.storage.pools import remove_pool

        await desk.run(remove_pool, name, providers=desk.operator.providers())

    at_desk(session, work)


@command("storage-pools", example="undercroft storage-pools --provider loop")
@click.option("--provider", "providers", multiple=True, metavar="NAME,...", help="Only those of these providers.")
@click.option("--name", "names", multiple=True, metavar="NAME,...", help="Only these.")
@click.pass_obj
def storage_pools(session: Session, providers: Sequence[str], names: Sequence[str]) -> None:
    """List the pools that storage can be made of."""
    from undercroft_model.commands.columns import columns

    only = {name for text in names for name in listed(text)}
    of = {name for text in providers for name in listed(text)}

    async def work(desk: Desk) -> Document:
        from undercroft_model.storage.pools import list_pools

        pools = await desk.look(list_pools, desk.operator.providers())
        return {
            pool.name: {"provider": pool.provider, **({"attrs": dict(pool.attributes)} if pool.attributes else {})}
            for pool in pools
            if (not only or pool.name in only) and (not of or pool.provider in of)
        }

    document = at_desk(session, work)

    def table() -> str:
        rows = [
            (name, entry["provider"], " ".join(f"{key}={value}" for key, value in entry.get("attrs", {}).items()))
            for name, entry in document.items()
        ]
        return columns(("Name", "Provider", "Attributes"), rows)

    session.emit(document, table=table)


async def _document(desk: Desk) -> Document:
    from undercroft_model.storage.document import read_storage, storage_document

    return storage_document(await desk.look(read_storage))


def _table(document: Mapping[str, Any], section: str) -> str:  # as Document
    from undercroft_model.commands.columns import columns

    entries: Mapping[str, Any] = document.get(section, {})  # as Document
    heads: Sequence[str]
    rows: list[tuple[str, ...]]
    if section == "storage":
        heads = ("Unit", "Storage ID", "Type", "Pool", "Size", "Used", "Inodes", "Status", "Message")
        rows = [
            (
                next(iter((entry.get("attachments") or {}).get("units", {})), ""),
                name,
                entry["kind"],
                entry["pool"],
                f"{entry['size']} MiB",
                *_fullness(entry),
                entry["status"]["current"],
                entry["status"].get("message", ""),
            )
            for name, entry in entries.items()
        ]
        return columns(heads, rows, right=("Size", "Used", "Inodes"))
    place = "Mountpoint" if section == "filesystems" else "Device"
    heads = ("Machine", "Storage ID", "ID", "Provider ID", place, "Size", "State", "Message")
    rows = [_entity(name, entry, place) for name, entry in entries.items()]
    return columns(heads, rows, right=("Size",))


def _fullness(entry: Document) -> tuple[str, str]:
    """How much of the space and of the inodes is used, in per cent."""
    usage: Document = entry.get("usage", {})
    if not usage:
        return "", ""
    return tuple(  # type: ignore[return-value]  # These two.
        f"{100 * usage[used] / usage[size]:.0f}%" if usage[size] else ""
        for used, size in (("used", "size"), ("inodes-used", "inodes"))
    )


def _entity(name: str, entry: Document, place: str) -> tuple[str, ...]:
    machines: Document = entry["attachments"].get("machines", {})
    machine = next(iter(machines), "")
    attachment: Document = machines.get(machine, {})
    return (
        machine,
        entry["storage"],
        name,
        entry["provider-id"],
        attachment.get("mount-point" if place == "Mountpoint" else "device", ""),
        f"{entry['size']} MiB",
        entry["status"]["current"],
        entry["status"].get("message", ""),
    )
