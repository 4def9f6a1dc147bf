"""Secrets at rest: the key that they are encrypted with, and how.

The key is in a file of its own, never in the store; the store has its fingerprint, so that nobody writes what the
others could not read, or takes a new key where the old one was lost. Each revision is encrypted by AES-256 in GCM,
bound to its secret, its number and its model: what was copied to another place cannot be read there. Neither the key
nor what is encrypted is in any repr, message or log.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from undercroft.files import in_thread, sync
from undercroft_hookspecs.errors import UndercroftError
from undercroft_hookspecs.store import Check, Conflict, Put, Revision
from undercroft_model.rows import SecretsKey
from undercroft_model.tables import SECRETS_KEY

if TYPE_CHECKING:
    from undercroft_hookspecs.store import Entry, Store

KEY_BYTES = 32
NONCE_BYTES = 12
FORMAT = b"\x01"
_MAKE = "head -c 32 /dev/urandom | base64"


class SecretsKeyError(UndercroftError):
    """The key that secrets are encrypted with cannot be used; the message says which file, and what to do."""


class SecretDamagedError(UndercroftError):
    """What is kept of a secret cannot be decrypted: it was tampered with, or is another's."""


class Sealer:
    """Encrypts and decrypts with one key."""

    __slots__ = ("_cipher", "fingerprint")

    def __init__(self, key: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - Dear, and seldom needed.

        self._cipher = AESGCM(key)
        self.fingerprint = hmac.new(key, b"undercroft secrets key", hashlib.sha256).hexdigest()
        """Says which key it is, and nothing else of it."""

    def __repr__(self) -> str:
        return f"Sealer({self.fingerprint[:8]})"

    def seal(self, content: Mapping[str, str], *, place: str) -> bytes:
        """Encrypt content for one place."""
        nonce = os.urandom(NONCE_BYTES)
        plain = msgspec.json.encode(dict(content))
        return FORMAT + nonce + self._cipher.encrypt(nonce, plain, place.encode())

    def unseal(self, sealed: bytes, *, place: str) -> dict[str, str]:
        """Decrypt what was encrypted for that place.

        Raises:
            SecretDamagedError: it was not, or has been changed.
        """
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - As above.

        nonce, rest = sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
        if sealed[:1] != FORMAT or len(nonce) != NONCE_BYTES:
            raise SecretDamagedError(f"{place} is kept in a form that this version does not know")
        try:
            plain = self._cipher.decrypt(nonce, rest, place.encode())
        except InvalidTag:
            raise SecretDamagedError(f"{place} cannot be decrypted: it has been changed in the store") from None
        return msgspec.json.decode(plain, type=dict[str, str])


class Keyring:
    """Finds the key when it is first needed, and makes it where that is allowed."""

    def __init__(self, store: Store, *, default: Path, given: str = "") -> None:
        self._store = store
        self._path = Path(given).expanduser() if given else default
        self._is_given = bool(given)
        # A store says of itself that it is this machine's alone; all others may be shared.
        self._is_shared = not getattr(store, "is_local", False)
        self._turn = asyncio.Lock()
        self._sealer: Sealer | None = None

    def __repr__(self) -> str:
        return f"Keyring({str(self._path)!r})"

    async def check(self) -> None:
        """See at the start that the key is there and the right one, where it has to be.

        Raises:
            SecretsKeyError: it is not.
        """
        if self._is_shared or self._is_given or await self._fingerprint() is not None:
            await self.sealer()

    async def sealer(self) -> Sealer:
        """What encrypts and decrypts.

        Raises:
            SecretsKeyError: the key is missing, not readable, or not the one that the store's secrets have.
        """
        async with self._turn:
            if self._sealer is None:
                self._sealer = await self._find()
            return self._sealer

    async def _find(self) -> Sealer:
        if self._is_shared and not self._is_given:
            raise SecretsKeyError(
                "the store may be shared with other hosts, and so has to be the key of its secrets: make one "
                f"({_MAKE} > FILE; chmod 600 FILE), copy it to every host, and set secrets_key_file = "
                '"FILE" in [plugins.model]'
            )
        known = await self._fingerprint()
        key = await in_thread(_read, self._path)
        if key is None and (self._is_given or known is not None):
            remedy = f"make one: {_MAKE} > {self._path}" if known is None else "restore it from a backup"
            raise SecretsKeyError(f"the key of the secrets, {self._path}, is missing; {remedy}")
        sealer = Sealer(key if key is not None else await in_thread(_make, self._path))
        if known is None:
            known = await self._register(sealer)
        if known.fingerprint != sealer.fingerprint:
            raise SecretsKeyError(
                f"{self._path} is not the key that the secrets in the store are encrypted with (it is "
                f"{sealer.fingerprint[:8]}, they need {known.fingerprint[:8]}); put the right one there"
            )
        return sealer

    async def _fingerprint(self) -> SecretsKey | None:
        entry = await self._store.get(SECRETS_KEY.key("self"))
        return _decoded(entry) if entry is not None else None

    async def _register(self, sealer: Sealer) -> SecretsKey:
        """Say which key it is; who was first has decided."""
        record = SecretsKey(fingerprint=sealer.fingerprint)
        key = SECRETS_KEY.key("self")
        try:
            await self._store.transact([Check(key, Revision(0))], [Put(key, msgspec.json.encode(record))])
        except Conflict:
            return await self._fingerprint() or record
        return record


def trouble_with(given: str) -> list[str]:
    """What keeps the key file that the config names, if it does, from being used: a sentence, or none."""
    if not given:
        return []
    path = Path(given).expanduser()
    try:
        is_there = _read(path) is not None
    except SecretsKeyError as error:
        return [str(error)]
    return [] if is_there else [f"the key of the secrets, {path}, is missing; make one: {_MAKE} > {path}"]


def _decoded(entry: Entry) -> SecretsKey:
    return SECRETS_KEY.decode(entry)


def _read(path: Path) -> bytes | None:
    try:
        mode, text = path.stat().st_mode, path.read_text("ascii", "replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SecretsKeyError(f"{path} cannot be read: {error.strerror}") from error
    if stat.S_IMODE(mode) & 0o077:
        raise SecretsKeyError(f"{path} can be read by others; run: chmod 600 {path}")
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise SecretsKeyError(f"{path} is not {KEY_BYTES} bytes in base64; make one: {_MAKE} > {path}")
    return key


def _make(path: Path) -> bytes:
    """Make the key, durably, before anything is encrypted with it; whoever is first decides."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            os.write(fd, base64.b64encode(os.urandom(KEY_BYTES)) + b"\n")
            os.fsync(fd)
        finally:
            os.close(fd)
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
    finally:
        draft.unlink(missing_ok=True)
    sync(path.parent)
    key = _read(path)
    if key is None:
        raise SecretsKeyError(f"{path} was removed while it was being made")
    return key
