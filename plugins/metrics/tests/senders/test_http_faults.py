"""Whatever a receiver does, it is told what it means, in time."""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from plugins.metrics.tests.senders import receivers
from plugins.metrics.tests.senders.receivers import endpoint, misbehaving, status
from plugins.metrics.tests.sending.fakes import batch

from undercroft.testing.agent import FakeAgent
from undercroft_hookspecs import BatchesRefusedError, MetricDelivery, RetryLaterError, SendReport, TooMuchError
from undercroft_metrics.plugin import Config
from undercroft_metrics.senders import configured
from undercroft_metrics.senders.config import HttpConfig, OtlpConfig, RemoteWriteConfig, SenderConfig
from undercroft_metrics.senders.transport import retry_after

KINDS: dict[str, type[HttpConfig | OtlpConfig | RemoteWriteConfig]] = {
    "http": HttpConfig,
    "otlp": OtlpConfig,
    "remote-write": RemoteWriteConfig,
}


async def sent(config: SenderConfig, *numbers: int) -> SendReport:
    """Open a sender, send batches by it, and close it."""
    (sender,) = configured(FakeAgent(), {"it": config}).values()
    async with sender.open("m", "mysql/0") as delivery:
        opened: MetricDelivery = delivery
        return await opened.send([batch(number) for number in numbers or (1,)])


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize(
    ("code", "error", "says"),
    [
        (301, RetryLaterError, "redirects are not followed"),
        (307, RetryLaterError, "redirects are not followed"),
        (400, BatchesRefusedError, "400: because"),
        (401, RetryLaterError, "token"),
        (404, RetryLaterError, "URL"),
        (408, RetryLaterError, "408"),
        (413, TooMuchError, "413"),
        (422, BatchesRefusedError, "422"),
        (429, RetryLaterError, "429"),
        (502, RetryLaterError, "502"),
        (503, RetryLaterError, "503"),
    ],
)
async def test_every_status_has_its_meaning(
    kind: type[HttpConfig], code: int, error: type[Exception], says: str
) -> None:
    async with endpoint(status(code, "because", Location="http://127.0.0.1:9/")) as receiver:
        with pytest.raises(error, match=says):
            await sent(kind(url=receiver.url))

    assert len(receiver.requests) == 1


async def test_a_500_is_retried_but_not_by_otlp_which_forbids_it() -> None:
    async with endpoint(status(500)) as receiver:
        for kind in (HttpConfig, RemoteWriteConfig):
            with pytest.raises(RetryLaterError):
                await sent(kind(url=receiver.url))
        with pytest.raises(BatchesRefusedError):
            await sent(OtlpConfig(url=receiver.url))


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("code", [429, 503])
async def test_retry_after_is_passed_on(kind: type[HttpConfig], code: int) -> None:
    async with endpoint(status(code, Retry_After="17")) as receiver:
        with pytest.raises(RetryLaterError) as raised:
            await sent(kind(url=receiver.url))

    assert raised.value.after == 17.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        (" 120 ", 120.0),
        ("Thu, 01 Jan 2026 00:01:00 GMT", 60.0),
        ("Thu, 01 Jan 2026 00:01:00 -0000", 60.0),
        ("Wed, 31 Dec 2025 00:00:00 GMT", 0.0),
        ("", None),
        ("-5", None),
        ("soon", None),
        ("\u0661", None),
        ("9" * 400, 999999999999.0),
    ],
)
def test_retry_after_is_a_number_or_a_date(text: str, seconds: float | None) -> None:
    assert retry_after(text, datetime(2026, 1, 1, tzinfo=UTC)) == seconds


@pytest.mark.parametrize(
    "how",
    [
        receivers.hangs_after_headers,
        receivers.says_nothing,
        receivers.closes_half_way,
        receivers.closes_at_once,
        receivers.resets,
        receivers.is_slow,
        receivers.floods,
        receivers.speaks_no_http,
    ],
    ids=lambda how: how.__name__,
)
async def test_a_receiver_that_misbehaves_is_an_error_of_the_network_in_time(how: receivers.Misbehaviour) -> None:
    async with misbehaving(how) as url:
        with pytest.raises(OSError):
            await sent(HttpConfig(url=url, total_seconds=0.3))


async def test_a_port_that_nobody_listens_on_and_a_name_that_nobody_has_are_errors_of_the_network() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(OSError):
            await sent(HttpConfig(url=f"http://127.0.0.1:{taken.getsockname()[1]}/"))
    with pytest.raises(OSError):
        await sent(HttpConfig(url="http://nobody.invalid/"))
    with pytest.raises(OSError, match="url"):
        await sent(HttpConfig(url="no url at all"))


async def test_a_receiver_that_is_not_trusted_is_an_error_of_the_network() -> None:
    async with endpoint() as receiver:
        with pytest.raises(OSError):
            await sent(HttpConfig(url=receiver.url.replace("http:", "https:")))


async def test_a_token_comes_from_its_file_and_is_read_anew_each_time(tmp_path: Path) -> None:
    token = tmp_path / "token"
    async with endpoint() as receiver:
        for word in ("first", "second"):
            token.write_text(f"{word}\n")
            await sent(HttpConfig(url=receiver.url, token_file=str(token), headers={"X-Scope": "a"}))

    assert [request.headers["Authorization"] for request in receiver.requests] == ["Bearer first", "Bearer second"]
    assert receiver.requests[0].headers["X-Scope"] == "a"


@pytest.mark.parametrize("content", [b"", b"two words", b"a\r\nEvil: header", b"\xff\xfe", None])
async def test_a_token_file_that_holds_no_token_is_an_error_that_does_not_show_it(
    tmp_path: Path, content: bytes | None
) -> None:
    token = tmp_path / "token"
    if content is not None:
        token.write_bytes(content)
    async with endpoint() as receiver:
        with pytest.raises(OSError, match="token") as raised:
            await sent(HttpConfig(url=receiver.url, token_file=str(token)))

    assert "Evil" not in str(raised.value)
    assert receiver.requests == []


@pytest.mark.parametrize(
    "body", ["[]", "{", '{"accepted": 3}', '{"statuses": {"a/0": {"code": "PURPLE"}}}', '{"retry": {"x": 1}}', "OK"]
)
async def test_an_answer_that_cannot_be_read_means_later(body: str) -> None:
    async with endpoint(status(200, body)) as receiver:
        with pytest.raises(RetryLaterError, match="cannot be read"):
            await sent(HttpConfig(url=receiver.url))


def test_every_field_of_a_sender_is_checked() -> None:
    for bad in ({"kind": "http"}, {"kind": "http", "url": "x", "max_batches": 0}, {"kind": "pigeon"}):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(bad, SenderConfig)


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".", "A", "a b", "x" * 64, "\u00e4"])
def test_the_name_of_a_sender_is_a_plain_word(name: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"senders": {name: {"kind": "store"}}}, Config)


def test_all_kinds_of_sender_can_be_configured_at_once() -> None:
    url = {"url": "http://x/"}
    senders = {
        **{kind: {"kind": kind, **url} for kind in ("http", "otlp", "remote-write")},
        **{kind: {"kind": kind, "folder": "/x"} for kind in ("textfile", "file")},
        **{kind: {"kind": kind} for kind in ("store", "meter")},
    }
    config = msgspec.convert({"senders": senders}, Config)

    assert configured(FakeAgent(), config.senders).keys() == senders.keys()
