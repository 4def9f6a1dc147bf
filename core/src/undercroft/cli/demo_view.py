"""How the demo is shown: a live picture on a terminal, lines elsewhere, documents for programs."""

from __future__ import annotations

import sys
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import msgspec

from undercroft.cli.output import rows_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.console import RenderableType
    from rich.table import Table

    from undercroft.cli.session import CommandSession
    from undercroft_hookspecs import BlockDevice

    Devices = Sequence[BlockDevice]
    Answer = Mapping[str, object]
    Row = Mapping[str, object]

SHOWN_CHANGES = 8
TALLEST_REST = 7
"""The lines of the picture that are neither devices nor changes."""
HINT = "Try: truncate -s 64M disk.img && sudo losetup -f disk.img    Ctrl-C ends it."
_BYTES_UNITS = ("MiB", "GiB", "TiB", "PiB")
_STATES = {"started": "green", "active": "green", "starting": "yellow", "stopping": "yellow", "disabled": "dim"}


class View(Protocol):
    """What the demo tells, in order: `begin` once, then `update` for every new list."""

    def begin(self, plugins: Answer, graph: Answer, devices: Devices) -> None:
        """Show the plugins, the workers, and the first list of devices."""

    def update(self, devices: Devices) -> None:
        """Show a new list of devices."""

    def close(self) -> None:
        """Nothing more is shown."""


@contextmanager
def new_view(session: CommandSession, *, once: bool) -> Iterator[View]:
    """The view that fits the format asked for, and the terminal."""
    view: View
    if session.format != "table":
        view = DocumentView(session)
    elif sys.stdout.isatty():
        view = LiveView(once=once)
    else:
        view = LineView()
    try:
        yield view
    finally:
        view.close()


class DocumentView:
    """One document for the start, and one for each change."""

    def __init__(self, session: CommandSession) -> None:
        self._session = session
        self._devices: Devices = ()

    def begin(self, plugins: Answer, graph: Answer, devices: Devices) -> None:
        """Emit everything."""
        self._devices = devices
        self._emit({"plugins": plugins.get("plugins"), "workers": worker_rows(graph), **_listed(devices)})

    def update(self, devices: Devices) -> None:
        """Emit the new list, and what is different in it."""
        changes = [
            {"change": change, "device": device.device_name} for change, device in compare(self._devices, devices)
        ]
        self._devices = devices
        self._emit({"changes": changes, **_listed(devices)})

    def close(self) -> None:
        """Nothing more is emitted."""

    def _emit(self, document: object) -> None:
        self._session.emit(document)
        sys.stdout.flush()


class LineView:
    """Plain text: what there is, then a line for each change."""

    def __init__(self) -> None:
        self._devices: Devices = ()

    def begin(self, plugins: Answer, graph: Answer, devices: Devices) -> None:
        """Print three tables."""
        self._devices = devices
        tables = (
            ("plugins", plugin_rows(plugins)),
            ("workers", worker_rows(graph)),
            ("block devices", rows_of(devices)),
        )
        print("\n\n".join(f"{title}\n{rows_table(rows) if rows else 'none'}" for title, rows in tables), flush=True)

    def update(self, devices: Devices) -> None:
        """Print what is different."""
        changes = compare(self._devices, devices)
        self._devices = devices
        for change, device in changes:
            print(f"{change}: {describe(device)}", flush=True)

    def close(self) -> None:
        """Nothing more is printed."""


