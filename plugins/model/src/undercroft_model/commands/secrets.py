"""add-secret, update-secret, grant-secret, revoke-secret, secrets, show-secret, remove-secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from undercroft_model.commands.frame import Refusal, at_desk, command, listed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from undercroft_hookspecs.command import Session
    from undercroft_model.operator import Desk


@command("add-secret", example="undercroft add-secret db-password password=hunter2")
@click.argument("name")
@click.argument("words", nargs=-1, metavar="[KEY[#base64|#file]=VALUE...]")
@click.option("--file", "file", metavar="FILE", help="A YAML file of keys and values, `-` for stdin.")
@click.option("--info", metavar="TEXT", help="What it is.")
@click.pass_obj
def add_secret(session: Session, name: str, words: Sequence[str], file: str | None, info: str | None) -> None:
    """Add a secret of the model's, and print its URI. Charms read it once it is granted to their application.

    KEY#base64 takes a value that is base64, KEY#file one from a file.
    """

    async def work(desk: Desk) -> str:
        from undercroft_model.commands.secretviews import add, given_content

        return await add(desk, name, given_content(words, file), info or "")

    click.echo(at_desk(session, work))


@command("update-secret", example="undercroft update-secret db-password password=hunter3 --auto-prune")
@click.argument("secret", metavar="NAME|URI")
@click.argument("words", nargs=-1, metavar="[KEY[#base64|#file]=VALUE...]")
@click.option("--file", "file", metavar="FILE", help="A YAML file of keys and values, `-` for stdin.")
@click.option("--info", metavar="TEXT", help="What it is.")
@click.option("--name", "label", metavar="NAME", help="Another name.")
@click.option("--auto-prune", is_flag=True, default=None, help="Remove revisions that nobody follows any more.")
@click.pass_obj
def update_secret(
    session: Session,
    secret: str,
    words: Sequence[str],
    file: str | None,
    info: str | None,
    label: str | None,
    auto_prune: bool | None,
) -> None:
    """Change a secret of the model's. New content is a new revision, of which charms are told."""

    async def work(desk: Desk) -> None:
        from undercroft_model.commands.secretviews import given_content, update

        content = given_content(words, file) if words or file is not None else None
        await update(desk, secret, content, label=label, description=info, auto_prune=auto_prune)

    at_desk(session, work)


@command("grant-secret", example="undercroft grant-secret db-password mysql,wordpress")
@click.argument("secret", metavar="NAME|URI")
@click.argument("applications", metavar="APPLICATION,...")
@click.pass_obj
def grant_secret(session: Session, secret: str, applications: str) -> None:
    """Let applications read a secret of the model's."""
    _share(session, secret, applications, is_granted=True)


@command("revoke-secret", example="undercroft revoke-secret db-password wordpress")
@click.argument("secret", metavar="NAME|URI")
@click.argument("applications", metavar="APPLICATION,...")
@click.pass_obj
def revoke_secret(session: Session, secret: str, applications: str) -> None:
    """Let applications read a secret of the model's no longer."""
    _share(session, secret, applications, is_granted=False)


@command("secrets", example="undercroft secrets --format json")
@click.option("--owner", metavar="OWNER", help="Only those of the model, of an application or of a unit.")
@click.pass_obj
def secrets(session: Session, owner: str | None) -> None:
    """List the secrets; what they hold is not shown."""

    async def work(desk: Desk) -> dict[str, object]:
        from undercroft_model.commands.secretviews import list_document

        return await list_document(desk, owner)

    document = at_desk(session, work)

    def table() -> str:
        from undercroft_model.commands.secretviews import list_table

        return list_table(document)

    session.emit(document, table=table)


@command("show-secret", example="undercroft show-secret db-password --reveal")
@click.argument("secret", metavar="NAME|URI")
@click.option("--reveal", is_flag=True, help="Show what it holds.")
@click.option("-r", "--revision", type=int, metavar="N", help="Of this revision (default: the latest).")
@click.option("--revisions", is_flag=True, help="Show all revisions, without what they hold.")
@click.pass_obj
def show_secret(session: Session, secret: str, reveal: bool, revision: int | None, revisions: bool) -> None:
    """Show a secret; what it holds only with --reveal."""
    if revisions and (reveal or revision is not None):
        raise Refusal("specify either --revisions or --reveal and --revision, not both")

    async def work(desk: Desk) -> dict[str, object]:
        from undercroft_model.commands.secretviews import show

        return await show(desk, secret, reveal=reveal, revision=revision, revisions=revisions)

    session.emit(at_desk(session, work))


@command("remove-secret", example="undercroft remove-secret db-password --revision 2")
@click.argument("secret", metavar="NAME|URI")
@click.option("--revision", type=int, metavar="N", help="This revision alone.")
@click.pass_obj
def remove_secret(session: Session, secret: str, revision: int | None) -> None:
    """Remove a secret of the model's, or one revision of it."""

    async def work(desk: Desk) -> None:
        from undercroft_model.commands.secretviews import remove

        await remove(desk, secret, revision)

    at_desk(session, work)


def _share(session: Session, secret: str, applications: str, *, is_granted: bool) -> None:
    async def work(desk: Desk) -> None:
        from undercroft_model.commands.secretviews import share

        await share(desk, secret, listed(applications), is_granted=is_granted)

    at_desk(session, work)
