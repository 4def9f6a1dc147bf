from __future__ import annotations

from pathlib import Path

import pytest

from undercroft.agent.ending import Ending, ForcedStopError, conclude
from undercroft.testing.agent import FakeProcess
from undercroft_hookspecs import Completed, RebootMachine, RestartAgent, ShutdownMachine, TerminateAgent

SERVICE = {"INVOCATION_ID": "x"}


@pytest.fixture
def cgroup(tmp_path: Path) -> Path:
    path = tmp_path / "cgroup"
    path.write_text("0::/system.slice/undercroft.service\n")
    return path


def systemctl(*, fails: bool = False) -> FakeProcess:
    return FakeProcess({("systemctl",): Completed(("systemctl",), int(fails), b"", b"no bus")})


async def end(
    error: BaseException | None,
    process: FakeProcess,
    cgroup: Path,
    *,
    allow_reboot: bool = False,
    environment: dict[str, str] | None = None,
) -> Ending:
    return await conclude(
        error, process=process, environment=environment or {}, allow_reboot=allow_reboot, cgroup=cgroup
    )


async def test_a_clean_end_is_done(cgroup: Path) -> None:
    assert await end(None, systemctl(), cgroup) is Ending.DONE


async def test_a_restart_is_asked_for_by_the_exit_code(cgroup: Path) -> None:
    assert await end(RestartAgent(), systemctl(), cgroup) is Ending.RESTART


async def test_a_wish_is_seen_through_what_it_is_wrapped_in(cgroup: Path) -> None:
    error = ValueError()
    error.__cause__ = RestartAgent()

    assert await end(error, systemctl(), cgroup) is Ending.RESTART


async def test_an_end_for_good_disables_the_service(cgroup: Path) -> None:
    process = systemctl()

    ending = await end(TerminateAgent(), process, cgroup, environment=SERVICE)

    assert ending is Ending.DONE
    assert [call.argv for call in process.calls] == [("systemctl", "disable", "undercroft.service")]


async def test_an_end_for_good_outside_a_service_only_ends(cgroup: Path) -> None:
    process = systemctl()

    ending = await end(TerminateAgent(), process, cgroup)

    assert ending is Ending.DONE
    assert not process.calls


async def test_a_service_that_cannot_be_disabled_is_logged(cgroup: Path, caplog: pytest.LogCaptureFixture) -> None:
    ending = await end(TerminateAgent(), systemctl(fails=True), cgroup, environment=SERVICE)

    assert ending is Ending.DONE
    assert "no bus" in caplog.text


async def test_a_cgroup_that_cannot_be_read_is_no_service(tmp_path: Path) -> None:
    process = systemctl()

    await end(TerminateAgent(), process, tmp_path / "absent", environment=SERVICE)

    assert not process.calls


@pytest.mark.parametrize(("error", "verb"), [(RebootMachine(), "reboot"), (ShutdownMachine(), "poweroff")])
async def test_a_machine_that_may_be_left_is(error: Exception, verb: str, cgroup: Path) -> None:
    process = systemctl()

    ending = await end(error, process, cgroup, allow_reboot=True)

    assert ending is Ending.DONE
    assert [call.argv for call in process.calls] == [("systemctl", verb)]


async def test_a_machine_that_does_not_obey_is_a_failure(cgroup: Path) -> None:
    assert await end(RebootMachine(), systemctl(fails=True), cgroup, allow_reboot=True) is Ending.FAILED
    assert await end(RebootMachine(), FakeProcess(), cgroup, allow_reboot=True) is Ending.FAILED


async def test_a_machine_that_may_not_be_left_is_blocked(cgroup: Path, caplog: pytest.LogCaptureFixture) -> None:
    process = systemctl()

    ending = await end(ShutdownMachine("disk"), process, cgroup)

    assert ending is Ending.FAILED
    assert not process.calls
    assert "blocked: poweroff requested (disk)" in caplog.text


async def test_a_forced_stop_is_a_failure_and_names_the_workers(cgroup: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert await end(ForcedStopError(["a", "b"]), systemctl(), cgroup) is Ending.FAILED
    assert "a, b" in caplog.text


async def test_any_other_error_is_raised(cgroup: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        await end(ZeroDivisionError(), systemctl(), cgroup)
