"""How many batches a pump sends at once.

One number answers three questions. After an outage a single batch is sent, and with each success twice as many, so that
a receiver that has come back is not run over by everybody. What is too much for a receiver is halved, and grows again
only after a while. And where a request was refused for a batch that nobody names, halves of it are sent until that
batch is alone; the batches known to hold it are `suspects`, all of them at the head of the queue.
"""

from __future__ import annotations

SUCCESSES_TO_GROW = 16


class Window:
    """The number, `limit`, and what has led to it."""

    __slots__ = ("_ceiling", "_most", "_successes", "_suspects", "limit")

    def __init__(self, most: int) -> None:
        self._most = self._ceiling = most
        self._suspects = self._successes = 0
        self.limit = most

    @property
    def suspects(self) -> int:
        """How many batches at the head of the queue hold one that is refused; 0 if none is known to."""
        return self._suspects

    def went(self, batches: int) -> None:
        """So many were sent, and the receiver answered for each of them."""
        if self._suspects:
            self._suspects = max(self._suspects - batches, 0)
            if self._suspects:
                self.limit = max(-(-self._suspects // 2), 1)
                return
        self._successes += 1
        if self._successes >= SUCCESSES_TO_GROW:
            self._successes, self._ceiling = 0, min(self._ceiling * 2, self._most)
        self.limit = min(max(self.limit, 1) * 2, self._ceiling)

    def failed(self) -> None:
        """Nothing went through, and nobody is to blame: the next try is with one batch."""
        self._suspects = self._successes = 0
        self.limit = 1

    def too_much(self, batches: int) -> None:
        """So many at once were too many."""
        self._successes = 0
        self._ceiling = self.limit = max(batches // 2, 1)

    def refused(self, batches: int) -> None:
        """One of so many is refused, for good."""
        self._successes = 0
        self._suspects = batches
        self.limit = max(-(-batches // 2), 1)

    def found(self) -> None:
        """What was refused is out of the queue."""
        self._suspects = 0
        self.limit = self._ceiling
