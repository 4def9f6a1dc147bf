"""Some of Juju's tools, each of another kind, and the one of the guide, judged by the conformance kit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from plugins.uniter.tests.jujuc.tools.fakes import FakeHook
from plugins.uniter.tests.jujuc.tools.test_docs import guide

from undercroft.testing import FakeClock
from undercroft_conformance import HookToolConformance
from undercroft_hookspecs.hook_tools import HookTool, RelationContext
from undercroft_uniter.jujuc.tools.catalogue import builtin_tools


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a tool that is right."""

    tool: str
    arguments: Sequence[str] = ()
    values: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)


CALLS = (
    Call("is-leader"),
    Call("config-get", ["colour"]),
    Call("status-set", ["active", "ready"]),
    Call("open-port", ["80-90/udp"]),
    Call("relation-set", values={"r": "db:3", "file": "bag.yaml"}, files={"bag.yaml": b"a: b\n"}),
    Call("secret-add", ["token=swordfish"], values={"expire": "1h"}),
    Call("juju-log", ["here"], values={"log-level": "INFO"}),
)


class TestTools(HookToolConformance):
    @pytest.fixture(params=CALLS, ids=lambda call: call.tool)
    def call(self, request: pytest.FixtureRequest) -> Call:
        made = request.param
        assert isinstance(made, Call)
        return made

    @pytest.fixture
    def tool(self, call: Call) -> HookTool:
        return builtin_tools(clock=FakeClock())[call.tool]

    @pytest.fixture
    def hook(self) -> FakeHook:
        hook = FakeHook()
        hook.relations.known[3] = RelationContext(id=3, endpoint="db", remote_application="mysql", members=())
        return hook

    @pytest.fixture
    def arguments(self, call: Call) -> Sequence[str]:
        return call.arguments

    @pytest.fixture
    def values(self, call: Call) -> Mapping[str, str]:
        return call.values

    @pytest.fixture
    def files(self, call: Call, tmp_path: Path) -> Mapping[str, bytes]:
        return call.files


TestConfigExport = guide()["TestConfigExport"]
"""The guide's own class, for the guide's own tool."""
