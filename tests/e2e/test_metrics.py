"""What a charm measures, from its hook to the embedded store, on an agent that is a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.e2e.machine import OneMachine

from undercroft_metrics.senders.embedded import FILE, Stored, StoreReader

pytestmark = pytest.mark.slow

METRICS = """\
metrics:
  pings: {type: gauge, description: How often it was asked}
  juju-units:
"""
COLLECT = """\
#!/bin/bash
add-metric pings=42 || exit 1
add-metric --labels region=north,zone=a pings=7 || exit 1
add-metric undeclared=1 2>undeclared.err && exit 1
add-metric pings=nan 2>nan.err && exit 1
exit 0
"""


@pytest.fixture
def measuring(machine: OneMachine) -> OneMachine:
    """A machine with a charm that measures, often."""
    charm = machine.folder / "measure"
    (charm / "hooks").mkdir(parents=True)
    (charm / "metadata.yaml").write_text("name: measure\nsummary: Measures.\ndescription: Measures.\n")
    (charm / "metrics.yaml").write_text(METRICS)
    for name, text in {
        "start": "#!/bin/bash\nstatus-set active ready\n",
        "collect-metrics": COLLECT,
    }.items():
        (charm / "hooks" / name).write_text(text)
        (charm / "hooks" / name).chmod(0o755)
    machine.data_dir.mkdir(parents=True, exist_ok=True)
    (machine.data_dir / "undercroft.toml").write_text("[plugins.metrics]\nperiod_seconds = 0.5\n")
    machine.start()
    machine.do("deploy", str(charm))
    machine.until_settled(measure_0="active: ready")
    return machine


def latest(machine: OneMachine) -> dict[tuple[str, str], Stored]:
    """The newest values in the store, by metric and labels."""
    reader = StoreReader(machine.data_dir / "plugins" / "metrics" / FILE)
    return {(each.key, ",".join(sorted(each.labels.values()))): each for each in reader.latest()}


def test_what_a_charm_measures_is_stored_and_shown_and_what_it_may_not_add_is_refused(measuring: OneMachine) -> None:
    wanted = {("pings", ""): "42", ("pings", "a,north"): "7", ("juju-units", ""): "1"}

    measuring.until(lambda: set(latest(measuring)) >= set(wanted), "the metrics are stored", 20)

    assert {key: each.value for key, each in latest(measuring).items()} == wanted
    (charm,) = measuring.data_dir.glob("models/*/agents/*/charm")
    assert 'metric "undeclared" not defined' in Path(charm, "undeclared.err").read_text()
    assert 'expected float, got "nan"' in Path(charm, "nan.err").read_text()

    # The same machine goes on: another would cost as much again.
    assert measuring.do("collect-metrics", "measure/0") == ""
    rows = measuring.ask("metrics", "measure/0")
    assert [(row["metric"], row["value"], row["labels"]) for row in rows] == [
        ("juju-units", "1", {}),
        ("pings", "42", {}),
        ("pings", "7", {"region": "north", "zone": "a"}),
    ]
    assert measuring.do("metrics", "--format", "table").splitlines()[0].split()[:3] == ["UNIT", "TIMESTAMP", "METRIC"]
    assert measuring.ask("metrics", "other/0") == []
    waiting = measuring.ask("metrics", "spool", "measure/0")["measure/0"]
    assert (waiting["store"]["dead-letters"], waiting["store"]["gaps"]) == ([], [])
    assert measuring.ask("metrics", "spool", "requeue", "measure/0") == {"requeued": 0}
    assert measuring.run("collect-metrics", "not_a_name").returncode == 2
    assert "not found" in measuring.run("collect-metrics", "measure/7").stderr

    measuring.end()
    assert measuring.ask("metrics", "spool", "purge", "measure/0", "--quarantine") == {"purged": 0}
    late = measuring.run("collect-metrics", "measure/0")
    assert (late.returncode, "no agent collects its metrics" in late.stderr) == (0, True)

    measuring.start()
    spools = measuring.data_dir / "plugins" / "metrics" / "spools"
    assert any(spools.glob("*/unit-measure-0"))
    measuring.do("remove-application", "measure", "--no-prompt")
    measuring.until(lambda: not any(spools.iterdir()), "what the unit has left is sent, and its spool is gone", 30)
