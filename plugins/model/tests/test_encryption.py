from __future__ import annotations

import asyncio
import base64
import stat
from pathlib import Path

import pytest

from undercroft.testing import MemoryStore
from undercroft_hookspecs import Store
from undercroft_model.encryption import Keyring, Sealer, SecretDamagedError, SecretsKeyError, trouble_with

KEY = b"k" * 32
PLACE = "secret a/1 of model b"


def write_key(path: Path, key: bytes = KEY, *, mode: int = 0o600) -> None:
    path.write_bytes(base64.b64encode(key) + b"\n")
    path.chmod(mode)


class SharedStore(MemoryStore):
    is_local = False


def test_what_is_sealed_is_unsealed_in_its_place() -> None:
    sealer = Sealer(KEY)

    assert sealer.unseal(sealer.seal({"key": "väl"}, place=PLACE), place=PLACE) == {"key": "väl"}


def test_the_same_content_is_never_sealed_the_same() -> None:
    sealer = Sealer(KEY)

    assert sealer.seal({"key": "x"}, place=PLACE) != sealer.seal({"key": "x"}, place=PLACE)


@pytest.mark.parametrize("index", [0, 1, 12, 13, -1])
def test_what_was_changed_is_not_unsealed(index: int) -> None:
    sealer = Sealer(KEY)
    sealed = bytearray(sealer.seal({"key": "x"}, place=PLACE))
    sealed[index] ^= 1

    with pytest.raises(SecretDamagedError, match=PLACE):
        sealer.unseal(bytes(sealed), place=PLACE)


@pytest.mark.parametrize("sealed", [b"", b"\x01", b"\x01short"])
def test_what_is_too_short_is_not_unsealed(sealed: bytes) -> None:
    with pytest.raises(SecretDamagedError):
        Sealer(KEY).unseal(sealed, place=PLACE)


def test_another_place_or_key_unseals_nothing() -> None:
    sealed = Sealer(KEY).seal({"key": "x"}, place=PLACE)

    with pytest.raises(SecretDamagedError):
        Sealer(KEY).unseal(sealed, place="secret a/2 of model b")
    with pytest.raises(SecretDamagedError):
        Sealer(b"o" * 32).unseal(sealed, place=PLACE)


def test_a_repr_says_nothing_of_the_key(tmp_path: Path) -> None:
    shown = repr(Sealer(KEY)) + repr(Keyring(MemoryStore(), default=tmp_path / "key"))

    assert KEY.decode() not in shown
    assert KEY.hex() not in shown


async def test_the_key_is_made_when_it_is_first_needed(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "secrets.key"
    keyring = Keyring(store, default=path)
    await keyring.check()
    assert not path.exists()

    await keyring.sealer()

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not list(tmp_path.glob(".secrets.key*"))


async def test_all_who_make_it_at_once_have_the_same_key(store: Store, tmp_path: Path) -> None:
    keyrings = [Keyring(store, default=tmp_path / "secrets.key") for _ in range(8)]

    sealers = await asyncio.gather(*(keyring.sealer() for keyring in keyrings))

    assert len({sealer.fingerprint for sealer in sealers}) == 1


async def test_a_later_life_has_the_same_key(store: Store, tmp_path: Path) -> None:
    first = await Keyring(store, default=tmp_path / "secrets.key").sealer()
    second = await Keyring(store, default=tmp_path / "secrets.key").sealer()

    assert first.fingerprint == second.fingerprint


async def test_a_lost_key_is_not_made_anew(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "secrets.key"
    await Keyring(store, default=path).sealer()
    path.unlink()

    with pytest.raises(SecretsKeyError, match="restore it from a backup"):
        await Keyring(store, default=path).check()
    assert not path.exists()


async def test_another_key_than_the_store_s_is_refused(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "secrets.key"
    await Keyring(store, default=path).sealer()
    write_key(path)

    with pytest.raises(SecretsKeyError, match="not the key that the secrets in the store"):
        await Keyring(store, default=path).check()


async def test_a_store_that_may_be_shared_wants_a_key_that_is_given(tmp_path: Path) -> None:
    with pytest.raises(SecretsKeyError, match="secrets_key_file"):
        await Keyring(SharedStore(), default=tmp_path / "secrets.key").check()
    assert not list(tmp_path.iterdir())


async def test_hosts_that_share_a_store_share_the_key(tmp_path: Path) -> None:
    store = SharedStore()
    here, there, other = tmp_path / "here", tmp_path / "there", tmp_path / "other"
    write_key(here)
    write_key(there)
    write_key(other, b"o" * 32)
    await Keyring(store, default=tmp_path / "x", given=str(here)).check()

    await Keyring(store, default=tmp_path / "x", given=str(there)).check()
    with pytest.raises(SecretsKeyError, match="put the right one there"):
        await Keyring(store, default=tmp_path / "x", given=str(other)).check()


async def test_a_given_key_that_is_missing_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(SecretsKeyError, match="make one"):
        await Keyring(MemoryStore(), default=tmp_path / "x", given=str(tmp_path / "absent")).check()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"not base64!", base64.b64encode(b"short")])
async def test_a_file_that_is_no_key_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(0o600)

    with pytest.raises(SecretsKeyError, match="32 bytes in base64"):
        await Keyring(MemoryStore(), default=path, given=str(path)).sealer()


async def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    write_key(path, mode=0o644)

    with pytest.raises(SecretsKeyError, match=f"chmod 600 {path}"):
        await Keyring(MemoryStore(), default=path, given=str(path)).sealer()


def test_the_check_of_a_host_looks_at_the_key_that_the_config_names(tmp_path: Path) -> None:
    good, open_to_all = tmp_path / "good", tmp_path / "open"
    write_key(good)
    write_key(open_to_all, mode=0o644)

    assert trouble_with("") == trouble_with(str(good)) == []
    assert "is missing; make one" in trouble_with(str(tmp_path / "absent"))[0]
    assert "chmod 600" in trouble_with(str(open_to_all))[0]
