"""A hook, or commands, that asked for the machine to be rebooted."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import msgspec

from undercroft_hookspecs import UndercroftError
from undercroft_uniter.errors import RebootNeeded
from undercroft_uniter.operation.step import Outcome

if TYPE_CHECKING:
    from undercroft_uniter.operation.rooms import Rooms
    from undercroft_uniter.operation.state import OperationState


async def say_rebooting(state: OperationState, rooms: Rooms, *, by: str) -> Outcome:
    """The outcome of a step after which the machine is to be rebooted: kept until it has been."""
    try:
        await rooms.agent_status.set("rebooting")
    except UndercroftError as error:  # No reason to forget what the hook has done.
        rooms.say(logging.WARNING, f"could not say that the machine is to be rebooted: {error}")
    rooms.say(logging.INFO, f"{by} asks for the machine to be rebooted")
    wanted = msgspec.structs.replace(state, reboot_boot_id=rooms.boot_id)
    return Outcome(state=wanted, error=RebootNeeded(f"{by} of {rooms.unit} asks for a reboot"))
