"""Charms on two hosts that share etcd: all that they do on one machine, they do across two."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from plugins.etcd.tests.cluster import INSTALL
from tests.e2e.fleet import Fleet, fleet
from tests.e2e.machine import CHARMS, Operator

LEASE_SECONDS = 60.0
SLACK_SECONDS = 15.0
"""What etcd takes to see that a lease has ended, and a unit to hear of it and run its hook."""

pytestmark = pytest.mark.slow


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Fleet]:
    """Two agents that run units."""
    if shutil.which("etcd") is None:
        pytest.skip(INSTALL)
    with fleet(tmp_path, "etcd", "uniter", "diskmanager", "storageprovisioner") as made:
        for host in made.hosts.values():
            host.start()
        yield made


def places(world: Fleet, application: str) -> dict[str, str]:
    """On which host each unit of an application is."""
    units = [name for name in world.operator.units() if name.startswith(f"{application}/")]
    found = {
        unit: name
        for unit in units
        for name, host in world.hosts.items()
        if list(host.data_dir.glob(f"models/*/agents/unit-{unit.replace('/', '-')}"))
    }
    assert set(found) == set(units)
    return found


def test_units_on_two_hosts_are_related_acted_on_refreshed_and_removed(world: Fleet) -> None:
    operator, sources, sinks = world.operator, ("token-source/0", "token-source/1"), ("token-sink/0", "token-sink/1")
    operator.do("deploy", str(CHARMS / "token-source"), "-n", "2")
    operator.do("deploy", str(CHARMS / "token-sink"), "-n", "2")
    operator.do("deploy", str(CHARMS / "onlooker"))
    operator.do("integrate", "token-sink", "token-source")
    operator.do("integrate", "onlooker", "token-source")
    source = operator.folder / "token-source"
    shutil.copytree(CHARMS / "token-source", source)

    def settled(token: str) -> bool:
        said = operator.messages()
        beside = {said.pop(name, "") for name in list(said) if name.startswith("onlooker/")}
        wanted = dict.fromkeys(sources, f"active: handing out {token}") | dict.fromkeys(sinks, f"active: {token}")
        return said == wanted and beside == {f"active: beside {name}" for name in sources}

    operator.until(lambda: settled("swordfish"), "everybody has the token")
    assert sorted(places(world, "token-source").values()) == sorted(places(world, "token-sink").values())
    assert set(places(world, "token-source").values()) == set(world.hosts)

    operator.do("config", "token-source", "token=halibut")
    operator.until(lambda: settled("halibut"), "everybody has the next token")

    operator.do("refresh", "token-source", "--path", str(source))
    for unit, place in places(world, "token-source").items():
        (task,) = operator.ask("run", unit, "rotate", "token=turbot").values()
        assert task["status"] == "completed"
        where = operator.do("exec", "--unit", unit, "--", 'echo "$JUJU_CHARM_DIR"').strip()
        assert where.startswith(str(world.hosts[place].data_dir))

    operator.do("remove-application", "token-source", "token-sink", "onlooker", "--no-prompt")
    operator.until(lambda: not operator.ask("status")["applications"], "the applications are gone")
    for host in world.hosts.values():
        (agents,) = host.data_dir.glob("models/*/agents")
        host.until(lambda agents=agents: not any(agents.iterdir()), "the units' folders are gone")  # type: ignore[misc]


def test_ops_charm_goes_on_on_one_host_when_the_other_is_killed(world: Fleet) -> None:
    operator = world.operator
    # Not in the namespace, from which no package can be reached.
    packed = Operator(operator.folder).do("pack", str(CHARMS / "counter"), "-o", str(operator.folder)).strip()
    operator.do("deploy", packed, "-n", "2")
    operator.until(lambda: [said for said in operator.messages().values() if "seen" in said][1:], "both count")
    leader = leader_of_counter(world)
    other = next(unit for unit in operator.units() if unit != leader)
    lost = world.hosts[places(world, "counter")[leader]]

    lost.end(signal.SIGKILL)
    operator.until(lambda: leader_of_counter(world) == other, "the other leads", LEASE_SECONDS + SLACK_SECONDS)
    (task,) = operator.ask("run", other, "reset", "to=40").values()
    assert task["status"] == "completed"

    lost.start()
    operator.until(lambda: operator.messages()[leader] == "active: 40 seen", "the one that was away has heard of it")
    operator.do("config", "counter", "step=2")
    operator.until(lambda: set(operator.messages().values()) == {"active: 42 seen"}, "the leader alone has counted")
    assert leader_of_counter(world) == other


def leader_of_counter(world: Fleet) -> str:
    """The leader, by `status`; empty if there is none."""
    units = world.operator.units().items()
    return next((name for name, unit in units if unit.get("leader")), "")
