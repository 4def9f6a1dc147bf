"""`undercroft reboot-done`: go on as if this machine had been rebooted, where the agent may not do that itself.

Units tell one boot from another by the kernel's boot id, and by the token in a file of this plugin: a new token is a
new boot to them. They read it when they start, which they try again and again while they are blocked.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from undercroft_hookspecs.command import Session

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def token_file(data_dir: Path) -> Path:
    """Where the token is, in an agent's data folder."""
    return data_dir / "plugins" / "uniter" / "reboot-done"


def boot_id(data_dir: Path) -> str:
    """The machine's present boot, as units tell it from others; empty where the kernel does not say. Blocks."""
    try:
        kernel = BOOT_ID.read_text().strip()
    except OSError:
        return ""
    try:
        return f"{kernel}+{token_file(data_dir).read_text().strip()}"
    except FileNotFoundError:
        return kernel


@click.command("reboot-done", epilog="Example: undercroft reboot-done")
@click.pass_obj
def reboot_done(session: Session) -> None:
    """Let units go on that wait for this machine to be rebooted, as a hook of theirs has asked.

    For machines that the agent may not reboot itself (`allow_reboot = false`, the default): reboot it, or do what the
    reboot was for, and then say so. Each unit runs its hook `start` again.
    """
    # Late: other commands should not pay for it.
    import secrets  # noqa: PLC0415

    from undercroft.files import write_atomic  # noqa: PLC0415

    file = token_file(session.data_dir)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    session.run(write_atomic(file, f"{secrets.token_hex(8)}\n".encode()))
    click.echo("the units that wait for a reboot go on within a minute", err=True)
