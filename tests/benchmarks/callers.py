"""The charm's side of the benchmark of hook tools, a process of its own: `python -m tests.benchmarks.callers`.

It reads what it is to do from stdin, as JSON, and prints what it has found.
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping


def spawn(sides: Mapping[str, list[str]], rounds: int) -> dict[str, float]:
    """Spawn each side in turn; how long that takes, from spawn to exit: the median, and that of the best fifth.

    A tool needs two processes to be run: on a busy machine the median says how long they wait for a processor.
    """
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, argv in sides.items():
            began = time.perf_counter()
            # By vfork, so that what is measured is the program, and not how large this process is.
            pid = os.posix_spawn(argv[0], argv, os.environ)
            _, status = os.waitpid(pid, 0)
            times[name].append(time.perf_counter() - began)
            assert status == 0, argv
    medians = {name: statistics.median(found) for name, found in times.items()}
    best = {f"{name}, best": sorted(found)[len(found) // 10] for name, found in times.items()}
    return {**medians, **best}


def ask(path: str, request: str, calls: int) -> dict[str, float]:
    """Make the same call again and again, without a process for each; the rate."""
    data = bytes.fromhex(request)
    began = time.perf_counter()
    for _ in range(calls):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.connect(path)
            client.sendall(data)
            answer = client.recv(65536)
            # As a client does: it hangs up first, when it has the whole result.
            while len(answer) < 5 or len(answer) < 5 + int.from_bytes(answer[1:5], "big"):
                answer += client.recv(65536)
    return {"rate": calls / (time.perf_counter() - began)}


def loops(command: str, contexts: list[str], each: int) -> dict[str, float]:
    """A shell in each context, all at once, which call the command again and again; the rate of all together."""
    script = f"for i in $(seq {each}); do {command} || exit 1; done"
    began = time.perf_counter()
    surroundings = [{**os.environ, "JUJU_CONTEXT_ID": context} for context in contexts]
    shells = [subprocess.Popen(["/bin/sh", "-c", script], env=environment) for environment in surroundings]
    for shell in shells:
        assert shell.wait() == 0, command
    return {"rate": len(contexts) * each / (time.perf_counter() - began)}


if __name__ == "__main__":
    order = json.load(sys.stdin)
    works: dict[str, Callable[..., dict[str, float]]] = {"spawn": spawn, "ask": ask, "loops": loops}
    work = works[order.pop("do")]
    answer = sys.stdout.fileno(), os.dup(1)
    # What the tools print goes nowhere.
    os.dup2(os.open(os.devnull, os.O_WRONLY), answer[0])
    os.write(answer[1], json.dumps(work(**order)).encode())
