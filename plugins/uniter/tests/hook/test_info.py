from __future__ import annotations

import pytest

from undercroft_hookspecs import NotValidError
from undercroft_hookspecs.hook_tools import RelationContext
from undercroft_uniter.hook.info import HookInfo, HookKind
from undercroft_uniter.hook.script import script_of

JOINED = HookInfo(kind=HookKind.RELATION_JOINED, relation=0, remote_unit="mysql/0", remote_application="mysql")


@pytest.mark.parametrize(
    "hook",
    [
        *(HookInfo(kind=kind) for kind in HookKind if not (kind.is_relation or kind.is_storage or kind.is_secret)),
        JOINED,
        HookInfo(kind=HookKind.RELATION_DEPARTED, relation=3, remote_unit="mysql/0", remote_application="mysql"),
        HookInfo(kind=HookKind.RELATION_CHANGED, relation=3, remote_unit="mysql/0", remote_application="mysql"),
        HookInfo(kind=HookKind.RELATION_CHANGED, relation=3, remote_application="mysql"),
        HookInfo(kind=HookKind.RELATION_CREATED, relation=3, remote_application="mysql"),
        HookInfo(kind=HookKind.RELATION_BROKEN, relation=3, remote_application="mysql"),
        HookInfo(kind=HookKind.STORAGE_ATTACHED, storage="data/0"),
        HookInfo(kind=HookKind.STORAGE_DETACHING, storage="data/0"),
        HookInfo(kind=HookKind.SECRET_CHANGED, secret="9m4e2mr0ui3e8a215n4g"),
        HookInfo(kind=HookKind.SECRET_ROTATE, secret="9m4e2mr0ui3e8a215n4g"),
        HookInfo(kind=HookKind.SECRET_EXPIRED, secret="9m4e2mr0ui3e8a215n4g", secret_revision=1),
        HookInfo(kind=HookKind.SECRET_REMOVE, secret="9m4e2mr0ui3e8a215n4g", secret_revision=1),
    ],
    ids=lambda hook: str(hook.kind),
)
def test_a_hook_that_has_what_its_kind_needs_is_valid(hook: HookInfo) -> None:
    assert hook.validate() is hook


@pytest.mark.parametrize(
    ("hook", "field"),
    [
        (HookInfo(kind=HookKind.RELATION_JOINED, relation=3, remote_application="mysql"), "remote_unit"),
        (HookInfo(kind=HookKind.RELATION_DEPARTED, relation=3, remote_application="mysql"), "remote_unit"),
        (HookInfo(kind=HookKind.RELATION_JOINED, relation=3, remote_unit="mysql/0"), "remote_application"),
        (HookInfo(kind=HookKind.RELATION_CHANGED, relation=3), "remote_application"),
        (HookInfo(kind=HookKind.RELATION_CHANGED, relation=3, remote_unit="mysql/0"), "remote_application"),
        (HookInfo(kind=HookKind.RELATION_CREATED, remote_application="mysql"), "relation"),
        (HookInfo(kind=HookKind.SECRET_ROTATE), "secret"),
        (HookInfo(kind=HookKind.SECRET_EXPIRED, secret="9m4e2mr0ui3e8a215n4g"), "secret_revision"),
        (HookInfo(kind=HookKind.SECRET_REMOVE, secret="9m4e2mr0ui3e8a215n4g"), "secret_revision"),
    ],
)
def test_a_hook_that_lacks_something_names_it(hook: HookInfo, field: str) -> None:
    with pytest.raises(NotValidError) as caught:
        hook.validate()

    assert caught.value.field == field


@pytest.mark.parametrize("storage", ["", "data", "data/x", "data/-1", "../data/0"])
@pytest.mark.parametrize("kind", [HookKind.STORAGE_ATTACHED, HookKind.STORAGE_DETACHING])
def test_a_storage_hook_needs_a_storage(kind: HookKind, storage: str) -> None:
    with pytest.raises(NotValidError):
        HookInfo(kind=kind, storage=storage).validate()


def test_a_remote_unit_has_to_be_one() -> None:
    with pytest.raises(NotValidError):
        HookInfo(kind=HookKind.RELATION_JOINED, relation=3, remote_unit="mysql", remote_application="mysql").validate()


@pytest.mark.parametrize("name", ["action", "leader-deposed", "pebble-ready", "pre-series-upgrade", "", "install "])
def test_other_kinds_are_none(name: str) -> None:
    with pytest.raises(ValueError):
        HookKind(name)


def test_scripts_are_called_after_endpoint_and_store() -> None:
    relations = {0: RelationContext(id=0, endpoint="db", remote_application="mysql", members=())}

    assert script_of(JOINED, relations) == "db-relation-joined"
    assert script_of(HookInfo(kind=HookKind.STORAGE_ATTACHED, storage="my-data/0"), {}) == "my-data-storage-attached"
    assert script_of(HookInfo(kind=HookKind.INSTALL), {}) == "install"
