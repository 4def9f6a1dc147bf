"""`add-metric`: what it takes, what it refuses, and how."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import pytest

from undercroft.testing import FakeClock
from undercroft.testing.agent import FakeUnitAgent
from undercroft_hookspecs import UndercroftError
from undercroft_hookspecs.hook_tools import ActionContext, NotInContextError, ToolCall, ToolUsageError
from undercroft_metrics.collect import recording
from undercroft_metrics.plugin import undercroft_hook_tools
from undercroft_metrics.tool import AddMetric

T = TypeVar("T")

ID = "018f0000-0000-7000-8000-000000000000"


class Hook:
    """The hook that the tool is called in; with an action, no hook at all."""

    id, unit = "specimen/0-1", "specimen/0"

    def __init__(self, hook: str = "collect-metrics", *, is_action: bool = False) -> None:
        self.hook, self._is_action = hook, is_action

    def get(self, kind: type[T]) -> T:
        if kind is ActionContext and self._is_action:
            return object()  # type: ignore[return-value]
        raise NotInContextError("no")


@pytest.fixture
def tool(tmp_path: Path) -> AddMetric:
    """The tool, while `pings` and `pongs` are being collected."""
    unit = FakeUnitAgent(data_dir=tmp_path, clock=FakeClock())
    made = undercroft_hook_tools(unit)["add-metric"]
    assert isinstance(made, AddMetric)
    metrics = {"pings": "gauge", "pongs": "absolute", "juju-units": "gauge"}
    header = recording.Header(id=ID, charm="mysql-3", created=unit.clock.now(), metrics=metrics)  # type: ignore[arg-type]
    recording.begin(made.file, header, [])
    return made


async def call(tool: AddMetric, *arguments: str, labels: str = "", hook: Hook | None = None) -> None:
    async def read(_: str) -> bytes:
        raise AssertionError

    values = {"labels": labels} if labels else {}
    given = ToolCall(arguments=arguments, values=values, folder=Path("/"), read=read, warn=print)
    await tool.run(hook or Hook(), given)


def recorded(tool: AddMetric) -> list[tuple[str, str, dict[str, str]]]:
    found = recording.read(tool.file)
    assert found is not None
    return [(each.key, each.value, dict(each.labels)) for each in found.samples]


async def test_pairs_are_recorded_in_their_order_trimmed(tool: AddMetric) -> None:
    await call(tool, "pongs = 2\n", "\tpings=1.5e3 ")
    assert recorded(tool) == [("pongs", "2", {}), ("pings", "1.5e3", {})]


async def test_kind_is_that_of_the_declaration(tool: AddMetric) -> None:
    await call(tool, "pongs=2")
    found = recording.read(tool.file)
    assert found is not None
    assert [each.kind for each in found.samples] == ["absolute"]


async def test_labels_are_those_of_all_metrics_of_the_call(tool: AddMetric) -> None:
    await call(tool, "pings=1", "pongs=2", labels=" a = b ,,c-d=e")
    assert recorded(tool) == [("pings", "1", {"a": "b", "c-d": "e"}), ("pongs", "2", {"a": "b", "c-d": "e"})]


async def test_key_may_come_again_in_another_call(tool: AddMetric) -> None:
    await call(tool, "pings=1")
    await call(tool, "pings=2")
    assert [value for _, value, _ in recorded(tool)] == ["1", "2"]


async def test_empty_argument_is_passed_over(tool: AddMetric) -> None:
    await call(tool, "")
    assert recorded(tool) == []


USAGE = [(), ("pings",), ("=1",), (" =1",), (" = ",), ("pings= ",), ("pings=1", "pings=2"), ("pings=1", " pings =2")]


@pytest.mark.parametrize("arguments", USAGE)
async def test_call_that_is_no_pairs_is_a_usage_error(tool: AddMetric, arguments: tuple[str, ...]) -> None:
    with pytest.raises(ToolUsageError):
        await call(tool, *arguments)
    assert recorded(tool) == []


@pytest.mark.parametrize("labels", ["a", "=b", " =b", " = ", "a= ", "a=b,a=c"])
async def test_labels_that_are_no_pairs_are_a_usage_error(tool: AddMetric, labels: str) -> None:
    with pytest.raises(ToolUsageError, match="invalid labels"):
        await call(tool, "pings=1", labels=labels)


REFUSED = {
    "undeclared=1": "not defined",
    "juju-units=1": "reserved prefix",
    "jujuthing=1": "reserved prefix",
    "pings=nan": "expected float",
    "pings=inf": "expected float",
    "pings=1e400": "expected float",
    "pings=1_0": "expected float",
    "pings=\u0661\u0662": "expected float",
    "pings=true": "expected float",
    "pings=0x10": "expected float",
    "pings=1=2": "expected float",
    "pings=1\x00": "expected float",
    "pings=" + "1" * 31: "too large",
    "pings=-42": "greater or equal to zero",
    "pi\u202engs=1": "not defined",
}


@pytest.mark.parametrize("argument", REFUSED)
async def test_metric_that_may_not_be_is_refused_and_the_rest_of_the_call_with_it(
    tool: AddMetric, argument: str
) -> None:
    with pytest.raises(UndercroftError, match=REFUSED[argument]) as refusal:
        await call(tool, "pongs=1", argument)
    assert not isinstance(refusal.value, ToolUsageError)
    assert str(refusal.value).isprintable()
    assert recorded(tool) == []


@pytest.mark.parametrize("value", ["1", "0", "0.15", "6.015e15", "-0", "+.5", "1e-400", "1" * 30])
async def test_value_that_is_a_number_is_taken_as_it_is_written(tool: AddMetric, value: str) -> None:
    await call(tool, f"pings={value}")
    assert recorded(tool) == [("pings", value, {})]


HOSTILE = ["__name__=x", "juju_unit=x", "a b=x", "1a=x", "a=x\x00", "a=\u202ex", "a=" + "x" * 257, "a" * 65 + "=x"]


@pytest.mark.parametrize("labels", [*HOSTILE, ",".join(f"l{number}=x" for number in range(17))])
async def test_hostile_labels_are_refused(tool: AddMetric, labels: str) -> None:
    with pytest.raises(UndercroftError):
        await call(tool, "pings=1", labels=labels)
    assert recorded(tool) == []


@pytest.mark.parametrize("hook", [Hook("update-status"), Hook("juju-exec"), Hook(is_action=True)])
async def test_only_the_hook_collect_metrics_may(tool: AddMetric, hook: Hook) -> None:
    with pytest.raises(UndercroftError, match="cannot record metric: metrics are allowed in the hook collect-metrics"):
        await call(tool, "pings=1", hook=hook)


async def test_hook_that_nobody_collects_for_may_not(tool: AddMetric) -> None:
    tool.file.unlink()
    with pytest.raises(UndercroftError, match="no metrics are being collected"):
        await call(tool, "pings=1")


async def test_charm_that_adds_without_end_is_stopped(tool: AddMetric, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "MOST_BYTES", 1000)
    with pytest.raises(UndercroftError, match="too many metrics"):
        for _ in range(100):
            await call(tool, "pings=1")
