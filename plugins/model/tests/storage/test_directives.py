from __future__ import annotations

import pytest

from undercroft_hookspecs import NotValidError
from undercroft_hookspecs.charm import StorageSpec
from undercroft_model.storage.directives import Directive, check_directive, parse_directive, parse_size, settled


@pytest.mark.parametrize(
    ("text", "directive"),
    [
        ("", Directive()),
        ("loop", Directive(pool="loop")),
        ("loop,256M", Directive(pool="loop", size_mib=256)),
        ("2G,loop,3", Directive(pool="loop", count=3, size_mib=2048)),
        ("3, 1.5G", Directive(count=3, size_mib=1536)),
        ("1T", Directive(size_mib=1024 * 1024)),
        ("1GiB", Directive(size_mib=1024)),
        ("0.1M", Directive(size_mib=1)),
    ],
)
def test_directive_is_read_in_any_order(text: str, directive: Directive) -> None:
    assert parse_directive(text, store="data") == directive


@pytest.mark.parametrize("text", ["loop,other", "1G,2G", "../x", "-1", "0", "101", "loop 1G", "9999999999E", "loop;ls"])
def test_directive_that_makes_no_sense_is_refused_and_names_its_store(text: str) -> None:
    with pytest.raises(NotValidError) as caught:
        parse_directive(text, store="data")
    assert caught.value.field == "data"


def test_what_a_directive_leaves_open_is_the_charms() -> None:
    block = StorageSpec(type="block", minimum=2, minimum_size_mib=4096)
    assert settled(Directive(), block) == Directive(pool="loop", count=2, size_mib=4096)
    assert settled(Directive(), StorageSpec()) == Directive(pool="rootfs", count=1, size_mib=1024)


def test_a_store_that_the_charm_can_do_without_is_made_for_who_names_it() -> None:
    optional = StorageSpec(minimum=0, maximum=None)
    assert settled(Directive(), optional).count == 0
    assert settled(Directive(pool="loop", size_mib=100), optional).count == 1
    assert settled(Directive(pool="loop"), StorageSpec(minimum=2)).count == 2


@pytest.mark.parametrize(
    ("directive", "message"),
    [
        (Directive(count=1), "needs at least 2 instances, 1 specified"),
        (Directive(count=4), "takes at most 3 instances, 4 specified"),
        (Directive(size_mib=10), "needs at least 100 MiB"),
    ],
)
def test_charm_is_not_given_less_or_more_than_it_takes(directive: Directive, message: str) -> None:
    spec = StorageSpec(minimum=2, maximum=3, minimum_size_mib=100)
    with pytest.raises(NotValidError, match=message):
        check_directive(directive, spec, store="data")


def test_size_is_kept_in_mib() -> None:
    assert parse_size("2G", field="size") == 2048
    with pytest.raises(NotValidError, match="is no size"):
        parse_size("two", field="size")
