"""What a host says of itself, and which hosts there are."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from plugins.model.tests.conftest import HERE, THERE, World

from undercroft_hookspecs import HostId, Put
from undercroft_hookspecs.state import Host
from undercroft_model.hosts import describe_host, read_base, read_hosts, register_host


async def register(world: World, host: Host) -> None:
    await world.change(lambda tx: register_host(tx, host))


async def test_this_machine_is_described() -> None:
    host = await describe_host(HostId.parse(HERE.id))

    assert host.id == HERE.id
    assert host.hostname == socket.gethostname()
    assert host.cores >= 1
    assert host.memory_mib > 100
    assert host.addresses
    assert all(not address.startswith("127.") for address in host.addresses) or host.addresses == ("127.0.0.1",)


@pytest.mark.parametrize(
    ("text", "base"),
    [
        ('NAME="Ubuntu"\nID=ubuntu\nVERSION_ID="22.04"\n', "ubuntu@22.04"),
        ("ID='debian'\nVERSION_ID='12'\n", "debian@12"),
        ("ID=arch\n", "arch"),
        ("not a file of that kind\n", ""),
    ],
)
def test_the_distribution_is_read(tmp_path: Path, text: str, base: str) -> None:
    (tmp_path / "os-release").write_text(text)

    assert read_base(tmp_path / "os-release") == base


def test_a_host_without_that_file_has_no_base(tmp_path: Path) -> None:
    assert read_base(tmp_path / "os-release") == ""


async def test_registered_hosts_are_read(world: World) -> None:
    await register(world, HERE)
    await register(world, THERE)

    assert {name: seen.host for name, seen in (await read_hosts(world.store)).items()} == {
        HERE.id: HERE,
        THERE.id: THERE,
    }


async def test_a_host_whose_agent_runs_is_present(world: World) -> None:
    await register(world, HERE)
    await register(world, THERE)
    await world.present(THERE)

    hosts = await read_hosts(world.store)

    assert (hosts[HERE.id].present, hosts[THERE.id].present) == (False, True)


async def test_what_else_a_host_keeps_is_no_host(world: World) -> None:
    await register(world, HERE)
    await world.store.transact([], [Put(f"/hosts/{HERE.id}/block-devices", b"{}"), Put("/hosts/x/other", b"?")])

    assert set(await read_hosts(world.store)) == {HERE.id}


async def test_registering_again_writes_only_what_is_new(world: World) -> None:
    await register(world, HERE)
    before = (await world.store.list("")).revision

    await register(world, HERE)

    assert (await world.store.list("")).revision == before


def test_the_number_of_cores_is_what_may_be_used() -> None:
    assert len(os.sched_getaffinity(0)) <= (os.cpu_count() or 1)
