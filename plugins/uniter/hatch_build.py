"""Compile the client of the hook tools when the plugin is built or installed for development.

Where there is no C compiler, or it fails, the wheel is pure, and its hook tools are clients in Python, which take ten
times as long: `undercroft check` says so.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

CLIENT = "src/undercroft_uniter/jujuc/hook-tool"
SOURCE = "src/undercroft_uniter/jujuc/client.c"
INSTALLED = "undercroft_uniter/jujuc/hook-tool"
FLAGS = ("-std=c11", "-O2", "-Wall", "-Wextra", "-s")


class CustomBuildHook(BuildHookInterface):  # type: ignore[misc] # Hatchling is there only while it builds.
    """Adds the compiled client to a wheel, or to the sources for an editable install."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # as Hatchling declares it
        """Compile it."""
        self._folder = Path(tempfile.mkdtemp(prefix="undercroft-uniter-"))
        fresh = self._folder / "hook-tool"
        if not self._compile(fresh):
            return
        if version == "editable":
            client = Path(self.root, CLIENT)
            # Beside the old one, which may be running, and then in its place.
            beside = client.with_name(".hook-tool.new")
            shutil.copy(fresh, beside)
            beside.replace(client)
            return
        build_data["force_include"][str(fresh)] = INSTALLED
        build_data["pure_python"] = False
        # It asks nothing of any Python, but it does of the machine.
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"py3-none-{platform}"

    def finalize(
        self, version: str, build_data: dict[str, Any], artifact_path: str
    ) -> None:  # as Hatchling declares it
        """Leave nothing behind."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _compile(self, to: Path) -> bool:
        # Linked with everything it needs it starts in two thirds of the time, whatever LD_LIBRARY_PATH a charm has set.
        return self._run(to, "-static") or self._run(to)

    def _run(self, to: Path, *flags: str) -> bool:
        compiler = shlex.split(os.environ.get("CC", "cc"))
        argv = [*compiler, *FLAGS, *flags, "-o", str(to), str(Path(self.root, SOURCE))]
        try:
            done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=120)
        except (OSError, subprocess.TimeoutExpired) as error:
            self._complain(flags, str(error))
            return False
        if done.returncode != 0:
            self._complain(flags, done.stderr)
        return done.returncode == 0

    def _complain(self, flags: tuple[str, ...], reason: str) -> None:
        if not flags:
            self.app.display_warning(f"the hook tools will be slow, for their client could not be compiled: {reason}")
