"""What a host lacks for charms to run."""

from __future__ import annotations

import shutil
from pathlib import Path

from undercroft_uniter.jujuc.toolfolder import compiled_client

BASH = Path("/bin/bash")


def missing() -> list[str]:
    """One sentence with its remedy for each thing."""
    found = []
    if not BASH.exists():
        found.append(f"{BASH} is missing, so that neither `juju-exec` nor most charms can run: install bash")
    if compiled_client() is None:
        found.append(
            "hook tools are answered to a client in Python, which takes ten times as long to start as the compiled "
            "one: install a C compiler, and undercroft-uniter once more"
        )
    if shutil.which("tmux") is None:
        found.append("tmux is missing, so that hooks cannot be debugged: install tmux")
    return found
