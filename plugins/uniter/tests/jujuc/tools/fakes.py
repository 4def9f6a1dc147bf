"""A hook without a unit, and a bench to run tools in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from plugins.uniter.tests.jujuc.tools.parts import (
    UNIT,
    FakeAction,
    FakeCharmState,
    FakeConfig,
    FakeCredential,
    FakeGoals,
    FakeLeadership,
    FakeLog,
    FakeNetwork,
    FakePorts,
    FakeReboot,
    FakeRelations,
    FakeResources,
    FakeSecrets,
    FakeStatus,
    FakeStorage,
)

from undercroft.testing import FakeClock
from undercroft_hookspecs.errors import UndercroftError
from undercroft_hookspecs.hook_tools import (
    ActionContext,
    CharmStateContext,
    ConfigContext,
    CredentialContext,
    GoalStateContext,
    LeadershipContext,
    LogContext,
    NetworkContext,
    NotInContextError,
    PortsContext,
    RebootContext,
    RelationsContext,
    ResourcesContext,
    SecretsContext,
    StatusContext,
    StorageContext,
)
from undercroft_uniter.jujuc.command import Answer, run
from undercroft_uniter.jujuc.tools.catalogue import builtin_tools

T = TypeVar("T")


class FakeHook:
    """A hook of shop/0, the leader, that has every part but that of an action."""

    id = "shop/0-config-changed-1"
    unit = UNIT

    def __init__(self) -> None:
        self.hook = "config-changed"
        self.log = FakeLog()
        self.leadership = FakeLeadership()
        self.status = FakeStatus(self.leadership)
        self.config = FakeConfig()
        self.relations = FakeRelations(self.leadership)
        self.ports = FakePorts()
        self.network = FakeNetwork()
        self.state = FakeCharmState()
        self.action = FakeAction()
        self.storage = FakeStorage()
        self.secrets = FakeSecrets(self.leadership)
        self.resources = FakeResources()
        self.reboot = FakeReboot()
        self.goals = FakeGoals()
        self.credential = FakeCredential()
        self._parts: dict[type, object] = {
            LogContext: self.log,
            LeadershipContext: self.leadership,
            StatusContext: self.status,
            ConfigContext: self.config,
            RelationsContext: self.relations,
            PortsContext: self.ports,
            NetworkContext: self.network,
            CharmStateContext: self.state,
            StorageContext: self.storage,
            SecretsContext: self.secrets,
            ResourcesContext: self.resources,
            RebootContext: self.reboot,
            GoalStateContext: self.goals,
            CredentialContext: self.credential,
        }

    def get(self, kind: type[T]) -> T:
        """A part of the hook."""
        found = self._parts.get(kind)
        if found is None:
            raise NotInContextError(f"{self.hook} has no {kind.__name__}")
        assert isinstance(found, kind)
        return found

    def become_action(self, parameters: Mapping[str, object] | None = None) -> FakeAction:
        """Be an action, which may not reboot."""
        self.action.parameters = parameters or {}
        self._parts[ActionContext] = self.action
        del self._parts[RebootContext]
        return self.action

    def restrict(self) -> None:
        """Be a hook that may do no more than log."""
        self._parts = {LogContext: self.log}


class Bench:
    """Runs tools in a hook, through the layer that takes their arguments apart: `await bench("is-leader")`."""

    def __init__(self, folder: Path) -> None:
        self.hook = FakeHook()
        self.folder = folder
        self.clock = FakeClock()
        self.tools = builtin_tools(clock=self.clock)

    async def __call__(self, name: str, *arguments: str, stdin: bytes | None = None) -> Answer:
        """Run a tool."""

        async def read(path: str) -> bytes:
            if path == "-":
                assert stdin is not None, "nothing was piped in"
                return stdin
            try:
                return (self.folder / path).read_bytes()
            except OSError as error:
                raise UndercroftError(f"cannot read {path}: {error.strerror}") from error

        return await run(self.tools[name], self.hook, arguments, folder=self.folder, read=read)


def done(stdout: str = "") -> Answer:
    """The answer of a tool that has done its work."""
    return Answer(stdout=stdout)


def misused(message: str) -> Answer:
    """The answer of a tool that was called wrongly."""
    return Answer(code=2, stderr=f"ERROR {message}\n")


def failure(message: str) -> Answer:
    """The answer of a tool that failed."""
    return Answer(code=1, stderr=f"ERROR {message}\n")
