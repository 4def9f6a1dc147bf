"""The installed agent: how soon it is ready, what it takes when idle, and how soon its command answers."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.measure import Scale, Table, megabytes, memory, milliseconds, percent

COMMAND = Path(sys.executable).with_name("undercroft")
PATIENCE = 60.0
READY_LIMIT = 1.0
MEMORY_LIMIT = 80 * 1024 * 1024
IDLE_LIMIT = 0.001

CLICK_APP = """
import click

@click.group()
def main():
    \"\"\"An application.\"\"\"

@main.command()
def version():
    \"\"\"Show the version.\"\"\"
    click.echo("1.0")

main()
"""


@dataclass(frozen=True, slots=True)
class Running:
    """An agent that has said that it is ready, and how long that took."""

    pid: int
    ready: float
    data: Path


@contextmanager
def running() -> Iterator[Running]:
    """An agent with all first-party plugins, in a folder of its own."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        notified = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        notified.bind(str(folder / "notify"))
        notified.settimeout(PATIENCE)
        environment = {**os.environ, "NOTIFY_SOCKET": str(folder / "notify")}
        log = stack.enter_context((folder / "log").open("wb"))
        began = time.perf_counter()
        process = stack.enter_context(
            subprocess.Popen(
                [COMMAND, "agent", "--data", folder / "data"],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        )
        stack.callback(_end, process)
        while b"READY=1" not in notified.recv(4096).splitlines():
            pass
        yield Running(process.pid, time.perf_counter() - began, folder / "data")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()


def agent(scale: Scale, table: Table) -> None:
    """`undercroft agent` until it is ready, and idle after that."""
    readiness, sizes, shares, rates = [], [], [], []
    with running():
        pass  # Python compiles what has never been imported here.
    for _ in range(scale.rounds(3)):
        with running() as one:
            readiness.append(one.ready)
            time.sleep(scale.seconds(3.0))
            sizes.append(memory("VmHWM", one.pid))
            before, began = cpu(one.pid), time.perf_counter()
            woken = wake_ups(one.pid)
            time.sleep(scale.seconds(10.0))
            seconds = time.perf_counter() - began
            shares.append((cpu(one.pid) - before) / seconds)
            rates.append((wake_ups(one.pid) - woken) / seconds)
    table.within(
        "agent with all first-party plugins ready", statistics.median(readiness), READY_LIMIT, show=milliseconds
    )
    table.within("its peak memory", statistics.median(sizes), MEMORY_LIMIT, show=megabytes)
    table.within("idle agent, share of a core", statistics.median(shares), IDLE_LIMIT, show=percent)
    rate = statistics.median(rates)
    table.add(
        "idle agent, wake-ups of its loop", f"{rate:.2f}/s", result=f"{rate:.2f}/s", target="<= 1/s", met=rate <= 1.0
    )


def cpu(pid: int) -> float:
    """The seconds that all threads of a process have been on a core."""
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def wake_ups(pid: int) -> int:
    """How often the main thread, which is the loop's, has gone to sleep."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("voluntary_ctxt_switches:"):
            return int(line.split()[1])
    raise LookupError("voluntary_ctxt_switches")


def cold_start(scale: Scale, table: Table) -> None:
    """`undercroft --help` and `undercroft version`, against an application of click's with one command."""
    with tempfile.TemporaryDirectory() as folder:
        app = Path(folder) / "app.py"
        app.write_text(CLICK_APP)
        bare = Path(folder) / "bare.py"
        bare.write_text("")
        commands: Mapping[str, Sequence[str | Path]] = {
            "click --help": [sys.executable, app, "--help"],
            "click version": [sys.executable, app, "version"],
            "--help": [COMMAND, "--help"],
            "version": [COMMAND, "version"],
            "python": [sys.executable, bare],
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(scale.rounds(31)):
            for name, argv in commands.items():
                began = time.perf_counter()
                subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, cwd=folder)
                times[name].append(time.perf_counter() - began)
    medians = {name: statistics.median(found) for name, found in times.items()}
    for word in ("--help", "version"):
        table.at_most(
            f"undercroft {word}", medians[word], medians[f"click {word}"], 1.5, show=milliseconds, of="a click app"
        )
    table.within("python with an empty script", medians["python"], None, show=milliseconds)
