"""A process that claims leadership of an application again and again, and writes down when it was certain of it.

    python claimant.py URL DATA MODEL UNIT LEASE_SECONDS JOURNAL

Each line of the journal is an interval of CLOCK_BOOTTIME in which the unit led for certain: when it was written, and
until when. A line is written before anything else is done, so that whoever is killed has said what it believed.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from importlib.metadata import entry_points
from pathlib import Path

from undercroft.clock import SystemClock, boot_seconds
from undercroft_hookspecs import ModelId, StoreUnavailable
from undercroft_model.leadership import LeadershipClaim


async def main(url: str, data: Path, model: ModelId, unit: str, lease_seconds: float, journal: Path) -> None:
    clock = SystemClock()
    (point,) = entry_points(group="undercroft.stores", name=url.partition(":")[0])
    async with point.load()(url, data_dir=data, clock=clock) as store:
        claim = LeadershipClaim(store, model, unit, clock=clock, lease_seconds=lease_seconds)
        with journal.open("a", buffering=1) as lines:
            while True:
                lines.write(await certainty(claim, clock))
                await clock.sleep(lease_seconds / 20)


async def certainty(claim: LeadershipClaim, clock: SystemClock) -> str:
    """Claim, and give the line of the present interval; nothing if the unit does not lead."""
    with suppress(StoreUnavailable):
        await claim.claim()
    now = boot_seconds(clock)  # Before, so that a process which stands still in between claims too little.
    certain = claim.certain_seconds()
    return f"{now} {now + certain}\n" if certain else ""


if __name__ == "__main__":
    _, url, data, model, unit, lease_seconds, journal = sys.argv
    asyncio.run(main(url, Path(data), ModelId.parse(model), unit, float(lease_seconds), Path(journal)))
