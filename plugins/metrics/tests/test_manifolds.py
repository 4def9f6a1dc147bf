"""The manifolds of a unit."""

from __future__ import annotations

from pathlib import Path

import pytest
from plugins.metrics.tests.sending.fakes import Receiver

from undercroft.testing.agent import FakeUnitAgent
from undercroft_metrics.manifolds import _senders, unit_manifolds
from undercroft_metrics.plugin import Config, undercroft_metric_senders


def test_the_sender_needs_the_spool_and_the_model_alone() -> None:
    found = unit_manifolds(FakeUnitAgent(), Config())

    assert found["metric-sender"].inputs == ("metric-spool", "model")


def test_senders_of_all_plugins_are_used_but_none_with_a_name_that_leads_elsewhere(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    odd = {"../../etc": Receiver().sender(), "theirs": Receiver().sender()}
    own = undercroft_metric_senders(FakeUnitAgent(data_dir=tmp_path, config=Config()))
    answers = {"undercroft_metric_senders": [("other", odd), ("metrics", own), ("broken", None)]}

    assert sorted(_senders(FakeUnitAgent(answers=answers))) == ["store", "theirs"]
    assert "'../../etc'" in caplog.text
