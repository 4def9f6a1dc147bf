"""open-port, close-port and opened-ports."""

from __future__ import annotations

import pytest
from plugins.uniter.tests.jujuc.tools.fakes import Bench, FakeHook, done, failure, misused

from undercroft_hookspecs.errors import NotValidError
from undercroft_hookspecs.state import PortRange
from undercroft_uniter.jujuc.command import Answer

ICMP = PortRange(protocol="icmp", first=-1, last=-1)


def tcp(first: int, last: int = 0, endpoint: str = "") -> PortRange:
    return PortRange(protocol="tcp", first=first, last=last or first, endpoint=endpoint)


@pytest.mark.parametrize("tool", ["open-port", "close-port"])
@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("80", "80/tcp"),
        ("80/tcp", "80/tcp"),
        ("5666/TCP", "5666/tcp"),
        ("53/UDP", "53/udp"),
        ("1", "1/tcp"),
        ("65535", "65535/tcp"),
        ("8000-8999", "8000-8999/tcp"),
        ("8000-8999/udp", "8000-8999/udp"),
        ("80-80/tcp", "80/tcp"),
        ("icmp", "icmp"),
        ("ICMP", "icmp"),
    ],
)
async def test_ports_are_asked_for(bench: Bench, hook: FakeHook, tool: str, given: str, meant: str) -> None:
    assert await bench(tool, given) == done()
    assert hook.ports.asked == [(tool.partition("-")[0], [meant])]


@pytest.mark.parametrize("tool", ["open-port", "close-port"])
@pytest.mark.parametrize(
    "given",
    [
        *(
            "",
            "two",
            "80/",
            "/tcp",
            "-80/tcp",
            "80-",
            "80-/tcp",
            "0",
            "0/tcp",
            "65536",
            "0-10",
            "10-65536/tcp",
            "90-80",
        ),
        *("80/http", "80/tcp/udp", "80/icmp", "icmp/tcp", "8 0", "80.5", "+80", "٨٠", "1" * 5000, "-1", "80,81"),
    ],
)
async def test_what_is_no_range_is_refused(bench: Bench, hook: FakeHook, tool: str, given: str) -> None:
    answer = await bench(tool, "--", given)

    assert answer.code == 2
    assert answer.stderr.startswith("ERROR invalid p")
    assert not hook.ports.asked


@pytest.mark.parametrize("tool", ["open-port", "close-port"])
async def test_one_range_is_given(bench: Bench, tool: str) -> None:
    assert (await bench(tool)).code == 2
    assert await bench(tool, "80", "81") == misused('unrecognized args: ["81"]')


@pytest.mark.parametrize("tool", ["open-port", "close-port"])
async def test_ports_are_asked_for_by_endpoint(bench: Bench, hook: FakeHook, tool: str) -> None:
    assert await bench(tool, "80/tcp", "--endpoints", " web, db ,web,") == done()
    assert await bench(tool, "--endpoints=", "81") == done()
    what = tool.partition("-")[0]
    assert hook.ports.asked == [(what, ["80/tcp@db", "80/tcp@web"]), (what, ["81/tcp"])]


async def test_to_close_a_range_closes_it_for_every_endpoint(bench: Bench, hook: FakeHook) -> None:
    hook.ports.opened = [tcp(80, endpoint="web"), tcp(80, endpoint="db"), tcp(81, endpoint="db"), tcp(80, 90)]

    assert await bench("close-port", "80") == done()
    assert hook.ports.asked == [("close", ["80/tcp", "80/tcp@web", "80/tcp@db"])]


async def test_a_conflict_fails_the_tool(bench: Bench, hook: FakeHook) -> None:
    message = 'cannot open 80/tcp (unit "shop/0"): conflicts with 80/tcp (unit "mysql/0")'
    hook.ports.failure = NotValidError(message, field="ports")

    assert await bench("open-port", "80") == failure(message)


@pytest.mark.parametrize("tool", ["open-port", "close-port"])
async def test_a_format_is_taken_from_scripts_of_old(bench: Bench, hook: FakeHook, tool: str) -> None:
    answer = await bench(tool, "--format", "foo", "80/tcp")

    assert answer == Answer(stderr=f'--format flag deprecated for command "{tool}"\n')
    assert len(hook.ports.asked) == 1


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        ([], "icmp\n80/tcp\n100-200/tcp\n53/udp\n"),
        (["--format=smart"], "icmp\n80/tcp\n100-200/tcp\n53/udp\n"),
        (["--format=json"], '["icmp","80/tcp","100-200/tcp","53/udp"]\n'),
        (["--format=yaml"], "- icmp\n- 80/tcp\n- 100-200/tcp\n- 53/udp\n"),
        (["--endpoints"], "icmp (*)\n80/tcp (db, web)\n100-200/tcp (*)\n53/udp (db)\n"),
        (["--endpoints", "--format=json"], '["icmp (*)","80/tcp (db, web)","100-200/tcp (*)","53/udp (db)"]\n'),
    ],
)
async def test_opened_ports_are_listed(bench: Bench, hook: FakeHook, flags: list[str], text: str) -> None:
    hook.ports.opened = [
        PortRange(protocol="udp", first=53, last=53, endpoint="db"),
        tcp(100, 200),
        tcp(100, 200, endpoint="web"),
        tcp(80, endpoint="web"),
        tcp(80, endpoint="db"),
        ICMP,
    ]

    assert await bench("opened-ports", *flags) == done(text)


@pytest.mark.parametrize(("form", "text"), [("smart", ""), ("json", "[]\n"), ("yaml", "[]\n")])
async def test_no_ports_are_an_empty_list(bench: Bench, hook: FakeHook, form: str, text: str) -> None:
    assert await bench("opened-ports", "--format", form) == done(text)
    hook.restrict()
    assert await bench("opened-ports", "--format", form) == done(text)


async def test_the_list_takes_no_arguments(bench: Bench) -> None:
    assert await bench("opened-ports", "80") == misused('unrecognized args: ["80"]')
