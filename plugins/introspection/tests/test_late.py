from __future__ import annotations

import subprocess
import sys

HEAVY = ("aiohttp", "prometheus_client")


def test_the_worker_imports_no_http_server_until_somebody_comes() -> None:
    code = "import sys, undercroft_introspection.worker; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    assert not set(HEAVY) & set(done.stdout.split())


def test_the_plugin_itself_imports_its_config_alone() -> None:
    code = "import sys, undercroft_introspection.plugin; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    ours = {name for name in done.stdout.split() if name.startswith("undercroft_introspection")}
    assert ours == {"undercroft_introspection", "undercroft_introspection.plugin"}
    assert "asyncio" not in done.stdout.split()
