"""The Store's errors: their fields, and what they say."""

from __future__ import annotations

import pickle

import pytest

from undercroft_hookspecs import (
    CommandFailedError,
    Compacted,
    Completed,
    Conflict,
    LeaseId,
    LeaseLost,
    Revision,
    StoreUnavailable,
    UndercroftError,
)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            Conflict("/models/a", Revision(3), Revision(5)),
            "'/models/a' was changed meanwhile: expected revision 3, found 5",
        ),
        (Compacted(Revision(17)), "the oldest one kept is 17"),
        (LeaseLost(LeaseId(9)), "lease 9 has ended"),
        (StoreUnavailable(outcome_unknown=True), "not reachable"),
    ],
)
def test_an_error_says_what_happened_and_survives_pickling(error: UndercroftError, words: str) -> None:
    copy = pickle.loads(pickle.dumps(error))

    assert words in str(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


@pytest.mark.parametrize(
    ("completed", "words"),
    [
        (
            Completed(("mount", "/x"), 32, stderr=b"mount: /x: no such device\n"),
            "mount exited 32: mount: /x: no such device",
        ),
        (Completed(("mkfs",), -9), "mkfs was killed by signal 9"),
    ],
)
def test_a_failed_command_says_how_it_ended(completed: Completed, words: str) -> None:
    error = CommandFailedError(completed)

    assert str(error) == words
    assert error.completed is completed
