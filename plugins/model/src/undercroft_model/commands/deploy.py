"""deploy, refresh, attach-resource, resources."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from undercroft_model.commands.frame import Refusal, at_desk, attached_storage, command, listed, tidy, tolerated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from undercroft_hookspecs.command import Session
    from undercroft_model.operator import Desk


@command("deploy", example="undercroft deploy ./mysql --config dataset-size=50% -n 3")
@click.argument("charm")
@click.argument("application", required=False)
@click.option("-n", "--num-units", type=int, metavar="N", help="How many units (default: 1).")
@click.option(
    "--config", "settings", multiple=True, metavar="KEY=VALUE|FILE", help="An option, or a YAML file of some."
)
@click.option("--resource", "resources", multiple=True, metavar="NAME=FILE", help="A file for a resource of the charm.")
@click.option("--storage", "storage", multiple=True, metavar="NAME=DIRECTIVE", help="Such as data=loop,1G.")
@click.option(
    "--attach-storage", "attach", multiple=True, metavar="STORAGE,...", help="Detached storage that the unit is given."
)
@click.option("--to", "to", multiple=True, metavar="MACHINE,...", help="Where the first units go.")
@click.option("--trust", is_flag=True, help="Trust it with the host's credentials.")
@click.option(
    "--bind", "bind", metavar="BINDINGS", help="Spaces for endpoints: 'db=internal'. Kept for the charm to see."
)
@click.option("--channel", metavar="CHANNEL", help="Kept with the application; local charms have no channel.")
@click.option("--overlay", "overlays", multiple=True, metavar="FILE", help="Of a bundle: another to lay over it.")
@click.option("--force", is_flag=True, help="Taken for the sake of clients of juju: bases are not checked anyway.")
@click.option("--dry-run", is_flag=True, help="Of a bundle: say what would be done.")
@tolerated("--base")
@tolerated("--series")
@tolerated("--revision")
@tolerated("--constraints")
@tolerated("--device")
@tolerated("--map-machines")
@click.pass_obj
def deploy(
    session: Session,
    charm: str,
    application: str | None,
    num_units: int | None,
    settings: Sequence[str],
    resources: Sequence[str],
    storage: Sequence[str],
    attach: Sequence[str],
    to: Sequence[str],
    trust: bool,
    bind: str | None,
    channel: str | None,
    overlays: Sequence[str],
    force: bool,
    dry_run: bool,
) -> None:
    """Deploy a charm or a bundle.

    CHARM is a .charm archive, a source folder (./my-charm, packed if that is needed), a bundle (./bundle.yaml), or the
    name of a charm, which is looked for as NAME.charm or a folder NAME in the folders of $UNDERCROFT_CHARMS. The units
    are placed at once, and start as soon as an agent runs on their hosts.
    """
    if num_units is not None and num_units < 0:
        raise Refusal("--num-units must be a positive integer")
    wishes = {
        "units": num_units,
        "settings": tuple(settings),
        "resources": pairs_as_given(resources, what="resource"),
        "storage": pairs_as_given([word if "=" in word else f"{word}=1" for word in storage], what="storage"),
        "attached": attached_storage(attach, 1 if num_units is None else num_units),
        "to": [directive for text in to for directive in listed(text)],
        "trust": trust,
        "bindings": _bindings(bind),
        "channel": channel or "",
    }

    async def work(desk: Desk) -> None:
        from undercroft_model.commands.bundle import deploy_bundle
        from undercroft_model.commands.deployment import Wishes, deploy_charm
        from undercroft_model.commands.sources import bundle_file

        bundle = bundle_file(charm)
        if bundle is not None:
            await deploy_bundle(desk, bundle, overlays=overlays, trust=trust, dry_run=dry_run)
        else:
            await deploy_charm(desk, charm, application, Wishes(**wishes))  # type: ignore[arg-type]  # As above.

    at_desk(session, work)


@command("refresh", example="undercroft refresh mysql --path ./mysql.charm")
@click.argument("application")
@click.option("--path", metavar="CHARM", help="The charm: an archive or a source folder.")
@click.option("--switch", "switch", metavar="CHARM", help="As --path, or the name of a charm.")
@click.option(
    "--config", "settings", multiple=True, metavar="KEY=VALUE|FILE", help="An option, or a YAML file of some."
)
@click.option("--resource", "resources", multiple=True, metavar="NAME=FILE", help="A file for a resource of the charm.")
@click.option("--trust", is_flag=True, help="Trust it with the host's credentials.")
@click.option("--channel", metavar="CHANNEL", help="Kept with the application.")
@click.option("--force", is_flag=True, help="The same as --force-units.")
@click.option("--force-units", is_flag=True, help="Units in error take it up, too.")
@tolerated("--force-base", is_flag=True)
@tolerated("--force-series", is_flag=True)
@tolerated("--base")
@tolerated("--revision")
@tolerated("--storage")
@tolerated("--bind")
@click.pass_obj
def refresh(
    session: Session,
    application: str,
    path: str | None,
    switch: str | None,
    settings: Sequence[str],
    resources: Sequence[str],
    trust: bool,
    channel: str | None,
    force: bool,
    force_units: bool,
) -> None:
    """Give an application another revision of its charm; its units run their upgrade-charm hook.

    Without --path the charm is looked for by its name, as `deploy` does.
    """
    files = pairs_as_given(resources, what="resource")

    async def work(desk: Desk) -> None:
        from undercroft_model.commands.deployment import refresh_charm

        await refresh_charm(
            desk,
            application,
            path or switch,
            settings=settings,
            resources=files,
            trust=True if trust else None,
            channel=channel,
            force=force or force_units,
        )
        await tidy(desk)

    at_desk(session, work)


@command("attach-resource", example="undercroft attach-resource mysql backup=./dump.tgz")
@click.argument("application")
@click.argument("resource", metavar="NAME=FILE")
@click.pass_obj
def attach_resource(session: Session, application: str, resource: str) -> None:
    """Give an application another file for a resource of its charm; its units run their upgrade-charm hook."""
    files = pairs_as_given([resource], what="resource")

    async def work(desk: Desk) -> None:
        from undercroft_model.commands.deployment import attach

        for name, path in files.items():
            await attach(desk, application, name, path)

    at_desk(session, work)


@command("resources", example="undercroft resources mysql")
@click.argument("application")
@click.pass_obj
def resources(session: Session, application: str) -> None:
    """Show the resources of an application's charm, and which files it was given for them."""

    async def work(desk: Desk) -> dict[str, object]:
        from undercroft_model.commands.deployment import resources_document

        return await resources_document(desk, application)

    document = at_desk(session, work)

    def table() -> str:
        from undercroft_model.commands.deployment import resources_table

        return resources_table(document)

    session.emit(document, table=table)


