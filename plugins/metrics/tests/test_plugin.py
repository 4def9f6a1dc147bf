"""The plugin's config, and what it says of a host that lacks something."""

from __future__ import annotations

import sys

import msgspec
import pytest

from undercroft.testing import FakeAgent
from undercroft_metrics.plugin import Config, undercroft_check
from undercroft_metrics.senders.config import StoreConfig


def test_embedded_store_is_the_sender_where_none_is_configured() -> None:
    assert Config().senders == {"store": StoreConfig()}


def test_host_lacks_nothing_for_the_embedded_store() -> None:
    assert undercroft_check(FakeAgent(config=Config())) == []


def test_library_that_a_sender_needs_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cramjam", None)
    monkeypatch.delitem(sys.modules, "undercroft_metrics.senders.remote_write", raising=False)
    section = {"senders": {"far": {"kind": "remote-write", "url": "http://localhost/write"}}}
    (said,) = undercroft_check(FakeAgent(config=msgspec.convert(section, Config)))
    assert "'far'" in said
    assert "pip install 'undercroft-metrics[remote-write]'" in said


@pytest.mark.parametrize(
    "section",
    [
        {"period_seconds": 0},
        {"jitter": 1},
        {"on_failure": "perhaps"},
        {"spool": {"when_full": "panic"}},
        {"spool": {"days": -1}},
        {"senders": {"far": {"kind": "pigeon"}}},
        {"perio_seconds": 1},
    ],
)
def test_section_that_makes_no_sense_is_refused(section: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(section, Config)
