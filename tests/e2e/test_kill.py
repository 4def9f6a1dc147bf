"""The agent is killed at random instants, and the model ends as if it had not been.

`UNDERCROFT_KILLS=500` tries more instants than CI does.
"""

from __future__ import annotations

import os
import random
import signal
import time

import pytest
from tests.e2e.machine import OneMachine

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("UNDERCROFT_KILLS", "20"))
SETTLED = {
    "token_source_0": "active: handing out token-{}",
    "token_source_1": "active: handing out token-{}",
    "token_sink_0": "active: token-{}",
}


def test_model_converges_whenever_its_agent_is_killed(machine: OneMachine) -> None:
    rng = random.Random(os.environ.get("UNDERCROFT_SEED", "undercroft"))
    machine.start()
    machine.do("deploy", "token-source", "-n", "2")
    machine.do("deploy", "token-sink")
    machine.do("integrate", "token-sink", "token-source")
    for number in range(KILLS):
        machine.do("config", "token-source", f"token=token-{number}")
        if number % 5 == 4:
            machine.do("refresh", "token-source")
        time.sleep(rng.uniform(0.0, 1.5))
        assert machine.end(signal.SIGKILL) == -signal.SIGKILL
        machine.start()
    wanted = {name: said.format(KILLS - 1) for name, said in SETTLED.items()}
    machine.until_settled(**wanted)
    # Nothing but hooks that were cut off may have failed; all of them were run again.
    tasks = machine.ask("run", "token-source/0", "rotate", "token=last")
    assert [task["status"] for task in tasks.values()] == ["completed"]
