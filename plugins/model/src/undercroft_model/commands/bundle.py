"""Deploy a bundle: the useful subset of juju's format, in an order in which each step finds what it needs.

What is there already stays: its options are brought to what the bundle says, and relations that are missing are added.
A bundle's machines are numbers of its own; each stands for a host: the machine of that number if the model has one,
else a host that is chosen by load, the same for all that the bundle puts there. Containers count as their machine.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from undercroft.files import in_thread
from undercroft_hookspecs.errors import AlreadyExistsError, NotFoundError
from undercroft_model.applications import set_config, set_exposed, set_trust
from undercroft_model.charmrecords import need_application
from undercroft_model.charms.document import read
from undercroft_model.commands.deployment import Wishes, deploy_charm
from undercroft_model.commands.frame import say
from undercroft_model.commands.sources import charm_path, is_path
from undercroft_model.machines import place
from undercroft_model.relations import integrate
from undercroft_model.tables import MACHINES

if TYPE_CHECKING:
    from undercroft_model.charms.document import Entry
    from undercroft_model.operator import Desk
    from undercroft_model.transaction import Transaction

_CONTAINER = re.compile(r"(?:lxd|kvm):")


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """An application of a bundle."""

    charm: str
    wishes: Wishes
    exposed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A bundle as it was read."""

    applications: Mapping[str, Member]
    relations: Sequence[tuple[str, str]] = ()
    machines: Sequence[str] = ()


def read_bundle(data: bytes, file: Path, overlays: Sequence[tuple[Path, bytes]] = ()) -> Bundle:
    """The bundle in a file, with others laid over it: what they say of an application counts.

    Raises:
        CharmFileError: one of them is not right.
    """
    layers = [read(data, str(file)), *(read(content, str(path)) for path, content in overlays)]
    if not {"applications", "services"} & layers[0].mapping().keys():
        raise layers[0].error("a bundle with `applications`")
    relations = [
        pair
        for layer in layers
        for entry in (layer.mapping()["relations"].items() if "relations" in layer.mapping() else ())
        for pair in _relations(entry)
    ]
    return Bundle(
        applications={name: _member(found, file.parent) for name, found in _applications(layers).items()},
        relations=list(dict.fromkeys(relations)),
        machines=[name for layer in layers for name in _section(layer.mapping(), "machines")],
    )


async def deploy_bundle(desk: Desk, file: Path, *, overlays: Sequence[str], trust: bool, dry_run: bool) -> None:
    """Deploy all that a bundle says.

    Raises:
        NotFoundError: there is no such file, or no charm of one of its names.
        CharmFileError: the bundle is not right; nothing was deployed.
    """
    if not await in_thread(file.is_file):
        raise NotFoundError(str(file), f"{file}: there is no such bundle")
    layers = [(Path(path), await in_thread(Path(path).read_bytes)) for path in overlays]
    bundle = read_bundle(await in_thread(file.read_bytes), file, layers)
    for member in bundle.applications.values():
        charm_path(member.charm)  # Nothing is deployed if one of them is not there.
    if dry_run:
        _announce(bundle)
        return
    places = await _places(desk, bundle)
    for name, member in bundle.applications.items():
        await _deploy(desk, name, member, places, trust=trust)
    for first, second in bundle.relations:
        await _relate(desk, first, second)
    say("Deploy of bundle completed.")


async def _deploy(desk: Desk, name: str, member: Member, places: Mapping[str, str], *, trust: bool) -> None:
    wishes = member.wishes
    try:
        present = await desk.look(need_application, name)
    except NotFoundError:
        to = [places.get(directive, directive) for directive in wishes.to if directive]
        await deploy_charm(desk, member.charm, name, replace(wishes, to=to, trust=wishes.trust or trust))
    else:
        say(f'application "{name}" is there already')
        if wishes.options:
            await desk.run(set_config, name, wishes.options)
        if (wishes.trust or trust) and not present.trust:
            await desk.run(set_trust, name, True)
    if member.exposed:
        await desk.run(set_exposed, name, True)


