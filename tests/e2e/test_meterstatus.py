"""A real agent tells a real charm how its metering stands."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.e2e.machine import OneMachine

pytestmark = pytest.mark.slow

TOLD = """\
#!/bin/bash
# Restricted: it may not change anything.
status-set blocked no 2>refused && exit 3
juju-log "told $JUJU_METER_STATUS"
echo "$JUJU_UNIT_NAME $JUJU_METER_STATUS $JUJU_METER_INFO" >>told
[ ! -e refuse ]
"""


def charm(folder: Path) -> Path:
    hooks = folder / "told" / "hooks"
    hooks.mkdir(parents=True)
    (hooks.parent / "metadata.yaml").write_text("name: told\nsummary: Is told.\ndescription: Is told.\n")
    for name, text in {"start": "#!/bin/bash\nstatus-set active\n", "meter-status-changed": TOLD}.items():
        (hooks / name).write_text(text)
        (hooks / name).chmod(0o755)
    return hooks.parent


def test_a_charm_is_told_what_is_set_and_again_only_what_has_changed(machine: OneMachine) -> None:
    machine.start()
    machine.do("deploy", str(charm(machine.folder)))
    machine.until_settled(told_0="active: ")
    (folder,) = machine.data_dir.glob("models/*/agents/*/charm")
    told = folder / "told"
    assert not told.exists()

    machine.do("set-meter-status", "told/0", "AMBER", "--info", "quota nearly used up")
    machine.until(lambda: _shown(machine)["pending"] is None and told.exists(), "the charm was told")
    assert _shown(machine)["status"] == "AMBER"

    machine.end()
    machine.start()
    machine.do("set-meter-status", "told/0", "RED", "--info", "quota used up")
    machine.until(lambda: _shown(machine)["status"] == "RED", "the charm was told the next")
    assert told.read_text().splitlines() == ["told/0 AMBER quota nearly used up", "told/0 RED quota used up"]

    (folder / "refuse").touch()
    machine.do("set-meter-status", "told/0", "GREEN")
    machine.until(lambda: len(told.read_text().splitlines()) > 2, "the hook has failed")
    machine.until(lambda: _shown(machine)["pending"] == "GREEN", "it is still to be told")
    (folder / "refuse").unlink()
    machine.until(lambda: _shown(machine)["status"] == "GREEN", "the hook was run again")

    table = machine.do("meter-status", "told/0", "--format", "table")
    assert [line.split()[:3] for line in table.splitlines()] == [["UNIT", "STATUS", "NEXT"], ["told/0", "GREEN", "-"]]
    refused = machine.run("meter-status", "told/9")
    assert (refused.returncode, 'unit "told/9" does not run on this host' in refused.stderr) == (4, True)


def _shown(machine: OneMachine) -> dict[str, object]:
    (row,) = machine.ask("meter-status")
    assert isinstance(row, dict)
    return row