@command("pack", example="undercroft pack ./my-charm --output .", in_model=False)
@click.argument("folder", default=".")
@click.option("-p", "--project-dir", metavar="DIR", help="The source folder, as charmcraft has it.")
@click.option("-o", "--output", default=".", metavar="DIR", help="Where the archive goes (default: here).")
@click.option("--python", metavar="PYTHON", help="The Python to install dependencies for.")
@click.option(
    "--libs", multiple=True, metavar="DIR", help="Another source folder, for charm libraries that this one has not got."
)
@click.option("--fresh", is_flag=True, help="Build it even if the same files were packed before.")
@tolerated("--destructive-mode", is_flag=True)
@tolerated("--use-lxd", is_flag=True)
@tolerated("--platform")
@tolerated("--build-for")
@tolerated("--bases-index")
@tolerated("--verbosity")
@tolerated("--force", is_flag=True)
@click.pass_obj
def pack(
    session: Session,
    folder: str,
    project_dir: str | None,
    output: str,
    python: str | None,
    libs: Sequence[str],
    fresh: bool,
) -> None:
    """Build a charm from its source folder, with its dependencies, in seconds. Prints the archive's path."""

    async def main() -> str:
        from pathlib import Path

        from undercroft_model.commands.sources import pack_folder

        packed = await pack_folder(
            Path(project_dir or folder),
            Path(output),
            data_dir=session.data_dir,
            python=python,
            libraries=[Path(lib) for lib in libs],
            is_fresh=fresh,
        )
        return str(packed)

    click.echo(session.run(main()))


def pairs_as_given(words: Sequence[str], *, what: str) -> dict[str, str]:
    """Words of the form NAME=TEXT, the text as it is."""
    found = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not name or not equals:
            raise click.UsageError(f'expected {what} as "name=...", got "{word}"')
        found[name] = text
    return found


def _bindings(text: str | None) -> dict[str, str]:
    """`space`, `endpoint=space`, or several of these."""
    found = {}
    for word in (text or "").split():
        endpoint, equals, space = word.partition("=")
        found[endpoint if equals else ""] = space if equals else endpoint
    return found