async def _relate(desk: Desk, first: str, second: str) -> None:
    try:
        await desk.run(integrate, first, second, now=desk.operator.clock.now())
    except AlreadyExistsError:
        say(f"relation {first} - {second} is there already")
    else:
        say(f"add relation {first} - {second}")


async def _places(desk: Desk, bundle: Bundle) -> Mapping[str, str]:
    """Which machine of the model each directive of the bundle stands for."""
    table = MACHINES.of(desk.model)
    present = {machine.id for machine in map(table.decode, (await desk.store.list(table.prefix)).entries)}
    used = {_CONTAINER.sub("", to) for member in bundle.applications.values() for to in member.wishes.to}
    missing = sorted(name for name in {*bundle.machines, *used} if name.isdecimal() and name not in present)
    here = await desk.operator.here()

    async def decide(tx: Transaction) -> Sequence[str]:
        return await place(tx, desk.model, len(missing), here=here, now=desk.operator.clock.now())

    chosen = dict(zip(missing, await desk.operator.change(decide), strict=True)) if missing else {}
    places = {name: chosen.get(name, name) for name in used}
    return {to: places[_CONTAINER.sub("", to)] for member in bundle.applications.values() for to in member.wishes.to}


def _applications(layers: Sequence[Entry]) -> dict[str, list[Entry]]:
    """What all layers say of each application; a null in a later one takes it out."""
    found: dict[str, list[Entry]] = {}
    for layer in layers:
        keys = layer.mapping()
        for name, entry in {**_section(keys, "services"), **_section(keys, "applications")}.items():
            if entry.is_null:
                found.pop(name, None)
            else:
                found.setdefault(name, []).append(entry)
    return found


def _member(entries: Sequence[Entry], folder: Path) -> Member:
    keys = {key: value for entry in entries for key, value in entry.mapping().items()}
    if "charm" not in keys:
        raise entries[0].error("`charm`: the path or name of a charm")
    options = {key: value for entry in entries for key, value in _section(entry.mapping(), "options").items()}
    units = _number(keys, "num_units")
    wishes = Wishes(
        units=units if units is not None else _number(keys, "scale"),
        options={key: value.scalar() for key, value in options.items()},
        resources={key: _path(value.text(), folder) for key, value in _section(keys, "resources").items()},
        storage={key: value.text() for key, value in _section(keys, "storage").items()},
        bindings={key: value.text() for key, value in _section(keys, "bindings").items()},
        to=_texts(keys["to"]) if "to" in keys else (),
        trust=keys["trust"].boolean() if "trust" in keys else False,
        channel=keys["channel"].text() if "channel" in keys else "",
    )
    exposed = keys["expose"].boolean() if "expose" in keys else False
    return Member(charm=_path(keys["charm"].text(), folder), wishes=wishes, exposed=exposed)


def _section(keys: Mapping[str, Entry], name: str) -> Mapping[str, Entry]:
    return keys[name].mapping() if name in keys else {}


def _number(keys: Mapping[str, Entry], name: str) -> int | None:
    return keys[name].integer() if name in keys else None


def _path(text: str, folder: Path) -> str:
    """A path in a bundle is meant from where the bundle is."""
    return str((folder / text).absolute()) if is_path(text) and not text.startswith(("/", "~")) else text


def _relations(entry: Entry) -> list[tuple[str, str]]:
    """`[a, b]`, or `[a, [b, c]]` for several at once."""
    ends = entry.items()
    if len(ends) != 2:
        raise entry.error("two applications, as in [wordpress:db, mysql]")
    first, second = ends
    return [(first.text(), other) for other in _texts(second)]


def _texts(entry: Entry) -> tuple[str, ...]:
    """A list of texts, or one text in place of a list of one."""
    return entry.texts() if entry.is_list else (entry.text(),)


def _announce(bundle: Bundle) -> None:
    say("Changes to deploy bundle:")
    for name, member in bundle.applications.items():
        units = 1 if member.wishes.units is None else member.wishes.units
        say(f"- deploy application {name} from {member.charm}, {units} unit(s)")
    for first, second in bundle.relations:
        say(f"- add relation {first} - {second}")
