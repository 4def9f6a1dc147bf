"""Run other programs without holding up the loop: the only place in the project that spawns.

`SystemProcess` runs a program to its end and keeps what it wrote. `Program` is a running one whose output is handed on
as it comes, however much that is. A child's end is seen through a pidfd, its pipes are read and written on the loop.

What this is not: a shell, a terminal, or a way to start a daemon.
"""

from __future__ import annotations

from undercroft.process.lines import LINE_BYTES, Lines
from undercroft.process.program import Program, Sink, how_ended
from undercroft.process.spawning import SYSTEM_FOLDERS
from undercroft.process.system import OutputTooLargeError, SystemProcess

__all__ = [
    "LINE_BYTES",
    "SYSTEM_FOLDERS",
    "Lines",
    "OutputTooLargeError",
    "Program",
    "Sink",
    "SystemProcess",
    "how_ended",
]
