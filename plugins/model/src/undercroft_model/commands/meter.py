"""set-meter-status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from undercroft_model.commands.frame import at_desk, command

if TYPE_CHECKING:
    from undercroft_hookspecs.command import Session
    from undercroft_model.operator import Desk


@command("set-meter-status", example='undercroft set-meter-status mysql/0 AMBER --info "quota nearly used up"')
@click.argument("entity", metavar="UNIT | APPLICATION")
@click.argument("code", metavar="STATUS", type=click.Choice(["GREEN", "AMBER", "RED"], case_sensitive=False))
@click.option("--info", default="", metavar="TEXT", help="Why; the charm is told.")
@click.pass_obj
def set_meter_status(session: Session, entity: str, code: Literal["GREEN", "AMBER", "RED"], info: str) -> None:
    """Set how the metering of a unit, or of an application's units, stands.

    The unit's charm is told by its hook meter-status-changed. A unit's own status comes before its application's.
    """

    async def work(desk: Desk) -> None:
        from undercroft_hookspecs.state import MeterStatus
        from undercroft_model import meters

        await desk.run(meters.set_meter_status, entity, MeterStatus(code=code, info=info))

    at_desk(session, work)
