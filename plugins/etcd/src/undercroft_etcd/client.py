"""A client of an etcd cluster: whichever member answers, within a bounded time, and nothing done twice.

A call goes to the member that answered last. If a member cannot be reached, or says that it knows of no leader, the
call was not carried out and goes to the next member. If an answer stays away, the call may have been carried out: what
can be repeated without harm is then tried again, and anything else raises `StoreUnavailable(outcome_unknown=True)`.

Every call and stream asks its member to answer only as long as it knows of a leader (`hasleader`), so that a member
that is cut off from the others is left for one that is not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from undercroft_etcd import messages
from undercroft_etcd.faults import Fault, Meaning
from undercroft_etcd.transport import Connection, Headers, Stream, is_ending_calls
from undercroft_hookspecs.errors import NotValidError
from undercroft_hookspecs.store import StoreUnavailable

if TYPE_CHECKING:
    from undercroft_hookspecs.worker import Clock

T = TypeVar("T")

TOTAL_SECONDS = 10.0
"""How long the store is waited for before it counts as unavailable; a call that has been sent by then has its time."""

CALL_SECONDS = 3.0
"""How long an answer is waited for that cannot be asked for again."""

REPEATABLE_SECONDS = 2.0
"""How long an answer is waited for that can be asked for again, elsewhere."""

SETTLING_SECONDS, SETTLING_TURNS = 0.1, 20
"""How long closing waits for gRPC's own tasks to end, and how often it looks."""

PAUSE_SECONDS = 0.1
"""How long the client waits when every member has been tried."""


@dataclass(frozen=True, slots=True)
class Login:
    """Who this is, and where the password comes from, which is asked for with every new token."""

    user: str
    password: Callable[[], Awaitable[str]]


