"""add-model, destroy-model, models, show-model, switch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from undercroft_model.commands.frame import (
    Refusal,
    at_desk,
    by_lines,
    command,
    listed,
    operate,
    pairs,
    read_text,
    say,
    tidy,
    tolerated,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from undercroft_hookspecs.command import Session
    from undercroft_hookspecs.state import Model
    from undercroft_model.operator import Desk, Operator
    from undercroft_model.transaction import Transaction

WAIT_SECONDS = 3600.0


@command("add-model", example="undercroft add-model staging --config update-status-hook-interval=1m", in_model=False)
@click.argument("name")
@click.argument("cloud", required=False)
@click.option(
    "--config", "settings", multiple=True, metavar="KEY=VALUE|FILE", help="A setting, or a YAML file of some."
)
@click.option("--no-switch", is_flag=True, help="Leave the current model as it is.")
@tolerated("--controller")
@tolerated("--credential")
@tolerated("--owner")
@click.pass_obj
def add_model(session: Session, name: str, cloud: str | None, settings: Sequence[str], no_switch: bool) -> None:
    """Add a model, and make it the current one.

    A CLOUD is taken for the sake of clients of juju: models are on the hosts that run an agent.
    """
    config = _settings(settings)

    async def work(operator: Operator) -> Model:
        from undercroft_model.models import create_model

        clock = operator.clock
        model = await operator.change(
            lambda tx: create_model(tx, name, now=clock.now(), rng=operator.rng, config=config)
        )
        if not no_switch:
            await operator.switch(model)
        return model

    model = operate(session, work)
    say(f"Added '{model.name}' model for user '{model.owner}'")


@command("destroy-model", example="undercroft destroy-model staging --no-prompt", in_model=False)
@click.argument("name")
@click.option("-y", "--no-prompt", "--yes", is_flag=True, help="Do not ask.")
@click.option("--force", is_flag=True, help="Do not wait for units: remove their records at once.")
@click.option("--no-wait", is_flag=True, help="Return once it is marked, and let the agents do the rest.")
@click.option("-t", "--timeout", metavar="DURATION", help="How long to wait for its end, such as 90s or 10m.")
@tolerated("--destroy-storage", is_flag=True)
@tolerated("--release-storage", is_flag=True)
@click.pass_obj
def destroy_model(
    session: Session, name: str, no_prompt: bool, force: bool, no_wait: bool, timeout: str | None
) -> None:
    """Destroy a model: its units are stopped and removed, and everything in it.

    What is left when units have to run their last hooks while no agent is running is removed once one does.
    """
    if not no_prompt:
        _confirm(name)
    seconds = _duration(timeout) if timeout is not None else WAIT_SECONDS

    async def work(operator: Operator) -> str:
        from undercroft_model.commands.waiting import model_gone
        from undercroft_model.models import destroy_model as destroy
        from undercroft_model.models import find_model
        from undercroft_model.operator import Desk
        from undercroft_model.transaction import Transaction

        desk = Desk(operator=operator, record=await find_model(Transaction(operator.store), name))
        await desk.run(destroy, force=force)
        await tidy(desk)
        say(f"Destroying model {desk.record.name}")
        return await model_gone(desk, seconds=0.0 if no_wait else seconds)

    say(operate(session, work))


@command("models", example="undercroft models --format json", in_model=False)
@tolerated("--all", is_flag=True)
@tolerated("--controller")
@click.pass_obj
def models(session: Session) -> None:
    """List the models; the current one has an asterisk."""

    async def work(operator: Operator) -> dict[str, object]:
        from undercroft_model.commands.modelviews import list_document

        return await list_document(operator)

    document = operate(session, work)

    def table() -> str:
        from undercroft_model.commands.modelviews import list_table

        return list_table(document)

    session.emit(document, table=table)


@command("show-model", example="undercroft show-model staging --format json")
@click.argument("name", required=False)
@click.pass_obj
def show_model(session: Session, name: str | None) -> None:
    """Show a model: its identity, its machines and how it stands."""

    async def work(operator: Operator) -> dict[str, object]:
        from undercroft_model.showunit import show_model as show

        desk = await operator.desk(name)
        return await show(operator.store, desk.record)

    document = operate(session, work)
    session.emit(document, table=lambda: by_lines(document))


@command("switch", example="undercroft switch staging", in_model=False)
@click.argument("name", required=False)
@click.pass_obj
def switch(session: Session, name: str | None) -> None:
    """Make a model the current one, or say which it is."""

    async def work(operator: Operator) -> tuple[str, str]:
        before = (await operator.desk()).record
        if name is None:
            return before.name, before.name
        after = (await operator.desk(name)).record
        await operator.switch(after)
        return before.name, after.name

    before, after = operate(session, work)
    if name is None:
        click.echo(after)
    elif before == after:
        say(f"undercroft:admin/{after} (no change)")
    else:
        say(f"undercroft:admin/{before} -> undercroft:admin/{after}")


@command("model-config", example="undercroft model-config update-status-hook-interval=30s")
@click.argument("words", nargs=-1, metavar="[KEY | KEY=VALUE... | FILE]")
@click.option("--reset", "resets", multiple=True, metavar="KEY,...", help="Give settings their defaults again.")
@click.option("--file", "file", metavar="FILE", help="A YAML file of settings, `-` for stdin.")
@tolerated("--ignore-read-only-fields", is_flag=True)
@click.pass_obj
def model_config(session: Session, words: Sequence[str], resets: Sequence[str], file: str | None) -> None:
    """Show the model's settings or one of them, or set some."""
    reset = [key for text in resets for key in listed(text)]
    wanted = _wanted_key(words, bool(reset) or file is not None)
    values = {**(_from_file(file) if file is not None else {}), **({} if wanted else _settings(words))}

    async def work(desk: Desk) -> Mapping[str, object]:
        from undercroft_model.commands.modelviews import settings_document
        from undercroft_model.modelconfig import reset_model_config, set_model_config

        async def decide(tx: Transaction) -> None:
            # One change: what is reset and what is set belong together.
            if values:
                await set_model_config(tx, desk.model, values)
            if reset:
                await reset_model_config(tx, desk.model, reset)

        await desk.operator.change(decide)
        return settings_document(desk.record)

    document = at_desk(session, work)
    if values or reset:
        return
    _show_settings(session, document, wanted)


