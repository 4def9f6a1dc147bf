"""Measure what Undercroft costs, against raw tasks in the same run: `uv run python -m tests.benchmarks`.

Each benchmark runs in a process of its own, so that none inherits another's heap. A missed target is shown, and changes
no exit code: what a busy machine measures proves nothing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module

from tests.benchmarks.measure import Row, Scale, Table

BENCHMARKS = {
    "supervision": "tests.benchmarks.supervision:supervision",
    "hundred-thousand": "tests.benchmarks.supervision:hundred_thousand",
    "memory": "tests.benchmarks.supervision:memory_per_worker",
    "storm": "tests.benchmarks.storm:storm",
    "engine": "tests.benchmarks.engine:engine",
    "leaf": "tests.benchmarks.engine:leaf",
    "idle": "tests.benchmarks.idle:idle",
    "periodic": "tests.benchmarks.idle:periodic",
    "agent": "tests.benchmarks.agent:agent",
    "cold-start": "tests.benchmarks.agent:cold_start",
    "deploying": "tests.benchmarks.units:deploying",
    "hundred-units": "tests.benchmarks.units:hundred_units",
    "peers": "tests.benchmarks.units:peers",
    "ops-hook": "tests.benchmarks.opshook:ops_hook",
    "devices": "tests.benchmarks.devices:devices",
    "rescan": "tests.benchmarks.devices:rescan",
    "storage": "tests.benchmarks.storage:storage",
    "spawn": "tests.benchmarks.spawn:spawn",
    "hook-tool": "tests.benchmarks.hooktool:hook_tool",
    "store": "tests.benchmarks.store:store",
    "etcd": "tests.benchmarks.etcd:etcd",
    "status": "tests.benchmarks.status:status",
    "relation": "tests.benchmarks.relation:relation",
    "spool": "tests.benchmarks.spool:spool",
    "senders": "tests.benchmarks.senders:senders",
}
PATIENCE = 900.0

_HEADINGS = ("", "ours", "against", "result", "target", "")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmarks named, or all; 1 if one of them did not run to its end."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of: {', '.join(BENCHMARKS)} (all)")
    parser.add_argument("--short", action="store_true", help="small and few: to see that everything runs")
    parser.add_argument("--markdown", action="store_true", help="print the table as the documentation has it")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args(argv)
    names = chosen.names or list(BENCHMARKS)
    if unknown := [name for name in names if name not in BENCHMARKS]:
        parser.error(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    if chosen.child:
        print(json.dumps([row.document() for row in run(names[0], Scale(chosen.short))]))
        return 0
    results = {name: in_a_process_of_its_own(name, chosen.short) for name in names}
    rows = [row for found in results.values() for row in found or ()]
    print(markdown(rows) if chosen.markdown else text(rows))
    missed = sum(row.met is False for row in rows)
    print(f"\n{sum(row.met is True for row in rows)} targets met, {missed} missed")
    return 1 if None in results.values() else 0


def run(name: str, scale: Scale) -> Sequence[Row]:
    """Run one benchmark here."""
    module, _, attribute = BENCHMARKS[name].partition(":")
    benchmark: Callable[[Scale, Table], None] = getattr(import_module(module), attribute)
    table = Table()
    benchmark(scale, table)
    return table.rows


def in_a_process_of_its_own(name: str, short: bool) -> Sequence[Row] | None:
    """The rows of one benchmark; None if it failed, which it has then said on stderr."""
    began = time.monotonic()
    print(f"{name} ...", end=" ", flush=True, file=sys.stderr)
    argv = [sys.executable, "-m", "tests.benchmarks", "--child", name, *(["--short"] if short else [])]
    done = subprocess.run(argv, check=False, stdout=subprocess.PIPE, text=True, timeout=PATIENCE)
    print(f"{time.monotonic() - began:.1f} s", file=sys.stderr)
    if done.returncode != 0:
        print(f"{name} failed", file=sys.stderr)
        return None
    return [Row(**document) for document in json.loads(done.stdout.splitlines()[-1])]


def _cells(row: Row) -> tuple[str, ...]:
    verdict = {True: "met", False: "missed", None: ""}[row.met]
    return (row.what, row.ours, row.peer, row.result, row.target, verdict)


def text(rows: Sequence[Row]) -> str:
    """The table for a terminal."""
    lines = [_HEADINGS, *map(_cells, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def markdown(rows: Sequence[Row]) -> str:
    """The table for the documentation."""
    lines = [_HEADINGS, ("---",) * len(_HEADINGS), *map(_cells, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
