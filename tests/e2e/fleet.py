"""A fleet on one machine: an etcd cluster, agents that share it, each with a data folder of its own, and an operator.

Where network namespaces can be made, each agent is in one of its own; where not, they are all on the loopback.
"""

from __future__ import annotations

import base64
import json
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from plugins.etcd.tests.cluster import Cluster, running, running_within
from tests.e2e.machine import OneMachine
from tests.e2e.network import CENTRE, Network, NoNamespacesError

Line = Mapping[str, Any]  # Any: JSON.


class Host(OneMachine):
    """One host: its config, and its agent, which may be down."""

    def __init__(self, folder: Path, *, store: str, within: Sequence[str], plugins: Sequence[str], site: Path) -> None:
        super().__init__(folder, within=within)
        self.journal = folder / "journal"
        folder.mkdir()
        config = folder / "undercroft.toml"
        shared = folder.parent
        config.write_text(
            f'store = "{store}"\n'
            f'[plugins.model]\nblobs = "{shared}/blobs"\nsecrets_key_file = "{shared}/secrets.key"\n'
            + (f'[plugins.understudy]\njournal = "{self.journal}"\n' if "understudy" in plugins else "")
        )
        self.environment |= {
            "PYTHONPATH": str(site),
            "UNDERCROFT_CONFIG": str(config),
            "UNDERCROFT_PLUGINS": ",".join(plugins),
        }

    def lines(self, what: str, **details: object) -> list[Line]:
        """Those lines of the units' journal that are of this kind and have these details."""
        text = self.journal.read_text() if self.journal.exists() else ""
        found = (json.loads(line) for line in text.splitlines())
        wanted = {"what": what, **details}.items()
        return [line for line in found if wanted <= {name: line[name] for name in line if name in dict(wanted)}.items()]


class Fleet:
    """Two hosts and an operator, who has a data folder without an agent. `network` is None on the loopback."""

    def __init__(self, folder: Path, cluster: Cluster, network: Network | None, plugins: Sequence[str]) -> None:
        self.network = network
        site = _site(folder / "site")
        key = folder / "secrets.key"
        key.touch(0o600)
        key.write_bytes(base64.b64encode(os.urandom(32)))

        def host(name: str, *plugins: str, within: Sequence[str]) -> Host:
            place = folder / name
            return Host(place, store=cluster.url(), within=within, plugins=("model", *plugins), site=site)

        self.addresses: dict[str, str] = {}
        self.hosts: dict[str, Host] = {}
        for name in ("east", "west"):
            if network is not None:
                self.addresses[name] = network.add(name)
            within = network.within(name) if network is not None else ()
            self.hosts[name] = host(name, *plugins, within=within)
        self.operator = host("operator", within=network.within() if network is not None else ())

    def close(self) -> None:
        """End the agents."""
        for host in self.hosts.values():
            if host.agent is not None:
                host.end(signal.SIGKILL)


@contextmanager
def fleet(folder: Path, *plugins: str) -> Iterator[Fleet]:
    """A fleet whose agents are not running yet, and have these plugins beside the model."""
    with _network() as network, _cluster(network) as cluster:
        made = Fleet(folder, cluster, network, plugins)
        try:
            yield made
        finally:
            made.close()


def why_no_namespaces() -> str:
    """Why network namespaces cannot be made; empty if they can."""
    try:
        with Network() as network:
            network.add("try")
    except NoNamespacesError as error:
        return str(error)
    return ""


@contextmanager
def _network() -> Iterator[Network | None]:
    if why_no_namespaces():
        yield None
        return
    with Network() as network:
        yield network


@contextmanager
def _cluster(network: Network | None) -> Iterator[Cluster]:
    with running() if network is None else running_within(network.within(), CENTRE) as cluster:
        yield cluster


def _site(folder: Path) -> Path:
    """A folder with the plugin `understudy`, as pip would have left it there."""
    info = folder / "undercroft_understudy-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: undercroft-understudy\nVersion: 1.0\n"
        "Requires-Dist: undercroft-hookspecs>=1.0,<2\n"
    )
    (info / "entry_points.txt").write_text("[undercroft.plugins]\nunderstudy = written_understudy\n")
    source = Path(__file__).with_name("understudy.py")
    (folder / "written_understudy.py").write_text(source.read_text())
    return folder