@command("model-constraints", example="undercroft model-constraints --format json")
@click.pass_obj
def model_constraints(session: Session) -> None:
    """Show the model's constraints: there are none, since hosts are what they are."""
    session.emit({}, table=lambda: "")


@command("set-model-constraints", example="undercroft set-model-constraints mem=4G")
@click.argument("words", nargs=-1, metavar="KEY=VALUE...")
@click.pass_obj
def set_model_constraints(session: Session, words: Sequence[str]) -> None:
    """Take constraints for the sake of clients of juju; units go to the hosts that there are, whatever these say."""
    pairs(words, what="constraint")
    say("constraints have no effect: units go to the hosts that there are (see --to of deploy and add-unit)")


def _show_settings(session: Session, document: Mapping[str, object], wanted: str | None) -> None:
    if wanted is None:

        def table() -> str:
            from undercroft_model.commands.modelviews import settings_table

            return settings_table(document)

        session.emit(document, table=table)
        return
    if wanted not in document:
        raise Refusal(f'key "{wanted}" not found in "{session.model or "the current"}" model')
    setting = document[wanted]
    assert isinstance(setting, dict)
    if session.format == "table":
        value = setting["Value"]
        click.echo(str(value).lower() if isinstance(value, bool) else value)
    else:
        session.emit({wanted: setting})


def _wanted_key(words: Sequence[str], sets: bool) -> str | None:
    """The one key that is asked for, if nothing is to be set."""
    if len(words) != 1 or sets or "=" in words[0] or words[0].endswith((".yaml", ".yml")):
        return None
    return words[0]


def _settings(words: Sequence[str]) -> dict[str, object]:
    """Settings given as KEY=VALUE or in YAML files."""
    found: dict[str, object] = {}
    for word in words:
        found |= pairs([word], what="setting") if "=" in word else _from_file(word)
    return found


def _from_file(path: str) -> dict[str, object]:
    from undercroft_model.charms.document import read

    return {key: entry.scalar() for key, entry in read(read_text(path).encode(), path).mapping().items()}


def _duration(text: str) -> float:
    from undercroft_model.commands.waiting import seconds_of

    return seconds_of(text)


def _confirm(name: str) -> None:
    say(f'WARNING! This command destroys the "{name}" model, its units and all that is kept of them.')
    answer = click.prompt("To continue, enter the name of the model to be destroyed", default="", show_default=False)
    if answer != name:
        raise Refusal("destroying model: aborted")
