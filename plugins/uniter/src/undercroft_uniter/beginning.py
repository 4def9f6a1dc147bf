"""What the agent of a unit does before anything else."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from undercroft_hookspecs import NotValidError
from undercroft_uniter.operation.executor import Executor
from undercroft_uniter.operation.state import CharmReference, OperationKind, OperationState, Step
from undercroft_uniter.operation.statefile import StateFile

if TYPE_CHECKING:
    from pathlib import Path

    from undercroft import Stop
    from undercroft_hookspecs.unit_facades import ApplicationFacade, StatusFacade
    from undercroft_uniter.operation.rooms import Rooms
    from undercroft_uniter.seams import UnitLock

_log = logging.getLogger(__name__)

_NOT_HERE_YET = ("waiting for machine", "installing agent")
_BLOCKED = "reboot requested"


async def greet(status: StatusFacade) -> None:
    """Say that there is an agent now, if that is what was waited for."""
    said = await status.workload_status()
    if said.current == "waiting" and said.message in _NOT_HERE_YET:
        await status.set_workload_status("waiting", "agent initializing")


async def open_executor(
    path: Path, rooms: Rooms, application: ApplicationFacade, *, lock: UnitLock, stop: Stop
) -> Executor:
    """Go on with what the unit was at, or begin with its install.

    Raises:
        NotValidError: the file at `path` is damaged.
        NotFoundError: the application has been removed.
    """
    wanted = await application.application()
    charm = CharmReference(url=wanted.charm_url, sha256=wanted.charm)
    beginning = OperationState(kind=OperationKind.INSTALL, step=Step.QUEUED, charm=charm)
    return await Executor.open(StateFile(path), initial=beginning, unit=str(rooms.unit), lock=lock, stop=stop)


async def await_reboot(state: OperationState, rooms: Rooms) -> bool:
    """Whether the machine is still to be rebooted, as a hook has asked.

    Then the unit says that it is blocked, until it is; what the charm had said of it is said again afterwards.
    """
    status = rooms.model.status
    said = await status.workload_status()
    is_blocked = (said.current, said.message) == ("blocked", _BLOCKED)
    if state.reboot_boot_id and state.reboot_boot_id == rooms.boot_id:
        if not is_blocked:
            data = {"before": {"current": said.current, "message": said.message}}
            await status.set_workload_status("blocked", _BLOCKED, data=data)
        return True
    if is_blocked:
        before = said.data.get("before")
        before = before if isinstance(before, dict) else {}
        current, message = before.get("current", "unknown"), before.get("message", "")
        try:
            await status.set_workload_status(str(current), str(message))
        except NotValidError as error:
            _log.warning("%s: cannot go back to the status from before the reboot: %s", rooms.unit, error)
    return False
