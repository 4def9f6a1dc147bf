"""Identities: parse is the only way in, and what comes out is safe in a path."""

from __future__ import annotations

import pytest

from undercroft_hookspecs import (
    ApplicationName,
    FilesystemId,
    HostId,
    Identity,
    MachineId,
    ModelId,
    NotValidError,
    StorageId,
    UnitName,
    VolumeId,
)

UUID = "0b2ff3a6-5c12-4f0c-8a70-5d4b3b5d1e0f"


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (HostId, UUID),
        (ModelId, UUID),
        (MachineId, "0"),
        (MachineId, "12/lxd/3"),
        (ApplicationName, "postgresql"),
        (ApplicationName, "mysql-router2"),
        (UnitName, "postgresql/0"),
        (UnitName, "a-b/17"),
        (StorageId, "data/0"),
        (StorageId, "log-data/3"),
        (VolumeId, "7"),
        (VolumeId, "0/7"),
        (VolumeId, "0/lxd/1/7"),
        (FilesystemId, "0/7"),
    ],
)
def test_a_valid_text_is_kept_as_it_is(kind: type[Identity], text: str) -> None:
    identity = kind.parse(text)

    assert str(identity) == text
    assert identity == kind.parse(text)
    assert hash(identity) == hash(kind.parse(text))


@pytest.mark.parametrize(
    "kind", [HostId, ModelId, MachineId, ApplicationName, UnitName, StorageId, VolumeId, FilesystemId]
)
@pytest.mark.parametrize(
    "text",
    [
        "",
        "..",
        "../x",
        "a/../b",
        "-rf",
        "x/",
        "/",
        "a//0",
        "0/",
        "\0",
        "a\n",
        "a/0\n",
        "A/0",
        "a b/0",
        "a/00",
        "a/-1",
        "é/0",
        "a" * 300,
    ],
)
def test_whatever_could_harm_a_path_is_refused(kind: type[Identity], text: str) -> None:
    with pytest.raises(NotValidError) as caught:
        kind.parse(text)

    assert caught.value.field == kind.kind
    assert kind.example in str(caught.value)


def test_a_unit_knows_its_application_and_number() -> None:
    unit = UnitName.parse("mysql-router/12")

    assert unit.application == ApplicationName.parse("mysql-router")
    assert unit.number == 12


def test_the_same_text_of_another_kind_is_another_identity() -> None:
    volume: Identity = VolumeId.parse("0/7")

    assert volume != FilesystemId.parse("0/7")


def test_host_and_model_ids_are_uuids() -> None:
    assert str(HostId.parse(UUID).uuid) == UUID
    assert str(ModelId.parse(UUID).uuid) == UUID
