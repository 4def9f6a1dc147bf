"""Two whole agents that share a model through etcd: what they tell each other, and who leads when one is lost."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from plugins.etcd.tests.cluster import INSTALL
from tests.e2e.fleet import Fleet, Host, Line, fleet, why_no_namespaces

CHARMS = Path(__file__).parents[1] / "charms"
LEASE_SECONDS = 60.0
SLACK_SECONDS = 5.0
"""What etcd takes to see that a lease has ended, and the next one to be told, on a busy machine."""

pytestmark = pytest.mark.slow


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Fleet]:
    """Two agents, and two applications that are related, each with a unit on either host."""
    if shutil.which("etcd") is None:
        pytest.skip(INSTALL)
    with fleet(tmp_path, "understudy") as made:
        for host in made.hosts.values():
            host.start()
        for name in ("token-source", "token-sink"):
            made.operator.do("deploy", str(CHARMS / name), "--num-units", "2")
        made.operator.do("integrate", "token-source", "token-sink")
        yield made


def reigns(world: Fleet, application: str) -> list[Line]:
    """When a unit of the application has been told that it leads, and until when it believed so, in this order."""
    claims = (line for host in world.hosts.values() for line in host.lines("claimed", leads=True))
    return sorted((line for line in claims if line["unit"].startswith(f"{application}/")), key=lambda line: line["at"])


def assert_there_were_never_two_leaders(world: Fleet) -> None:
    for application in ("token-source", "token-sink"):
        known = reigns(world, application)
        for before, after in pairwise(known):
            assert before["unit"] == after["unit"] or before["until"] <= after["at"], (before, after)


def leader_and_other(world: Fleet) -> tuple[Host, Host]:
    """The host of the unit that leads token-source, and the other one, once both know."""
    hosts = list(world.hosts.values())
    hosts[0].until(lambda: all(source_of(host) for host in hosts) and reigns(world, "token-source"))
    leader = reigns(world, "token-source")[-1]["unit"]
    return (hosts[0], hosts[1]) if source_of(hosts[0]) == leader else (hosts[1], hosts[0])


def source_of(host: Host) -> str:
    """The unit of token-source on a host; empty if it has not been seen yet."""
    units = {line["unit"] for line in host.lines("claimed") if line["unit"].startswith("token-source/")}
    return min(units, default="")


def heard(host: Host, of: str, **words: str) -> list[Line]:
    """Where some unit on a host has heard these words of a unit or application."""
    return [line for line in host.lines("heard", of=of) if words.items() <= line["words"].items()]


def wait_until_heard(host: Host, of: str, **words: str) -> None:
    """Wait until some unit on a host has heard these words of a unit or application."""
    host.until(lambda: heard(host, of, **words))


def wait_for_takeover(host: Host) -> float:
    """When the host's unit of token-source has become leader."""
    unit = source_of(host)
    host.until(lambda: host.lines("claimed", unit=unit, leads=True), seconds=LEASE_SECONDS + SLACK_SECONDS)
    return float(host.lines("claimed", unit=unit, leads=True)[0]["at"])


def leaders_shown(world: Fleet) -> list[str]:
    """The leaders of token-source by `status`."""
    units = world.operator.ask("status")["applications"]["token-source"]["units"]
    return [name for name, unit in units.items() if unit.get("leader")]


def test_two_agents_exchange_relation_data_through_etcd(world: Fleet) -> None:
    leader, other = leader_and_other(world)

    world.operator.do("config", "token-source", "token=north-wind")

    for here, there in ((leader, other), (other, leader)):
        wait_until_heard(here, source_of(there), token="north-wind")
        wait_until_heard(here, "token-source", token="north-wind", leader=source_of(leader))
        wait_until_heard(here, source_of(there).replace("source", "sink"), taken="north-wind")
    assert not other.lines("said")
    assert leaders_shown(world) == [source_of(leader)]
    if world.network is not None:
        for name, host in world.hosts.items():
            beyond = next(each for each in world.hosts.values() if each is not host)
            assert heard(beyond, source_of(host), **{"ingress-address": world.addresses[name]})


def test_leadership_moves_within_its_lease_when_an_agent_is_killed(world: Fleet) -> None:
    leader, other = leader_and_other(world)

    leader.end(signal.SIGKILL)
    killed = time.monotonic()
    taken = wait_for_takeover(other)

    assert taken - killed <= LEASE_SECONDS + SLACK_SECONDS
    leader.start()
    world.operator.do("config", "token-source", "token=south-wind")
    wait_until_heard(leader, "token-source", token="south-wind", leader=source_of(other))
    leader.until(lambda: leader.lines("refused", token="south-wind"))
    assert leaders_shown(world) == [source_of(other)]
    assert_there_were_never_two_leaders(world)


@pytest.mark.root
def test_who_is_cut_off_stops_believing_before_another_leads_and_catches_up(world: Fleet) -> None:
    if world.network is None:
        pytest.skip(f"no network namespaces here: {why_no_namespaces()}")
    leader, other = leader_and_other(world)
    cut_off = next(name for name, host in world.hosts.items() if host is leader)

    world.network.cut(cut_off)
    world.operator.do("config", "token-source", "token=east-wind")
    wait_until_heard(other, source_of(other), token="east-wind")
    taken = wait_for_takeover(other)

    (doubts,) = leader.lines("doubts", unit=source_of(leader))
    assert doubts["at"] < taken
    assert not heard(leader, source_of(other), token="east-wind")
    assert leaders_shown(world) == [source_of(other)]

    world.network.mend(cut_off)
    wait_until_heard(leader, source_of(other), token="east-wind")
    wait_until_heard(other, source_of(leader), token="east-wind")
    world.operator.do("config", "token-source", "token=west-wind")
    for here, there in ((leader, other), (other, leader)):
        wait_until_heard(here, source_of(there), token="west-wind")
    leader.until(lambda: leader.lines("refused", token="west-wind"))
    other.until(lambda: other.lines("said", token="west-wind"))
    assert not leader.lines("said", token="west-wind")
    assert {node["start-count"] for node in leader.ask("report")["manifolds"].values()} == {1}
    assert leaders_shown(world) == [source_of(other)]
    assert_there_were_never_two_leaders(world)
