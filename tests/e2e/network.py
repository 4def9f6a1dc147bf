"""Network namespaces for tests, joined by a bridge: each is like a host of its own, whose cable can be pulled.

They have no name. Each lasts for as long as a process is in it, and the bridge and all links go with theirs, so that
nothing stays on the machine however the tests end.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

# For documentation (RFC 5737): no machine has it.
NET = "198.51.100"
CENTRE = f"{NET}.1"


class NoNamespacesError(Exception):
    """This machine, or this user, cannot make them; the text says why."""


class Network:
    """A namespace in the centre, with the bridge, and one for each host."""

    def __init__(self) -> None:
        self._holders: dict[str, subprocess.Popen[str]] = {}

    def __enter__(self) -> Self:
        try:
            self._hold("centre")
            self._ip("centre", "link", "set", "lo", "up")
            self._ip("centre", "link", "add", "name", "bridge", "type", "bridge")
            self._ip("centre", "address", "add", f"{CENTRE}/24", "dev", "bridge")
            self._ip("centre", "link", "set", "bridge", "up")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def within(self, name: str = "centre") -> Sequence[str]:
        """What a command line begins with that is to run in a host's namespace, or in that of the centre."""
        return ("nsenter", f"--net={self._namespace(name)}", "--")

    def add(self, name: str) -> str:
        """Add a host, and give its address."""
        number = len(self._holders)
        address = f"{NET}.{number + 1}"
        pid = str(self._hold(name).pid)
        # The other end is made where it belongs: two ends of one name could not be in one namespace for a moment.
        self._ip("centre", "link", "add", "name", name, "type", "veth", "peer", "name", "uplink", "netns", pid)
        self._ip("centre", "link", "set", "dev", name, "master", "bridge", "up")
        self._ip(name, "link", "set", "lo", "up")
        self._ip(name, "address", "add", f"{address}/24", "dev", "uplink")
        self._ip(name, "link", "set", "uplink", "up")
        self._ip(name, "route", "add", "default", "via", CENTRE)
        return address

    def cut(self, name: str) -> None:
        """Pull a host's cable: what it sends is lost, and nobody tells it."""
        self._ip("centre", "link", "set", "dev", name, "down")

    def mend(self, name: str) -> None:
        """Put it back."""
        self._ip("centre", "link", "set", "dev", name, "up")

    def close(self) -> None:
        """Let all namespaces go.

        Raises:
            AssertionError: a process is still in one, which keeps it.
        """
        ours = {str(self._namespace(name).readlink()) for name in self._holders}
        for holder in self._holders.values():
            holder.communicate()  # Whose input ends, ends.
        self._holders.clear()
        assert not ours & _namespaces_in_use(), "a process has stayed in a network namespace of the tests"

    def _hold(self, name: str) -> subprocess.Popen[str]:
        # `cat` waits for its input to end, which it does with this process, too.
        argv = ["unshare", "--net", "--", "sh", "-c", "echo made; exec cat"]
        try:
            holder = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
        except FileNotFoundError:
            raise NoNamespacesError("unshare is missing: `apt-get install -y util-linux`") from None
        assert holder.stdout is not None
        if holder.stdout.readline() != "made\n":
            _, said = holder.communicate()
            raise NoNamespacesError(said.strip())
        self._holders[name] = holder
        return holder

    def _namespace(self, name: str) -> Path:
        return Path(f"/proc/{self._holders[name].pid}/ns/net")

    def _ip(self, name: str, *words: str) -> None:
        try:
            subprocess.run([*self.within(name), "ip", *words], check=True, capture_output=True, text=True)
        except FileNotFoundError:
            raise NoNamespacesError("nsenter is missing: `apt-get install -y util-linux`") from None
        except subprocess.CalledProcessError as error:
            install = " (`apt-get install -y iproute2`)" if "failed to execute ip" in error.stderr else ""
            raise NoNamespacesError(f"`ip {' '.join(words)}`: {error.stderr.strip()}{install}") from None


def _namespaces_in_use() -> set[str]:
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            found.add(str((process / "ns/net").readlink()))
        except OSError:  # It has ended meanwhile.
            continue
    return found
