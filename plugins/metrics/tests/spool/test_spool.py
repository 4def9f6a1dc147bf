"""The spool on the disk: what goes in comes out, once for each sender, whatever happens in between."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plugins.metrics.tests.spool.bench import Bench, batch, missing, numbers, take, take_all

from undercroft_hookspecs import NotValidError
from undercroft_metrics.seams import SpoolFullError
from undercroft_metrics.spool.codec import DamagedError, UnknownVersionError, decode, encode
from undercroft_metrics.spool.folders import SpoolInUseError, kept
from undercroft_metrics.spool.juju import import_pairs
from undercroft_metrics.spool.letters import bury, purge, requeue
from undercroft_metrics.spool.limits import Limits
from undercroft_metrics.spool.names import FileName


def limits(**given: object) -> Limits:
    return msgspec.convert({"free_megabytes": 0, **given}, Limits)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != "ledger")


def test_what_is_published_is_claimed_oldest_first_with_all_that_it_held(bench: Bench) -> None:
    spool = bench.open()
    given = [batch(1, samples=3), batch(2)]
    for each in given:
        spool.publish([each])
    assert spool.queue("store").claim(10, 1 << 20) == [msgspec.convert(msgspec.to_builtins(e), type(e)) for e in given]


def test_batches_of_one_call_are_one_file_and_are_claimed_one_by_one(bench: Bench) -> None:
    spool = bench.open()
    spool.publish([batch(1), batch(2), batch(3)])
    queue = spool.queue("store")
    assert len(files(queue.folder)) == 1
    assert [numbers(take(queue, most=1)) for _ in range(3)] == [[1], [2], [3]]
    assert files(queue.folder) == []


def test_claiming_again_gives_the_same(bench: Bench) -> None:
    spool = bench.open()
    spool.publish([batch(1), batch(2)])
    queue = spool.queue("store")
    assert queue.claim(1, 1 << 20) == queue.claim(1, 1 << 20)


def test_claim_keeps_to_its_bytes_but_gives_one_at_least(bench: Bench) -> None:
    spool = bench.open()
    spool.publish([batch(1), batch(2)])
    assert numbers(spool.queue("store").claim(10, 1)) == [1]


def test_what_comes_next_is_read_while_something_is_being_sent_and_only_if_that_goes_on(bench: Bench) -> None:
    spool = bench.open()
    for number in range(1, 7):
        spool.publish([batch(number)])
    queue = spool.queue("store")
    assert numbers(take(queue, most=2)) == [1, 2]
    assert len(files(queue.folder)) == 6
    assert numbers(list(queue.claim(2, 1 << 20))) == [3, 4]
    queue.tidy(1 << 20)
    assert len(files(queue.folder)) == 4, "what has arrived goes meanwhile"
    for path in queue.folder.glob("*.b"):
        path.write_bytes(b"")
    queue.acknowledge({batch(3).id, batch(4).id})
    assert numbers(take(queue, most=1)) == [5], "it was read ahead"
    assert numbers(list(queue.claim(2, 1 << 20))) == [6]
    assert numbers(list(queue.claim(2, 1 << 20))) == [6]
    queue.acknowledge({batch(6).id})
    assert files(queue.folder) == []


def test_what_has_arrived_is_gone_once_the_spool_is_closed(bench: Bench) -> None:
    spool = bench.open()
    for number in (1, 2):
        spool.publish([batch(number)])
    take(spool.queue("store"), most=1)
    spool.close()
    assert len(files(spool.queue("store").folder)) == 1


def test_every_sender_has_its_own_queue_of_the_same_files(bench: Bench) -> None:
    spool = bench.open("a", "b")
    spool.publish([batch(1)])
    a, b = spool.queue("a"), spool.queue("b")
    (name,) = files(a.folder)
    assert (a.folder / name).samefile(b.folder / name)
    take_all(a)
    assert numbers(take_all(b)) == [1]


def test_filesystem_without_hard_links_is_given_copies(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    spool = bench.open("a", "b")
    spool.publish([batch(1)])
    assert numbers(take_all(spool.queue("a"))) == numbers(take_all(spool.queue("b"))) == [1]


def test_another_process_after_a_crash_finds_what_was_published(bench: Bench) -> None:
    bench.open().publish([batch(1)])
    assert numbers(take_all(bench.open().queue("store"))) == [1]


def test_second_owner_is_refused(bench: Bench) -> None:
    bench.open()
    with pytest.raises(SpoolInUseError):
        Bench(bench.folder).open()


def test_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        Bench(tmp_path / "file" / "spool").open()


@pytest.mark.parametrize("name", ["", "../up", ".hidden", "a b", "x" * 200])
def test_sender_whose_name_is_no_folders_is_refused(bench: Bench, name: str) -> None:
    with pytest.raises(NotValidError):
        bench.open().queue(name)


def test_clock_that_goes_back_does_not_reorder_the_queue(bench: Bench) -> None:
    spool = bench.open()
    spool.publish([batch(1)])
    bench.clock = type(bench.clock)(bench.clock.now() - timedelta(days=1))
    spool = bench.open()
    spool.publish([batch(2)])
    assert numbers(take_all(spool.queue("store"))) == [1, 2]


def test_leap_of_ten_years_expires_nothing_of_a_running_spool(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = bench.open()
    spool.publish([batch(1)])
    later = bench.clock.now() + timedelta(days=3650)
    monkeypatch.setattr(bench.clock, "now", lambda: later)
    spool.publish([batch(2)])
    assert numbers(take_all(spool.queue("store"))) == [1, 2]


@pytest.mark.parametrize("interrupted", ["before any link", "between two links"])
def test_publication_that_a_crash_interrupted_is_finished_for_every_sender(bench: Bench, interrupted: str) -> None:
    spool = bench.open("a", "b")
    name = str(spool.fresh(FileName(0, 0, batch(1).id, 1, 1)))
    temporary = bench.folder / "tmp" / name
    temporary.write_bytes(encode([batch(1)]))
    if interrupted == "between two links":
        os.link(temporary, bench.folder / "queue" / "a" / name)
    spool = bench.open("a", "b")
    assert numbers(take_all(spool.queue("a"))) == numbers(take_all(spool.queue("b"))) == [1]
    assert files(bench.folder / "tmp") == []


def test_file_that_a_crash_left_half_written_is_swept(bench: Bench) -> None:
    spool = bench.open()
    name = str(spool.fresh(FileName(0, 0, batch(1).id, 1, 1)))
    (bench.folder / "tmp" / name).write_bytes(encode([batch(1)])[:-5])
    (bench.folder / "tmp" / "stray").write_bytes(b"x")
    spool = bench.open()
    assert take_all(spool.queue("store")) == []
    assert files(bench.folder / "tmp") == []


def test_file_that_a_power_cut_left_torn_under_all_its_names_was_never_published(bench: Bench) -> None:
    spool = bench.open("a", "b")
    spool.publish([batch(1)])
    name = str(spool.fresh(FileName(0, 0, batch(2).id, 1, 1)))
    (bench.folder / "tmp" / name).write_bytes(b"\0" * 100)
    for sender in ("a", "b"):
        os.link(bench.folder / "tmp" / name, bench.folder / "queue" / sender / name)
    spool = bench.open("a", "b")
    assert [spool.queue(each).stats().batches for each in ("a", "b")] == [1, 1]
    found = take_all(spool.queue("a"))
    assert (numbers(found), missing(found)) == ([1], 0)
    assert files(bench.folder / "tmp") == []
    assert files(spool.queue("b").folder) == [each for each in files(spool.queue("b").folder) if each != name]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "torn": lambda data: data[: len(data) // 2],
    "a bit flipped": lambda data: data[:-10] + bytes([data[-10] ^ 1]) + data[-9:],
    "more behind it": lambda data: data + b"x",
    "nothing but NULs": lambda data: b"\0" * len(data),
    "another's batch": lambda data: encode([batch(99)]),
    "no JSON": lambda data: b"MSPL1 2 00000000 1\n{}",
}


@pytest.mark.parametrize("how", DAMAGE)
def test_damaged_file_goes_to_quarantine_is_counted_and_holds_up_nothing(bench: Bench, how: str) -> None:
    spool = bench.open()
    for number in (1, 2, 3):
        spool.publish([batch(number)])
    queue = spool.queue("store")
    path = queue.folder / files(queue.folder)[1]
    path.write_bytes(DAMAGE[how](path.read_bytes()))
    found = take_all(bench.open().queue("store"))
    assert (numbers(found), missing(found)) == ([1, 3], 1)
    ((put_away, why),) = kept(bench.folder / "quarantine" / "store")
    assert (put_away.name, bool(why and why.reason)) == (path.name, True)


def test_foreign_files_of_all_kinds_are_put_away_and_hold_up_nothing(bench: Bench) -> None:
    folder = bench.open().queue("store").folder
    bench.open().publish([batch(2)])
    good = files(folder)[0]

    def like(number: int) -> Path:
        return folder / str(FileName(number, 1, batch(1).id, 1, 1))

    like(1).mkdir()
    like(2).symlink_to("/etc/passwd")
    os.mkfifo(like(3))
    (folder / "notes.txt").write_text("mine")
    (folder / ("x" * 255)).write_text("")
    (folder / "line\nbreak").write_text("")
    with like(4).open("wb") as file:
        file.truncate(1 << 30)
    queue = bench.open(limits=limits(days=1e5)).queue("store")
    assert numbers(take_all(queue)) == [2]
    assert files(folder) == []
    assert queue.stats().quarantined == 7
    assert good
    assert Path("/etc/passwd").exists()


def test_file_of_a_later_version_is_left_alone(bench: Bench) -> None:
    spool = bench.open()
    spool.publish([batch(1)])
    queue = spool.queue("store")
    path = queue.folder / files(queue.folder)[0]
    path.write_bytes(path.read_bytes().replace(b"MSPL1", b"MSPL2"))
    queue = bench.open().queue("store")
    assert take_all(queue) == []
    assert path.exists()
    assert queue.unknown == 1


def test_quarantine_has_an_end(bench: Bench) -> None:
    folder = bench.open().queue("store").folder
    for number in range(130):
        (folder / f"stray-{number}").write_text("x")
    assert bench.open().queue("store").stats().quarantined == 100


def test_oldest_are_dropped_for_the_newest_and_the_gap_is_told_first(bench: Bench) -> None:
    spool = bench.open(limits=limits(batches=3))
    for number in range(1, 11):
        spool.publish([batch(number)])
    found = take_all(spool.queue("store"))
    assert (found[0].gap is not None, missing(found), numbers(found)) == (True, 7, [8, 9, 10])
    assert sum(count for _, _, count in bench.dropped) == 7


def test_newest_are_dropped_if_that_is_the_policy(bench: Bench) -> None:
    spool = bench.open(limits=limits(batches=3, when_full="drop-newest"))
    for number in range(1, 6):
        spool.publish([batch(number)])
    found = take_all(spool.queue("store"))
    assert (missing(found), numbers(found)) == (2, [1, 2, 3])


def test_full_queue_that_blocks_refuses_and_changes_nothing(bench: Bench) -> None:
    spool = bench.open(limits=limits(batches=1, when_full="block"))
    spool.publish([batch(1)])
    with pytest.raises(SpoolFullError):
        spool.check_room()
    with pytest.raises(SpoolFullError):
        spool.publish([batch(2)])
    assert numbers(take_all(spool.queue("store"))) == [1]
    spool.check_room()


def test_limit_of_disk_counts_whole_blocks(bench: Bench) -> None:
    spool = bench.open(limits=limits(megabytes=3 * 4096 / (1 << 20)))
    for number in range(1, 6):
        spool.publish([batch(number)])
    found = take_all(spool.queue("store"))
    assert (missing(found), numbers(found)) == (2, [3, 4, 5])


async def test_what_has_waited_too_long_is_dropped_with_a_gap(bench: Bench) -> None:
    spool = bench.open(limits=limits(days=1))
    spool.publish([batch(1)])
    await bench.clock.advance(86400 * 0.75)
    spool.publish([batch(2)])
    await bench.clock.advance(86400 * 0.75)
    found = take_all(spool.queue("store"))
    assert (missing(found), numbers(found)) == (1, [2])


def test_what_is_being_sent_is_not_dropped(bench: Bench) -> None:
    spool = bench.open(limits=limits(batches=2))
    spool.publish([batch(1)])
    queue = spool.queue("store")
    sent = queue.claim(1, 1 << 20)
    for number in (2, 3, 4):
        spool.publish([batch(number)])
    queue.acknowledge({each.id for each in sent})
    found = take_all(queue)
    assert (missing(found), numbers(found)) == (2, [4])


def test_what_is_being_sent_is_not_dropped_though_what_came_before_it_could_not_be_read(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = bench.open(limits=limits(batches=3))
    for number in (1, 2, 3):
        spool.publish([batch(number)])
    queue = spool.queue("store")
    first, *_ = files(queue.folder)

    def fail(path: str) -> bytes:
        if path.endswith(first):
            raise OSError(5, "Input/output error")
        return Path(path).read_bytes()

    monkeypatch.setattr("undercroft_metrics.spool.queue.read_bounded", fail)
    assert numbers(queue.claim(1, 1 << 20)) == [2]
    monkeypatch.undo()
    spool.publish([batch(4), batch(5)])
    spool.close()
    queue = bench.open(limits=limits(batches=3)).queue("store")

    assert numbers(take_all(queue))[0] == 2


def test_gap_that_is_being_sent_does_not_change_and_the_next_begins_at_none(bench: Bench) -> None:
    spool = bench.open(limits=limits(batches=1))
    for number in (1, 2, 3):
        spool.publish([batch(number)])
    queue = spool.queue("store")
    first = queue.claim(1, 1 << 20)
    spool.publish([batch(4)])
    queue = bench.open(limits=limits(batches=1)).queue("store")
    assert queue.claim(1, 1 << 20) == first
    queue.acknowledge({first[0].id})
    found = take_all(queue)
    assert (missing(first), missing(found), numbers(found)) == (2, 1, [4])


def test_crash_between_counting_and_removing_counts_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = bench.open(limits=limits(batches=2))
    for number in (1, 2):
        spool.publish([batch(number)])
    queue = spool.queue("store")
    monkeypatch.setattr(queue, "_remove_rest", lambda: None)
    spool.publish([batch(3)])
    assert len(files(queue.folder)) == 3
    found = take_all(bench.open(limits=limits(batches=2)).queue("store"))
    assert (missing(found), numbers(found)) == (1, [2, 3])


def test_ledger_survives_a_half_that_is_torn(bench: Bench) -> None:
    spool = bench.open(limits=limits(batches=1))
    for number in (1, 2, 3):
        spool.publish([batch(number)])
    ledger = spool.queue("store").folder / "ledger"
    data = bytearray(ledger.read_bytes())
    newest = spool.queue("store").ledger.books.number % 2
    data[newest * 8192 : newest * 8192 + 100] = b"\0" * 100
    ledger.write_bytes(data)
    books = bench.open(limits=limits(batches=1)).queue("store").ledger.books
    assert sum(gap.batches for gap in books.open) == 1


def test_dead_letter_keeps_its_reason_and_comes_back_at_the_end(bench: Bench) -> None:
    spool = bench.open()
    spool.publish([batch(1), batch(2)])
    spool.publish([batch(3)])
    queue = spool.queue("store")
    queue.claim(10, 1 << 20)
    bury(queue, spool.owner, batch(2).id, "too old sample")
    bury(queue, spool.owner, batch(3).id, "no such label")
    assert queue.stats().dead == 2
    spool = bench.open()
    queue = spool.queue("store")
    ((_, why), _) = kept(spool.owner.folders.dead("store"))
    assert why is not None
    assert (why.reason, why.ids) == ("too old sample", (batch(2).id,))
    assert requeue(queue, spool.owner, {batch(3).id}, spool.fresh) == 1
    assert purge(queue, spool.owner, None, quarantine=False) == 1
    # The file that 1 and 2 came in was not done with when the first process ended: 2 comes once more, as it may.
    assert numbers(take_all(queue))[-1] == 3
    assert queue.stats().dead == 0


def test_burying_what_was_not_claimed_does_nothing(bench: Bench) -> None:
    spool = bench.open()
    spool.publish([batch(1)])
    bury(spool.queue("store"), spool.owner, batch(7).id, "who knows")
    assert numbers(take_all(spool.queue("store"))) == [1]


def test_disk_that_is_read_only_lets_the_queue_drain(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = bench.open()
    for number in (1, 2):
        spool.publish([batch(number)])
    queue = spool.queue("store")

    def read_only(path: str) -> None:
        raise OSError(30, "Read-only file system", path)

    monkeypatch.setattr(os, "unlink", read_only)
    assert numbers(take_all(queue)) == [1, 2]
    monkeypatch.undo()
    queue.acknowledge(set())
    assert files(queue.folder) == []


def test_fsync_that_fails_publishes_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = bench.open("a", "b")

    def fail(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Input"):
        spool.publish([batch(1)])
    monkeypatch.undo()
    assert [files(spool.queue(each).folder) for each in ("a", "b")] == [[], []]
    assert files(bench.folder / "tmp") == []
    spool.publish([batch(2)])
    assert numbers(take_all(spool.queue("a"))) == [2]


def test_low_disk_applies_its_policy(bench: Bench) -> None:
    everything = 1e12
    spool = bench.open(limits=limits(free_megabytes=everything))
    spool.publish([batch(1)])
    found = take_all(spool.queue("store"))
    assert (missing(found), numbers(found)) == (1, [])
    with pytest.raises(SpoolFullError):
        bench.open(limits=limits(free_megabytes=everything, when_disk_full="block")).publish([batch(2)])


def juju_pair(folder: Path, number: int, *, unit: str = "unit-specimen-0", value: str = "5") -> None:
    folder.mkdir(exist_ok=True)
    name = batch(number).id
    line = {"Key": "pings", "Value": value, "Time": "2016-10-01T10:00:00.123456789Z", "Labels": {"a": "b"}}
    (folder / name).write_bytes(msgspec.json.encode(line) + b"\n")
    meta = {"charmurl": "local:xenial/mysql-3", "uuid": name, "created": "2016-10-01T10:00:00Z", "unit-tag": unit}
    (folder / f"{name}.meta").write_bytes(msgspec.json.encode(meta) + b"\n")


def test_jujus_own_spool_is_taken_over_without_what_is_damaged_or_anothers(bench: Bench, tmp_path: Path) -> None:
    folder = tmp_path / "metricspool"
    juju_pair(folder, 1)
    juju_pair(folder, 2, unit="unit-other-0")
    juju_pair(folder, 3, value="nan")
    (folder / f"{batch(4).id}.meta").write_bytes(b"")
    juju_pair(folder, 5)
    meta = folder / f"{batch(5).id}.meta"
    meta.write_bytes(meta.read_bytes().replace(batch(5).id.encode(), b"../../etc/passwd"))
    spool = bench.open()
    done = import_pairs(spool, folder)
    assert done["imported"] == 1
    (found,) = take_all(spool.queue("store"))
    assert (found.id, found.charm, found.samples[0].value, found.samples[0].labels) == (
        batch(1).id, "mysql-3", "5", {"a": "b"},
    )  # fmt: skip
    assert len(done["refused"]) == 3  # type: ignore[arg-type]
    assert len(files(folder)) == 7


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_at_all_make_the_codec_raise_anything_else(data: bytes) -> None:
    for given_data in (data, b"MSPL1 " + data, encode([batch(1)]) + data, encode([batch(1)])[: len(data)]):
        try:
            decode(given_data)
        except (DamagedError, UnknownVersionError):
            continue


@given(st.text(max_size=120))
def test_no_text_at_all_makes_a_name_that_leads_elsewhere(text: str) -> None:
    name = FileName.parse(text)
    assert name is None or (str(name) == text and "/" not in text)


async def test_three_days_without_a_receiver_lose_only_what_the_limit_says_and_it_is_told(bench: Bench) -> None:
    def collect(first: int) -> None:
        spool = bench.open("up", "down", limits=limits(batches=50, durability="none"))
        for number in range(first, first + 48):
            spool.publish([batch(number)])
            take_all(spool.queue("up"))
            spool.queue("down").claim(1, 1 << 20)  # As a pump that tries, and fails.

    for day in range(3):
        await asyncio.to_thread(collect, 1 + day * 48)
        await bench.clock.advance(86400)
    found = await asyncio.to_thread(lambda: take_all(bench.open("up", "down", limits=limits(batches=50)).queue("down")))
    assert len(numbers(found)) + missing(found) == 144
    assert len(numbers(found)) == 50
    assert sorted(numbers(found))[-49:] == list(range(96, 145))
