"""Open the store behind an `etcd:` URL: the entry point, which brings in gRPC only when it is called."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING

from undercroft_etcd.address import Address, parse_address
from undercroft_hookspecs.errors import NotValidError

if TYPE_CHECKING:
    from pathlib import Path

    from undercroft_etcd.transport import Credentials
    from undercroft_hookspecs.store import Store
    from undercroft_hookspecs.worker import Clock

# gRPC's handlers of fork would hold up every hook that is run, and its own log goes to stderr past ours.
ENVIRONMENT = {"GRPC_ENABLE_FORK_SUPPORT": "0", "GRPC_VERBOSITY": "NONE"}

logger = logging.getLogger(__name__)


@asynccontextmanager
async def open_etcd(url: str, *, data_dir: Path, clock: Clock) -> AsyncIterator[Store]:
    """Open the store of a URL: `etcd://HOST:PORT,HOST:PORT/?ca=FILE&cert=FILE&key=FILE&user=NAME&password_file=FILE`.

    No member needs to be there yet: each call waits for one, within a bounded time.

    Raises:
        NotValidError: the URL is not of that form, or a file that it names cannot be used.
    """
    address = parse_address(url, data_dir=data_dir)
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    # In a thread, since it takes a tenth of a second.
    await asyncio.to_thread(import_module, "undercroft_etcd.transport")
    from undercroft_etcd.client import Client, Login  # noqa: PLC0415
    from undercroft_etcd.history import KEPT  # noqa: PLC0415
    from undercroft_etcd.store import EtcdStore  # noqa: PLC0415
    from undercroft_etcd.transport import Connection  # noqa: PLC0415

    credentials = await _credentials(address)
    _warn(address)
    connections = [Connection(endpoint, credentials) for endpoint in address.endpoints]
    login = None
    if address.user:
        await _password(address)  # Better to hear of a file that is missing now.
        login = Login(address.user, lambda: _password(address))
    client = Client(connections, clock=clock, login=login)
    store = EtcdStore(client, prefix=address.prefix, kept=KEPT if address.compacts else 0)
    try:
        yield store
    finally:
        await store.close()


async def _credentials(address: Address) -> Credentials | None:
    """The certificates of an address, if it is to be reached by TLS."""
    from undercroft_etcd.transport import Credentials  # noqa: PLC0415

    if not address.is_encrypted:
        return None
    ca, cert, key = [await _read(path) for path in (address.ca, address.cert, address.key)]
    return Credentials(ca=ca, cert=cert, key=key)


async def _read(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return await asyncio.to_thread(path.read_bytes)
    except OSError as error:
        message = f"the store's URL names {path}, which cannot be read: {error.strerror}"
        raise NotValidError(message, field="store") from None


async def _password(address: Address) -> str:
    """The password, read anew whenever it is needed, so that it can be changed under a running agent."""
    found = await _read(address.password_file)
    return (found or b"").decode().rstrip("\r\n")


def _warn(address: Address) -> None:
    abroad = [str(endpoint) for endpoint in address.endpoints if not endpoint.is_here]
    if address.user and not address.is_encrypted and abroad:
        logger.warning("the password of %r goes to %s in clear text; set up TLS", address.user, ", ".join(abroad))
