"""That what is wrong in a ledger is found: the test that kills agents could not fail otherwise."""

from __future__ import annotations

from tests.e2e import ledger

LIFE = """\
begin 1 data-storage-attached - - data/0 a -
born 1 1
end 1
begin 2 install - - - a -
end 2
begin 3 config-changed - - - a -
end 3
begin 4 start - - - a -
end 4
"""
SAW = "begin 6 in-relation-changed in:2 giver/0 - a -\nsaw 6 giver/0 %s\nend 6\n"
MET = "begin 5 in-relation-joined in:2 giver/0 - a -\nend 5\n"


def wrongs(text: str, other: str = "") -> list[str]:
    """What is wrong with a unit's ledger, beside that of giver/0."""
    ledgers = {"taker/0": ledger.parse("taker/0", text)}
    if other:
        ledgers["giver/0"] = ledger.parse("giver/0", other)
    return ledger.wrongs(ledgers)


def test_whole_life_is_right() -> None:
    assert wrongs(LIFE + MET) == []


def test_hook_that_was_cut_off_and_run_again_is_right() -> None:
    assert wrongs(LIFE + "begin 5 config-changed - - - a -\nbegin 6 config-changed - - - a -\nend 6\n") == []


def test_hook_that_was_cut_off_and_taken_for_done_is_found() -> None:
    assert wrongs(LIFE + "begin 5 config-changed - - - a -\n" + MET.replace("5", "6"))


def test_hook_that_was_cut_off_and_forgotten_is_found() -> None:
    assert wrongs(LIFE + "begin 5 config-changed - - - a -\n")


def test_hook_that_was_queued_and_lost_is_found() -> None:
    assert wrongs(LIFE + "begin 5 upgrade-charm - - - b -\nend 5\n" + MET.replace("5", "6"))


def test_hook_that_ends_beside_the_next_is_found() -> None:
    assert wrongs(LIFE + "begin 5 config-changed - - - a -\nbegin 6 config-changed - - - a -\nend 5\nend 6\n")


def test_unit_that_is_told_of_another_before_they_have_met_is_found() -> None:
    saw = "begin 6 in-relation-changed in:2 giver/0 - a -\nend 6\n"
    assert wrongs(LIFE + MET + saw) == []
    assert wrongs(LIFE + saw)


def test_settings_of_half_a_hook_are_found() -> None:
    saw = SAW % '{"first": "4", "last": "3", "edition": "a"}'
    assert wrongs(LIFE + MET + saw, LIFE)
    assert wrongs(LIFE + MET + saw.replace('"3"', '"4"'), LIFE) == []


def test_settings_of_a_hook_that_was_cut_off_are_found() -> None:
    saw = SAW % '{"first": "7", "last": "7", "edition": "a"}'
    cut = "begin 7 config-changed - - - a -\nbegin 8 config-changed - - - a -\nend 8\n"
    assert wrongs(LIFE + MET + saw, LIFE + cut)


def test_storage_that_was_made_anew_is_found() -> None:
    assert wrongs(LIFE + "begin 5 data-storage-attached - - data/0 a -\nborn 5 5\nend 5\n")


def test_action_is_found_that_ran_twice_or_did_not_end_or_was_lost() -> None:
    run = "begin 5 actions/note - - - a 9\n"
    whole = ledger.parse("taker/0", f"{run}end 5\n")
    done = {"id": "9", "unit": "taker/0", "status": "completed", "results": {"first": "5", "last": "5"}}
    cut = {"id": "9", "unit": "taker/0", "status": "failed", "message": "action terminated"}
    assert not list(ledger.wrong_tasks([done], {"taker/0": whole}))
    assert not list(ledger.wrong_tasks([cut], {"taker/0": ledger.parse("taker/0", run)}))
    assert list(ledger.wrong_tasks([done], {"taker/0": ledger.parse("taker/0", run)}))
    assert list(ledger.wrong_tasks([cut], {"taker/0": ledger.parse("taker/0", run * 2)}))
    assert list(ledger.wrong_tasks([{**done, "status": "pending"}], {"taker/0": ledger.parse("taker/0", "")}))


def test_unit_that_goes_without_its_last_hooks_is_found() -> None:
    assert list(ledger.left_undone({"taker/0": ledger.parse("taker/0", LIFE)}))
