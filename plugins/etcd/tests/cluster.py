"""A real etcd cluster on this machine, whose members can be killed, stopped and brought back."""

from __future__ import annotations

import base64
import json
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

INSTALL = "etcd is not installed: `apt-get install -y --no-install-recommends etcd-server etcd-client`"
LOOPBACK = "127.0.0.1"
PORT = 2379
PATIENCE = 30.0
DOWN_SECONDS = 0.5
MEMORY = Path("/dev/shm")


class Member:
    """One member: its process, which may be down, and where it listens.

    `within` is what its command line begins with where it is to run elsewhere, say in another network namespace.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        ports: Sequence[int],
        *,
        scheme: str = "http",
        options: Sequence[str] = (),
        host: str = LOOPBACK,
        within: Sequence[str] = (),
    ) -> None:
        self.name, self.folder, self.scheme, self.options = name, folder, scheme, options
        self.host, self.within = host, within
        self.port, self.peer_port, self.metrics_port = ports
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"

    @property
    def peer_url(self) -> str:
        return f"http://{self.host}:{self.peer_port}"

    def start(self, initial: str) -> None:
        """Start, or start again with what it had."""
        argv = [
            *("etcd", "--name", self.name, "--data-dir", str(self.folder / self.name), "--log-level", "error"),
            *("--logger", "zap", "--log-outputs", str(self.folder / f"{self.name}.log")),
            *("--listen-client-urls", self.url, "--advertise-client-urls", self.url),
            *("--listen-peer-urls", self.peer_url, "--initial-advertise-peer-urls", self.peer_url),
            *("--initial-cluster", initial, "--initial-cluster-token", self.folder.name),
            *("--listen-metrics-urls", f"http://{LOOPBACK}:{self.metrics_port}"),
            *self.options,
        ]
        command = [*keeper(), *self.within, *argv]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """Kill it at once."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def metrics(self) -> str:
        """What it counts; nothing if it does not answer."""
        try:
            with urllib.request.urlopen(f"http://{LOOPBACK}:{self.metrics_port}/metrics", timeout=1) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""

    @property
    def is_leader(self) -> bool:
        return "\netcd_server_is_leader 1\n" in self.metrics()

    @property
    def has_leader(self) -> bool:
        return "\netcd_server_has_leader 1\n" in self.metrics()


class Cluster:
    """Some members."""

    def __init__(self, members: Sequence[Member]) -> None:
        self.members = members
        self._initial = ",".join(f"{member.name}={member.peer_url}" for member in members)

    @property
    def hosts(self) -> str:
        return ",".join(f"{member.host}:{member.port}" for member in self.members)

    def url(self, **options: str) -> str:
        """The URL of a store on this cluster."""
        query = "&".join(f"{name}={value}" for name, value in options.items())
        return f"etcd://{self.hosts}/" + (f"?{query}" if query else "")

    def start(self, *members: Member) -> None:
        """Start those members that are down, or only the given ones."""
        for member in members or self.members:
            if member.process is None:
                member.start(self._initial)

    def wait(self) -> None:
        """Wait until everybody knows of a leader."""
        until(lambda: all(member.has_leader for member in self.members))

    def leader(self) -> Member:
        """The member that leads."""
        found: list[Member] = []

        def look() -> bool:
            found[:] = [member for member in self.members if member.is_leader]
            return len(found) == 1

        until(look)
        return found[0]

    def followers(self) -> list[Member]:
        """The members that do not lead."""
        leader = self.leader()
        return [member for member in self.members if member is not leader]

    def ask(self, path: str, **fields: object) -> Mapping[str, Any]:  # Any: JSON
        """Ask the first member over its HTTP gateway."""
        body = json.dumps(fields).encode()
        with urllib.request.urlopen(f"{self.members[0].url}/v3/{path}", data=body, timeout=10) as answer:
            document: Mapping[str, Any] = json.load(answer)
            return document

    def clear(self, prefix: str) -> None:
        """Delete all keys below a prefix."""
        begin, end = prefix.encode(), prefix[:-1].encode() + bytes((prefix.encode()[-1] + 1,))
        self.ask("kv/deleterange", key=base64.b64encode(begin).decode(), range_end=base64.b64encode(end).decode())

    def stop(self) -> None:
        """End all members."""
        for member in self.members:
            member.kill()


@contextmanager
def running(size: int = 3, *, scheme: str = "http", options: Sequence[str] = ()) -> Iterator[Cluster]:
    """A new cluster; its data lies in memory."""
    ports = iter(free_ports(3 * size))
    with memory() as folder:
        members = [
            Member(f"m{number}", folder, (next(ports), next(ports), next(ports)), scheme=scheme, options=options)
            for number in range(size)
        ]
        cluster = Cluster(members)
        try:
            cluster.start()
            cluster.wait()
            yield cluster
        finally:
            cluster.stop()


@contextmanager
def running_within(within: Sequence[str], host: str, size: int = 3) -> Iterator[Cluster]:
    """A new cluster in a network namespace of its own, where all ports are free.

    What members tell of themselves cannot be read from here, so nobody waits until they know of a leader.
    """
    with memory() as folder:
        members = [
            Member(f"m{number}", folder, range(PORT + number, PORT + number + 30, 10), host=host, within=within)
            for number in range(size)
        ]
        cluster = Cluster(members)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()


@contextmanager
def memory() -> Iterator[Path]:
    """A folder for the data of a cluster, in memory where there is such a place."""
    folder = Path(tempfile.mkdtemp(prefix="undercroft-etcd-", dir=MEMORY if MEMORY.is_dir() else None))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def keeper() -> Sequence[str]:
    """What a command line begins with so that nothing is left behind if the tests are killed."""
    return ("setpriv", "--pdeathsig", "KILL", "--") if shutil.which("setpriv") else ()


@contextmanager
def bouncing(cluster: Cluster) -> Iterator[None]:
    """Kill members in turn, and bring them back, while the block runs: one at a time, never the first or the leader.

    So a client of the first member loses no answer, while each commit is made by another majority.
    """
    is_over = threading.Event()
    thread = threading.Thread(target=_bounce, args=(cluster, is_over), name="bouncing")
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def _bounce(cluster: Cluster, is_over: threading.Event) -> None:
    for member in cycle(cluster.members[1:]):
        if is_over.wait(DOWN_SECONDS):
            return
        if member.is_leader:
            continue
        member.kill()
        is_over.wait(DOWN_SECONDS)
        cluster.start(member)
        cluster.wait()


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that nobody listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for bound in sockets:
            bound.bind((LOOPBACK, 0))
        return [int(bound.getsockname()[1]) for bound in sockets]


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that has no event."""
    give_up = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < give_up, "it did not happen in time"
        time.sleep(0.02)
