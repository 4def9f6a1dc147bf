"""POST a body to a receiver over HTTP, and say what its answer means: what all senders over HTTP have in common.

Nothing is followed or guessed: a redirect is an error, for it is the config's to say where data goes. What may be a
mistake in the config (a wrong path, a wrong token) is waited out, not held against the batches.
"""

from __future__ import annotations

import gzip
import ssl
from collections.abc import Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp

from undercroft.files import in_thread
from undercroft_hookspecs import BatchesRefusedError, RetryLaterError, TooMuchError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from undercroft_hookspecs import Clock
    from undercroft_metrics.senders.config import RemoteConfig

ANSWER_BYTES = 1 << 20
SHOWN = 300
TOKEN_BYTES = 64 << 10

# What is most likely wrong with the config, and not with what was sent.
_SETUP = {401: "the token", 403: "the token's rights", 404: "the URL", 405: "the URL", 407: "the proxy"}
_RETRY = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True)
class Answer:
    """A receiver's answer; one that was taken well, unless the sender asked for others."""

    status: int
    body: bytes
    content_type: str


class Poster:
    """A receiver's URL, and the connection to it."""

    def __init__(self, session: aiohttp.ClientSession, config: RemoteConfig, clock: Clock) -> None:
        self._session, self._config, self._clock = session, config, clock

    async def post(self, body: bytes, headers: Mapping[str, str], *, passing: frozenset[int] = frozenset()) -> Answer:
        """Post a body. `passing` are statuses that are answers to this sender, besides those of success.

        Raises:
            OSError, TimeoutError: the receiver cannot be reached, or breaks off.
            RetryLaterError, TooMuchError, BatchesRefusedError: as its status says.
        """
        own = await in_thread(self._authorization) if self._config.token_file else {}
        every = {**self._config.headers, **headers, **own}
        try:
            async with self._session.post(
                self._config.url, data=body, headers=every, allow_redirects=False
            ) as response:
                answer = Answer(response.status, await _read(response), response.content_type)
                after = retry_after(response.headers.get("Retry-After", ""), self._clock.now())
        except (aiohttp.ClientError, ValueError) as error:
            if isinstance(error, OSError):
                raise
            raise ConnectionError(f"{self._config.url}: {str(error) or type(error).__name__}") from error
        if not 200 <= answer.status < 300 and answer.status not in passing:
            raise meaning(answer, after)
        return answer

    def _authorization(self) -> Mapping[str, str]:
        """Read anew each time: tokens are renewed."""
        path = Path(self._config.token_file)
        with path.open("rb") as file:
            token = file.read(TOKEN_BYTES).strip()
        if not token or not token.isascii() or any(byte < 0x21 for byte in token):
            raise ConnectionError(f"{path} does not hold a token: it is to be one word")
        return {"Authorization": f"Bearer {token.decode()}"}


def meaning(answer: Answer, after: float | None) -> Exception:
    """The error that an answer other than success stands for."""
    status = answer.status
    said = answer.body[:SHOWN].decode("utf-8", "replace").strip()
    text = f"HTTP {status}" + (f": {said}" if said else "")
    if status == 413:
        return TooMuchError(text)
    if status in _RETRY or status >= 500:
        return RetryLaterError(text, after=after)
    if 300 <= status < 400:
        return RetryLaterError(f"{text} (redirects are not followed: give the receiver's own URL)", after=after)
    if status in _SETUP:
        return RetryLaterError(f"{text} (look at {_SETUP[status]})", after=after)
    return BatchesRefusedError(text)


def retry_after(text: str, now: datetime) -> float | None:
    """The seconds that a Retry-After header asks for, which is a number or a date; None if it is neither."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max((moment - now).total_seconds(), 0.0)


def packed(body: bytes, compression: str) -> tuple[bytes, Mapping[str, str]]:
    """The body as it goes over the wire, and the header that says so. Blocks for large ones."""
    if compression == "none":
        return body, {}
    return gzip.compress(body, 1, mtime=0), {"Content-Encoding": "gzip"}


@asynccontextmanager
async def poster(config: RemoteConfig, clock: Clock) -> AsyncIterator[Poster]:
    """A connection to the receiver, opened when it is first needed. Proxies of the environment are not used."""
    context: ssl.SSLContext | bool = True
    if config.ca_file:
        context = await in_thread(lambda: ssl.create_default_context(cafile=config.ca_file))
    timeout = aiohttp.ClientTimeout(total=config.total_seconds, sock_connect=config.connect_seconds)
    connector = aiohttp.TCPConnector(ssl=context, limit=1)
    async with aiohttp.ClientSession(
        connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar(), headers={"User-Agent": "undercroft"}
    ) as session:
        yield Poster(session, config, clock)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > ANSWER_BYTES:
            response.close()
            raise ConnectionError(f"the answer is larger than {ANSWER_BYTES} bytes")
    return bytes(body)
