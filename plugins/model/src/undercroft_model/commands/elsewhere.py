"""Commands of juju that need a cloud or a controller: they say what to do here, or succeed where nothing is lost.

Test suites call some of them in passing (an SSH key, a credential): those succeed. What a suite would go on to rely on
is refused, with what there is in its place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from undercroft_model.commands.frame import OperatorCommand, Refusal, at_desk, command, say, tidy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from undercroft_hookspecs.command import Session
    from undercroft_model.operator import Desk

_ANYTHING = {"ignore_unknown_options": True, "allow_extra_args": True}


def _no_effect(name: str, why: str, *, example: str) -> OperatorCommand:
    """A command that succeeds whatever it is given, and says on stderr that nothing was done."""

    @command(name, example=example, in_model=False, context_settings=_ANYTHING, help=f"Succeed without effect: {why}")
    @click.argument("words", nargs=-1, type=click.UNPROCESSED)
    def run(words: Sequence[str]) -> None:
        say(f"nothing to do: {why}")

    return run


def _refused(name: str, why: str, *, example: str) -> OperatorCommand:
    """A command that fails whatever it is given, and says what there is in its place."""

    @command(name, example=example, in_model=False, context_settings=_ANYTHING, help=f"Not supported: {why}")
    @click.argument("words", nargs=-1, type=click.UNPROCESSED)
    def run(words: Sequence[str]) -> None:
        raise Refusal(f"{name} is not supported: {why}")

    return run


bootstrap = _no_effect(
    "bootstrap",
    "there is no controller to bootstrap; start an agent with `undercroft agent`",
    example="undercroft bootstrap",
)
add_cloud = _no_effect("add-cloud", "units run on hosts with an agent, in no cloud", example="undercroft add-cloud x")
update_cloud = _no_effect(
    "update-cloud", "units run on hosts with an agent, in no cloud", example="undercroft update-cloud x"
)
add_credential = _no_effect("add-credential", "no cloud needs credentials", example="undercroft add-credential x")
add_ssh_key = _no_effect(
    "add-ssh-key", "units are reached without SSH", example="undercroft add-ssh-key 'ssh-ed25519 AAAA'"
)
remove_ssh_key = _no_effect(
    "remove-ssh-key", "units are reached without SSH", example="undercroft remove-ssh-key me@here"
)
constraints = _no_effect(
    "set-constraints", "units go to the hosts that there are", example="undercroft set-constraints mysql mem=4G"
)
add_machine = _refused(
    "add-machine",
    "a machine appears when a unit is placed on a host; a host appears when an agent runs on it",
    example="undercroft machines",
)
offer = _refused("offer", "applications are related within one model", example="undercroft integrate wordpress mysql")
consume = _refused(
    "consume", "applications are related within one model", example="undercroft integrate wordpress mysql"
)
destroy_controller = _refused(
    "destroy-controller",
    "there is none; `undercroft destroy-model` removes a model",
    example="undercroft destroy-model test",
)


@command("remove-machine", example="undercroft remove-machine 0 --force")
@click.argument("machines", nargs=-1, required=True)
@click.option("--force", is_flag=True, help="Remove the units on it, too, without waiting for them.")
@click.option("-y", "--no-prompt", is_flag=True, hidden=True)
@click.pass_obj
def remove_machine(session: Session, machines: Sequence[str], force: bool, no_prompt: bool) -> None:
    """Let machines go from the model. The hosts stay, and get a new number when a unit is placed on them again."""

    async def work(desk: Desk) -> None:
        from undercroft_model.machines import remove_machine as remove

        for machine in machines:
            await desk.run(remove, machine, force=force)
            say(f"will remove machine {machine}")
        await tidy(desk)

    at_desk(session, work)


@command("controllers", example="undercroft controllers --format json", in_model=False)
@click.pass_obj
def controllers(session: Session) -> None:
    """Show the one controller that clients of juju find here: the store itself."""
    entry = {
        "uuid": "00000000-0000-0000-0000-000000000000",
        "user": "admin",
        "access": "superuser",
        "cloud": "localhost",
    }
    document = {"controllers": {"undercroft": entry}, "current-controller": "undercroft"}
    session.emit(document, table=lambda: "Controller  User   Cloud\nundercroft* admin  localhost")


@command("whoami", example="undercroft whoami", in_model=False)
@click.pass_obj
def whoami(session: Session) -> None:
    """Show who clients of juju are here."""
    document = {"controller": "undercroft", "model": session.model or "", "user": "admin"}
    session.emit(document, table=lambda: "\n".join(f"{key.capitalize()}: {value}" for key, value in document.items()))
