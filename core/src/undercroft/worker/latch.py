"""A one-way latch that is cheap to hold: the two turning points of a worker's life are one each.

Not `asyncio.Event`: that costs 300 bytes a piece before anybody waits, can be cleared, and tells only tasks. Here the
first subscriber is kept as it is, and a dict is made for the second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeAlias

Subscriber: TypeAlias = "asyncio.Future[None] | Callable[[], object]"


class Latch:
    """Fires once; futures that subscribed are then done, and callbacks called in order of subscription."""

    __slots__ = ("_fired", "_subscribers")

    def __init__(self) -> None:
        self._fired = False
        self._subscribers: Subscriber | dict[Subscriber, None] | None = None

    def is_set(self) -> bool:
        """Whether it has fired."""
        return self._fired

    def subscribe(self, subscriber: Subscriber) -> None:
        """Tell `subscriber` when the latch fires: never, if it has fired already."""
        present = self._subscribers
        if present is None:
            self._subscribers = subscriber
        elif isinstance(present, dict):
            present[subscriber] = None
        else:
            self._subscribers = {present: None, subscriber: None}

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Forget `subscriber`; nothing if it was not there."""
        present = self._subscribers
        if isinstance(present, dict):
            present.pop(subscriber, None)
        elif present == subscriber:
            self._subscribers = None

    def fire(self) -> None:
        """Fire, the first time that this is called."""
        if self._fired:
            return
        self._fired = True
        present, self._subscribers = self._subscribers, None
        if present is None:
            return
        if isinstance(present, dict):
            for subscriber in present:
                _tell(subscriber)
        else:
            _tell(present)

    async def wait(self) -> None:
        """Return when the latch has fired."""
        if self._fired:
            return
        future = asyncio.get_running_loop().create_future()
        self.subscribe(future)
        try:
            await future
        finally:
            self.unsubscribe(future)


def _tell(subscriber: Subscriber) -> None:
    if not isinstance(subscriber, asyncio.Future):
        subscriber()
    elif not subscriber.done():
        try:
            subscriber.set_result(None)
        except RuntimeError:  # The loop is closed: nobody waits there any more.
            return
