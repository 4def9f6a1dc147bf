"""A server of hook tools, and both of its clients."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from plugins.uniter.tests.jujuc.bench import Bench, Tools, benched

from undercroft_uniter.jujuc.toolfolder import compiled_client, fill_tool_folder, python_client

NO_COMPILER = (
    "the client was not compiled: install a C compiler (apt install gcc libc6-dev), "
    "then uv sync --reinstall-package undercroft-uniter"
)


@pytest.fixture(params=["compiled", "python"])
def client(request: pytest.FixtureRequest) -> bytes:
    """The program of a client."""
    if request.param == "python":
        return python_client()
    compiled = compiled_client()
    if compiled is None:
        pytest.skip(NO_COMPILER)
    return compiled.read_bytes()


@pytest.fixture
async def folder(tmp_path: Path, client: bytes) -> Path:
    """A folder with the clients, under all names."""
    folder = tmp_path / "tools"
    await fill_tool_folder(folder, {*Tools().mapping(), "unheard-of"}, client=client)
    return folder


@pytest.fixture
async def bench(tmp_path: Path, folder: Path) -> AsyncIterator[Bench]:
    """A server, and clients of either kind."""
    async with benched(tmp_path / "agent.socket", folder) as bench:
        yield bench


@pytest.fixture
async def clientless(tmp_path: Path) -> AsyncIterator[Bench]:
    """A server for those that speak to it themselves."""
    async with benched(tmp_path / "agent.socket", tmp_path) as bench:
        yield bench
