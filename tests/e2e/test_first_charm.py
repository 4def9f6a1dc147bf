"""What the tutorial `Run your first charm` has its readers type works from its first line to its last."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "tutorials" / "first-charm.md"
SECONDS = 120.0


@pytest.mark.slow
def test_everything_on_the_page_works_and_leaves_nothing(tmp_path: Path) -> None:
    typed = re.findall(r"^```bash\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "UNDERCROFT_DATA": str(tmp_path / "data"),
        "LC_ALL": "C.UTF-8",
    }

    done = subprocess.run(
        # As in a terminal: an error ends it, and jobs can be named. Whatever happens, the agent does not outlive it.
        ["bash", "-emc", "trap 'kill %1 2>/dev/null || true' EXIT\n" + "\n".join(typed)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr + (tmp_path / "agent.log").read_text()
    said = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert any(re.fullmatch(r"greeter/0\* active idle 0 \S+ Hello, world!", line) for line in said), said
    assert any(line.endswith("Hello, Ada!") for line in said), said
    assert "refused" in said
    assert "greeting: ADA!!!" in said
    assert not list((tmp_path / "data" / "models").glob("*/agents/*"))