class LiveView:
    """What runs, and below it a picture of the devices that changes with the machine."""

    def __init__(self, *, once: bool) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console, self._once = Console(), once
        self._status = self._console.status("starting the agent ...")
        self._status.start()
        self._live = Live(console=self._console, auto_refresh=False)
        self._devices: Devices = ()
        self._changes: deque[str] = deque(maxlen=SHOWN_CHANGES)

    def begin(self, plugins: Answer, graph: Answer, devices: Devices) -> None:
        """Draw the first picture."""
        self._status.stop()
        self._devices = devices
        self._console.print(_table("Plugins", plugin_rows(plugins)), _table("Workers", worker_rows(graph)))
        if self._once:
            self._console.print(_table("Block devices", rows_of(devices)))
        else:
            self._live.start()
            self._draw()

    def update(self, devices: Devices) -> None:
        """Draw the new list, with the last changes below it."""
        from undercroft.clock import SystemClock

        at = SystemClock().now().astimezone().strftime("%H:%M:%S")
        for change, device in compare(self._devices, devices):
            self._changes.append(f"{at}  {change}: {describe(device)}")
        self._devices = devices
        self._draw()

    def close(self) -> None:
        """Leave the last picture standing."""
        self._status.stop()
        self._live.stop()

    def _draw(self) -> None:
        self._live.update(self._picture(), refresh=True)

    def _picture(self) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        rows = rows_of(self._devices)
        # A picture taller than the terminal cannot be drawn anew in place: what does not fit is counted.
        room = max(self._console.height - TALLEST_REST - len(self._changes), 3)
        parts: list[RenderableType] = [_table("Block devices", rows[:room])]
        if len(rows) > room:
            parts.append(Text(f"  ... and {len(rows) - room} more", style="dim"))
        parts.append(Text("\n".join(self._changes) or "Following this machine's devices.", style="cyan"))
        parts.append(Text(HINT, style="dim"))
        return Group(*parts)


def plugin_rows(answer: Answer) -> list[Row]:
    """A row for each plugin: its name, its state, its version, and why it is not active."""
    found = answer.get("plugins")
    rows: list[Mapping[str, object]] = found if isinstance(found, list) else []
    keys = ("name", "state", "version") + (("why",) if any(row["why"] for row in rows) else ())
    return [{key: row[key] for key in keys} for row in rows]


def worker_rows(answer: Answer) -> list[Row]:
    """A row for each worker: its name, its state, whose it is, what it needs, and what went wrong."""
    found = answer.get("manifolds")
    manifolds: dict[str, dict[str, object]] = found if isinstance(found, dict) else {}
    with_error = any(entry["error"] for entry in manifolds.values())
    return [
        {"name": name, "state": entry["state"], "plugin": entry["plugin"], "needs": entry["inputs"]}
        | ({"error": entry["error"]} if with_error else {})
        for name, entry in manifolds.items()
    ]


def rows_of(devices: Devices) -> list[Row]:
    """A row for each device, with the columns that any of them fills."""
    rows = [
        {
            "name": device.device_name,
            "kind": device.kind,
            "size": size(device.size_mib),
            "filesystem": device.filesystem_type,
            "label": device.label,
            "mounted": device.mount_point,
            "in_use": "yes" if device.in_use else "",
            "hardware": device.hardware_id or device.serial_id,
        }
        for device in devices
    ]
    filled = [key for key in (rows[0] if rows else ()) if any(row[key] for row in rows)]
    return [{key: row[key] for key in filled} for row in rows]


def compare(before: Devices, after: Devices) -> list[tuple[str, BlockDevice]]:
    """What is different: (added | removed | changed, device), by name."""
    old = {device.device_name: device for device in before}
    new = {device.device_name: device for device in after}
    changes = [("removed", old[name]) for name in old.keys() - new.keys()]
    changes += [("added", new[name]) for name in new.keys() - old.keys()]
    changes += [("changed", new[name]) for name in new.keys() & old.keys() if new[name] != old[name]]
    return sorted(changes, key=lambda change: change[1].device_name)


def describe(device: BlockDevice) -> str:
    """A device in one line."""
    mounted = f"mounted at {device.mount_point}" if device.mount_point else "in use" if device.in_use else ""
    words = (device.device_name, size(device.size_mib), device.filesystem_type, device.label, mounted)
    return ", ".join(filter(None, words))


def size(mib: int) -> str:
    """A size as people say it: 64 MiB, 1.8 TiB."""
    value = float(mib)
    for unit in _BYTES_UNITS:
        if value < 1024 or unit == _BYTES_UNITS[-1]:
            # From 1000 on, three digits would be written as a power of ten.
            return f"{value:.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"
        value /= 1024
    raise AssertionError


def _listed(devices: Devices) -> dict[str, object]:
    return {"block_devices": [msgspec.to_builtins(device) for device in devices]}


def _table(title: str, rows: Sequence[Row]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, header_style="dim")
    for key in rows[0] if rows else ("none",):
        table.add_column(key.replace("_", " "), overflow="fold")
    for row in rows:
        cells = (", ".join(map(str, cell)) if isinstance(cell, list) else str(cell or "") for cell in row.values())
        table.add_row(*(Text(cell, style=_STATES.get(cell, "")) for cell in cells))
    return table
