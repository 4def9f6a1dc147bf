from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from plugins.uniter.tests.fakemodel import NEW, OLD
from plugins.uniter.tests.fakes import kind

from undercroft_hookspecs import NotValidError
from undercroft_hookspecs.unit_facades import ConfigHashes
from undercroft_uniter.hook.info import HookInfo, HookKind
from undercroft_uniter.operation.state import OperationKind, OperationState, Step
from undercroft_uniter.operation.statefile import StateFile

INSTALL = OperationState(kind=OperationKind.INSTALL, step=Step.QUEUED, charm=OLD)
CONTINUE = OperationState(kind=OperationKind.CONTINUE, step=Step.PENDING)

VALID = [
    INSTALL,
    CONTINUE,
    OperationState(kind=OperationKind.UPGRADE, step=Step.PENDING, charm=NEW, installed=True),
    OperationState(kind=OperationKind.UPGRADE, step=Step.DONE, charm=NEW, hook=kind("start")),
    OperationState(kind=OperationKind.RUN_HOOK, step=Step.PENDING, hook=kind("start")),
    OperationState(kind=OperationKind.RUN_ACTION, step=Step.PENDING, action=7),
    OperationState(kind=OperationKind.RUN_ACTION, step=Step.DONE, action=7, hook=kind("start")),
    msgspec.structs.replace(
        CONTINUE,
        installed=True, started=True, stopped=True, removed=True, leader=True, status_set=True, config_hash="c",
        trust_hash="t", addresses_hash="a", boot_id="b", charm_modified_version=4, reboot_boot_id="b",
    ),
]  # fmt: skip


@pytest.mark.parametrize("state", VALID, ids=lambda state: f"{state.kind}-{state.step}")
async def test_a_valid_state_is_read_as_it_was_written(state: OperationState, tmp_path: Path) -> None:
    await StateFile(tmp_path / "operation.json").write(state)

    assert await StateFile(tmp_path / "operation.json").read() == state


@pytest.mark.parametrize(
    ("state", "field"),
    [
        (OperationState(kind=OperationKind.INSTALL, step=Step.QUEUED, charm=OLD, installed=True), "installed"),
        (OperationState(kind=OperationKind.INSTALL, step=Step.QUEUED), "charm"),
        (OperationState(kind=OperationKind.INSTALL, step=Step.QUEUED, charm=OLD, action=7), "action"),
        (OperationState(kind=OperationKind.INSTALL, step=Step.QUEUED, charm=OLD, hook=kind("start")), "hook"),
        (OperationState(kind=OperationKind.UPGRADE, step=Step.QUEUED), "charm"),
        (OperationState(kind=OperationKind.UPGRADE, step=Step.QUEUED, charm=OLD, action=7), "action"),
        (OperationState(kind=OperationKind.RUN_ACTION, step=Step.PENDING), "action"),
        (OperationState(kind=OperationKind.RUN_ACTION, step=Step.PENDING, action=7, charm=OLD), "charm"),
        (OperationState(kind=OperationKind.RUN_HOOK, step=Step.PENDING), "hook"),
        (OperationState(kind=OperationKind.RUN_HOOK, step=Step.PENDING, hook=kind("start"), action=7), "action"),
        (OperationState(kind=OperationKind.RUN_HOOK, step=Step.PENDING, hook=kind("start"), charm=OLD), "charm"),
        (
            OperationState(
                kind=OperationKind.RUN_HOOK,
                step=Step.PENDING,
                hook=HookInfo(kind=HookKind.STORAGE_ATTACHED, storage="data/0 "),
            ),
            "storage",
        ),
        (OperationState(kind=OperationKind.CONTINUE, step=Step.PENDING, charm=OLD), "charm"),
        (OperationState(kind=OperationKind.CONTINUE, step=Step.PENDING, action=7), "action"),
        (OperationState(kind=OperationKind.CONTINUE, step=Step.PENDING, hook=kind("start")), "hook"),
    ],
)
async def test_a_state_that_cannot_be_is_not_written(state: OperationState, field: str, tmp_path: Path) -> None:
    file = StateFile(tmp_path / "operation.json")
    await file.write(CONTINUE)

    with pytest.raises(NotValidError) as caught:
        await file.write(state)

    assert field in caught.value.field
    assert await StateFile(file.path).read() == CONTINUE


async def test_nothing_is_read_before_anything_was_written(tmp_path: Path) -> None:
    assert await StateFile(tmp_path / "operation.json").read() is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b'{"kind": "dance", "step": "pending"}',
        b'{"kind": "continue", "step": "sideways"}',
        b'{"kind": "continue"}',
        b'{"kind": "run-hook", "step": "pending"}',
        b'{"kind": "run-hook", "step": "pending", "hook": {"kind": "action"}}',
    ],
)
async def test_a_damaged_file_is_named_and_kept(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "operation.json"
    path.write_bytes(content)

    with pytest.raises(NotValidError, match=str(path)):
        await StateFile(path).read()

    assert path.read_bytes() == content


async def test_the_same_state_is_written_once(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "operation.json")
    await file.write(CONTINUE)
    written = file.path.stat().st_ino

    await file.write(CONTINUE)

    assert file.path.stat().st_ino == written


def test_relation_zero_is_a_relation() -> None:
    hook = HookInfo(kind=HookKind.RELATION_CREATED, relation=0, remote_application="mysql")
    state = OperationState(kind=OperationKind.RUN_HOOK, step=Step.QUEUED, hook=hook)

    again = msgspec.json.decode(msgspec.json.encode(state), type=OperationState)

    assert again.hook is not None
    assert again.hook.relation == 0


def test_what_the_unit_has_been_through_outlives_its_operations() -> None:
    state = msgspec.structs.replace(VALID[-1], started=True, status_set=True)

    after = state.to(OperationKind.RUN_HOOK, Step.QUEUED, hook=kind("start"))

    assert (after.kind, after.step, after.hook) == (OperationKind.RUN_HOOK, Step.QUEUED, kind("start"))
    assert (after.started, after.status_set, after.leader, after.config_hash) == (True, True, True, "c")


@pytest.mark.parametrize("change", ["config", "trust", "addresses"])
def test_config_changed_was_run_for_just_these_hashes(change: str) -> None:
    state = msgspec.structs.replace(CONTINUE, config_hash="1", trust_hash="1", addresses_hash="1")
    same = {"config": "1", "trust": "1", "addresses": "1"}

    assert state.has_seen(ConfigHashes(**same))
    assert not state.has_seen(ConfigHashes(**(same | {change: "2"})))
