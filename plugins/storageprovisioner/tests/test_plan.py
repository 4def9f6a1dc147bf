"""The plan, carried out on a model of a machine whose storage comes, goes and vanishes in any order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from undercroft_hookspecs import MachineId
from undercroft_hookspecs.state import Life, Status
from undercroft_hookspecs.storage import AttachInfo, FilesystemInfo, VolumeInfo
from undercroft_hookspecs.storage_facades import WantedStorage
from undercroft_hookspecs.storage_state import Filesystem, FilesystemAttachment, Volume, VolumeAttachment
from undercroft_storageprovisioner.plan import Actual, Deed, Kind, Step, plan

Sort = Literal["block", "folder", "on a volume"]
PENDING = Status(current="pending", since=datetime(2026, 1, 1, tzinfo=UTC))
MOST_STEPS = 12
"""So many steps are enough for one piece: four up, and four down, and some for what vanished."""


@dataclass
class Machine:
    """What is wanted, as the model keeps it, what there really is, and what the provisioner has seen of that."""

    volumes: dict[str, Volume] = field(default_factory=dict)
    held: dict[str, VolumeAttachment] = field(default_factory=dict)
    filesystems: dict[str, Filesystem] = field(default_factory=dict)
    mounted: dict[str, FilesystemAttachment] = field(default_factory=dict)
    dying: set[str] = field(default_factory=set)
    content: dict[str, str] = field(default_factory=dict)
    """By volume, what is on it: nothing, or a filesystem's id, or somebody else's data."""
    devices: set[str] = field(default_factory=set)
    mounts: set[str] = field(default_factory=set)
    seen_devices: set[str] = field(default_factory=set)
    seen_mounts: set[str] = field(default_factory=set)
    refused: set[Step] = field(default_factory=set)
    formatted: Counter[str] = field(default_factory=Counter)

    def wanted(self) -> WantedStorage:
        """As the facade tells it."""
        return WantedStorage(
            machine=MachineId.parse("0"),
            volumes=dict(self.volumes),
            volume_attachments=dict(self.held),
            filesystems=dict(self.filesystems),
            filesystem_attachments=dict(self.mounted),
        )

    def plan(self) -> Sequence[Step]:
        """What can be done, but for what was refused for good."""
        actual = Actual(volumes=frozenset(self.seen_devices), filesystems=frozenset(self.seen_mounts))
        return [step for step in plan(self.wanted(), actual) if step not in self.refused]

    def add(self, name: str, sort: Sort) -> None:
        """A piece of storage is asked for."""
        common = {"pool": "pool", "provider": "provider", "size_mib": 16, "status": PENDING}
        if sort != "folder":
            self.volumes[name] = msgspec.convert({"id": name, **common}, Volume)
            self.held[name] = VolumeAttachment(volume=name, machine="0")
        if sort != "block":
            volume = name if sort == "on a volume" else ""
            self.filesystems[name] = msgspec.convert({"id": name, "volume": volume, **common}, Filesystem)
            self.mounted[name] = FilesystemAttachment(filesystem=name, machine="0")

    def doom(self, name: str) -> None:
        """It is to go."""
        self.dying.add(name)
        self.advance(name)

    def advance(self, name: str) -> None:
        """What the model does next about a piece that is to go: everything is let go of, and then destroyed."""
        if name not in self.dying:
            return
        if name in self.mounted:
            self.mounted[name] = msgspec.structs.replace(self.mounted[name], life=Life.DYING)
            return
        if name in self.held:
            self.held[name] = msgspec.structs.replace(self.held[name], life=Life.DYING)
            return
        if name in self.filesystems and name in self.volumes:
            del self.filesystems[name]
        for records in (self.filesystems, self.volumes):
            if name in records:
                records[name] = msgspec.structs.replace(records[name], life=Life.DEAD)  # type: ignore[assignment]
                return

    def unmount(self, name: str) -> None:
        """Somebody unmounts it, and the provisioner sees that."""
        self.mounts.discard(name)
        self.seen_mounts.discard(name)

    def vanish(self, name: str) -> None:
        """Its device goes, and with it what is mounted of it."""
        self.devices.discard(name)
        self.seen_devices.discard(name)
        if name in self.filesystems and self.filesystems[name].volume:
            self.unmount(name)

    def restart(self) -> None:
        """The provisioner has seen nothing yet."""
        self.seen_devices.clear()
        self.seen_mounts.clear()
        self.refused.clear()

    def reboot(self) -> None:
        """Nothing is attached any more, either."""
        self.restart()
        self.devices.clear()
        self.mounts.clear()

    def take(self, step: Step) -> None:
        """Take a step, as the provisioner and the model do; every precaution of a step is asserted."""
        getattr(self, f"_{step.deed}_{step.kind}")(step)
        self.advance(step.entity)

    def _create_volume(self, step: Step) -> None:
        name = step.entity
        self.content.setdefault(name, "")
        info = VolumeInfo(provider_id=name, size_mib=16)
        self.volumes[name] = msgspec.structs.replace(self.volumes[name], info=info)

    def _attach_volume(self, step: Step) -> None:
        name = step.entity
        assert self.volumes[name].info is not None, "what is attached was made before"
        self.devices.add(name)
        self.seen_devices.add(name)
        self.held[name] = msgspec.structs.replace(self.held[name], info=AttachInfo(device_name=f"loop{name[2:]}"))

    def _detach_volume(self, step: Step) -> None:
        name = step.entity
        assert self.held[name].life is not Life.ALIVE, "only what is to go is detached"
        assert not {each for each in self.mounts if each == name and name in self.content}, "it is not mounted any more"
        self.devices.discard(name)
        self.seen_devices.discard(name)
        del self.held[name]

    def _destroy_volume(self, step: Step) -> None:
        name = step.entity
        assert self.volumes[name].life is Life.DEAD
        assert name not in self.devices, "nothing that is attached is destroyed"
        assert name not in self.filesystems, "the filesystem goes before its volume"
        self.content.pop(name, None)
        del self.volumes[name]

    def _create_filesystem(self, step: Step) -> None:
        filesystem = self.filesystems[step.entity]
        assert filesystem.info is None, "what is there is not made again"
        if filesystem.volume:
            assert filesystem.volume in self.devices, "a filesystem is made on a device that is there"
            if self.content[filesystem.volume] not in ("", step.entity):
                self.refused.add(step)
                return
            self.formatted[step.entity] += self.content[filesystem.volume] == ""
            self.content[filesystem.volume] = step.entity
        info = FilesystemInfo(provider_id=step.entity, size_mib=16)
        self.filesystems[step.entity] = msgspec.structs.replace(filesystem, info=info)

    def _attach_filesystem(self, step: Step) -> None:
        name = step.entity
        filesystem = self.filesystems[name]
        assert filesystem.info is not None, "what is mounted was made before"
        assert not filesystem.volume or filesystem.volume in self.devices, "its device is there"
        self.mounts.add(name)
        self.seen_mounts.add(name)
        self.mounted[name] = msgspec.structs.replace(self.mounted[name], info=AttachInfo(path=f"/srv/{name}"))

    def _detach_filesystem(self, step: Step) -> None:
        name = step.entity
        assert self.mounted[name].life is not Life.ALIVE, "only what is to go is unmounted"
        self.unmount(name)
        del self.mounted[name]

    def _destroy_filesystem(self, step: Step) -> None:
        name = step.entity
        assert self.filesystems[name].life is Life.DEAD
        assert name not in self.mounts, "nothing that is mounted is destroyed"
        del self.filesystems[name]


def settle(machine: Machine, data: st.DataObject) -> None:
    """Take steps, in any order, until there are none; it has to come to that."""
    for _ in range(MOST_STEPS * (len({*machine.volumes, *machine.filesystems}) + 1)):
        steps = machine.plan()
        if not steps:
            return
        machine.take(data.draw(st.sampled_from(steps)))
    raise AssertionError(f"it never ends: {machine.plan()}")


SORTS: st.SearchStrategy[Sort] = st.sampled_from(("block", "folder", "on a volume"))
EVENTS = st.sampled_from(("add", "doom", "unmount", "vanish", "restart", "reboot", "write", "steps"))


def take_some(machine: Machine, data: st.DataObject) -> None:
    for _ in range(data.draw(st.integers(1, 6))):
        if steps := machine.plan():
            machine.take(data.draw(st.sampled_from(steps)))


@settings(max_examples=200, deadline=None)
@given(data=st.data(), events=st.lists(EVENTS, max_size=25))
def test_plan_converges_whatever_happens_meanwhile(data: st.DataObject, events: list[str]) -> None:
    machine, foreign, count = Machine(), set[str](), 0
    for event in events:
        known = sorted({*machine.volumes, *machine.filesystems} - machine.dying)
        if event == "add":
            machine.add(f"0/{count}", data.draw(SORTS))
            count += 1
        elif event == "steps":
            take_some(machine, data)
        elif event in ("restart", "reboot"):
            getattr(machine, event)()
        elif event == "write":
            for name in [each for each in machine.content if machine.content[each] == "" and each in machine.volumes]:
                machine.content[name] = "somebody's data"
                foreign.add(name)
        elif known:
            getattr(machine, event)(data.draw(st.sampled_from(known)))
    settle(machine, data)

    assert machine.plan() == []
    alive = {*machine.volumes, *machine.filesystems}
    assert not alive & machine.dying, "what is to go is gone"
    good = alive - {step.entity for step in machine.refused}
    assert {name for name in machine.volumes if name in good} <= machine.devices <= set(machine.volumes)
    assert {name for name in machine.filesystems if name in good} <= machine.mounts <= set(machine.filesystems)
    assert all(machine.content[name] == "somebody's data" for name in foreign if name in machine.volumes)
    assert all(times == 1 for times in machine.formatted.values() if times), "nothing is formatted twice"


@settings(max_examples=100, deadline=None)
@given(data=st.data(), sorts=st.lists(SORTS, min_size=1, max_size=5))
def test_plan_has_one_step_for_an_entity_and_none_that_needs_another(data: st.DataObject, sorts: list[Sort]) -> None:
    machine = Machine()
    for number, sort in enumerate(sorts):
        machine.add(f"0/{number}", sort)
    while steps := machine.plan():
        assert max(Counter((step.kind, step.entity) for step in steps).values()) == 1
        for step in data.draw(st.permutations(steps)):  # In whichever order they end, side by side.
            machine.take(step)

    assert machine.mounts == set(machine.filesystems)


def test_plan_goes_up_in_order_and_down_in_reverse() -> None:
    machine, taken = Machine(), []
    machine.add("0/0", "on a volume")
    for _ in range(2):
        while steps := machine.plan():
            (step,) = steps
            taken.append((step.deed, step.kind))
            machine.take(step)
        machine.doom("0/0")

    assert taken == [
        (Deed.CREATE, Kind.VOLUME),
        (Deed.ATTACH, Kind.VOLUME),
        (Deed.CREATE, Kind.FILESYSTEM),
        (Deed.ATTACH, Kind.FILESYSTEM),
        (Deed.DETACH, Kind.FILESYSTEM),
        (Deed.DETACH, Kind.VOLUME),
        (Deed.DESTROY, Kind.VOLUME),
    ]
    assert not machine.content
