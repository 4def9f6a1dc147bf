"""Fakes, and states to begin from."""

from __future__ import annotations

import msgspec
import pytest
from plugins.uniter.tests.fakemodel import NEW, OLD
from plugins.uniter.tests.fakes import FakeRooms, kind

from undercroft_hookspecs.unit_facades import ConfigHashes
from undercroft_uniter.hook.info import HookInfo
from undercroft_uniter.operation.hook import RunHook, SkipHook
from undercroft_uniter.operation.state import OperationKind, OperationState, Step

BLANK = OperationState(kind=OperationKind.CONTINUE, step=Step.PENDING)
FULL = msgspec.structs.replace(
    BLANK, installed=True, started=True, leader=True, status_set=True, config_hash="old", boot_id="boot-0"
)
STATES = {
    "install": OperationState(kind=OperationKind.INSTALL, step=Step.QUEUED, charm=OLD),
    "continue": FULL,
    "hook": FULL.to(OperationKind.RUN_HOOK, Step.PENDING, hook=kind("config-changed")),
    "upgrade": FULL.to(OperationKind.UPGRADE, Step.PENDING, charm=NEW),
    "upgrade-hook": FULL.to(OperationKind.UPGRADE, Step.PENDING, charm=NEW, hook=kind("config-changed")),
}
HASHES = ConfigHashes(config="c", trust="t", addresses="a")


@pytest.fixture
def fakes() -> FakeRooms:
    """The seams."""
    return FakeRooms()


def running(hook: HookInfo, fakes: FakeRooms, *following: HookInfo) -> RunHook:
    """The operation that runs the hook, after which those of the same relation are due."""
    return RunHook(hook, fakes.rooms, remote=fakes.remote, hashes=HASHES, following=lambda _: following)


def skipping(hook: HookInfo, fakes: FakeRooms) -> SkipHook:
    """The operation that passes the hook over."""
    return SkipHook(hook, fakes.rooms, remote=fakes.remote, hashes=HASHES)