class Client:
    """Calls and streams to whichever member of a cluster answers."""

    def __init__(self, connections: Sequence[Connection], *, clock: Clock, login: Login | None = None) -> None:
        self._connections = tuple(connections)
        self._members = ", ".join(str(connection.endpoint) for connection in connections)
        self._clock = clock
        self._login = login
        self._current = 0
        self._token = ""
        self._headers = _headers("")
        self._authenticating = asyncio.Lock()
        self.is_closed = False

    async def call(self, path: str, request: bytes, *, repeatable: bool) -> bytes:
        """Make a call; `repeatable` if being carried out twice does no harm.

        Raises:
            Fault: it was refused.
            StoreUnavailable: nobody answered in time.
        """

        async def attempt(connection: Connection) -> bytes:
            seconds = REPEATABLE_SECONDS if repeatable else CALL_SECONDS
            return await connection.call(path, request, timeout=seconds, headers=self._headers)

        return await self._persist(attempt, repeatable=repeatable)

    async def exchange(self, path: str, request: bytes) -> bytes:
        """Send one message on a stream and read one, as with a call that can be repeated."""

        async def attempt(connection: Connection) -> bytes:
            stream = connection.stream(path, timeout=REPEATABLE_SECONDS, headers=self._headers)
            try:
                await stream.write(request)
                return await stream.read()
            finally:
                stream.cancel()

        return await self._persist(attempt, repeatable=True)

    async def open_stream(self, path: str, begin: Callable[[Stream], Awaitable[T]]) -> tuple[Stream, T]:
        """Open a stream that stays, and begin it: `begin` has its first messages exchanged.

        Raises:
            Fault: it was refused.
            StoreUnavailable: nobody answered in time.
        """

        async def attempt(connection: Connection) -> tuple[Stream, T]:
            stream = connection.stream(path, timeout=None, headers=self._headers)
            try:
                async with asyncio.timeout(REPEATABLE_SECONDS):
                    return stream, await begin(stream)
            except TimeoutError:
                stream.cancel()
                raise Fault("DEADLINE_EXCEEDED", f"no answer within {REPEATABLE_SECONDS:g} s") from None
            except BaseException:
                stream.cancel()
                raise

        return await self._persist(attempt, repeatable=True)

    async def close(self) -> None:
        """Hang up; what is under way raises StoreUnavailable."""
        self.is_closed = True
        # gRPC's thread and descriptors go with the last of its objects, which must not wait for that of this one.
        connections, self._connections = self._connections, ()
        for connection in connections:
            await connection.close()
        # What gRPC has cancelled ends a moment later. It cannot be told whose calls those are, so this has its limit.
        for _ in range(SETTLING_TURNS):
            if not is_ending_calls():
                return
            await self._clock.sleep(SETTLING_SECONDS / SETTLING_TURNS)

    async def _persist(self, attempt: Callable[[Connection], Awaitable[T]], *, repeatable: bool) -> T:
        """Try until somebody has an answer, or it is no use, or not allowed, to try again."""
        give_up = self._clock.monotonic() + TOTAL_SECONDS
        connections = self._connections
        tries = 0
        while True:
            self._check_open()
            index, token = self._current, ""
            connection = connections[index]
            try:
                if not connection.is_ready:
                    await connection.ready()
                if self._login is not None and not self._token:
                    await self._authenticate(connection, self._login)
                token = self._token
                return await attempt(connection)
            except Fault as fault:
                tries += 1
                failure = fault
            if self._current == index and failure.meaning in {Meaning.ELSEWHERE, Meaning.UNKNOWN}:
                self._current = (index + 1) % len(connections)
            self._recover(failure, connection, token, is_repeatable=repeatable)
            if self._clock.monotonic() >= give_up:
                raise self._unavailable(failure, is_repeatable=repeatable)
            if tries % len(connections) == 0:
                await self._clock.sleep(PAUSE_SECONDS)

    def _recover(self, failure: Fault, connection: Connection, token: str, *, is_repeatable: bool) -> None:
        """Make ready for another try, or raise what there is to be raised."""
        meaning = failure.meaning
        if meaning is Meaning.REFUSED:
            raise failure
        if meaning is Meaning.UNRECOGNISED:
            if self._login is None:
                raise StoreUnavailable(f"etcd asks who this is: {failure}; add '?user=NAME&password_file=FILE'")
            if self._token == token:
                self._token = ""
            return
        if failure.code == "DEADLINE_EXCEEDED" and failure.is_sent:
            connection.break_off()
        if meaning is Meaning.UNKNOWN and not is_repeatable:
            raise self._unavailable(failure, is_repeatable=False)

    async def _authenticate(self, connection: Connection, login: Login) -> None:
        async with self._authenticating:
            if self._token:
                return  # Somebody else has asked for one meanwhile.
            user = login.user
            try:
                request = messages.authenticate_request(user, await login.password())
                answer = await connection.call(
                    messages.AUTHENTICATE, request, timeout=REPEATABLE_SECONDS, headers=_headers("")
                )
            except Fault as fault:
                if fault.meaning is Meaning.REFUSED:
                    raise StoreUnavailable(f"etcd does not let the user {user!r} in: {fault}") from None
                # The call that this was for has not been sent yet.
                raise Fault(fault.code, fault.details, is_sent=False) from None
            except NotValidError as error:
                raise StoreUnavailable(str(error)) from None
            self._token = messages.token_answer(answer)
            self._headers = _headers(self._token)

    def _check_open(self) -> None:
        if self.is_closed:
            raise StoreUnavailable("the store has been closed")

    def _unavailable(self, failure: Fault, *, is_repeatable: bool) -> StoreUnavailable:
        is_unknown = failure.meaning is Meaning.UNKNOWN and not is_repeatable
        what = "may or may not have been carried out" if is_unknown else "was not answered in time"
        return StoreUnavailable(f"a request to etcd ({self._members}) {what}: {failure}", outcome_unknown=is_unknown)


def _headers(token: str) -> Headers:
    """What goes with every call: only a member that knows of a leader may answer, and this is who asks."""
    headers = Headers(("hasleader", "true"))
    if token:
        headers.add("token", token)
    return headers
