from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from undercroft.testing.agent import Call, FakeAgent, FakeProcess, FakeUnitAgent, RecordingMeter
from undercroft_hookspecs import Agent, CommandFailedError, Completed, NotFoundError, NotValidError, Process, UnitAgent


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    poll_seconds: float = 5.0


def test_the_fakes_are_what_hooks_are_given() -> None:
    assert isinstance(FakeAgent(), Agent)
    assert isinstance(FakeUnitAgent(), UnitAgent)
    assert isinstance(FakeProcess(), Process)


def test_config_is_all_defaults_unless_given() -> None:
    assert FakeAgent().config(Config) == Config()
    assert FakeAgent(config={"poll_seconds": 2}).config(Config) == Config(poll_seconds=2.0)
    assert FakeAgent(config=Config(poll_seconds=3)).config(Config) == Config(poll_seconds=3.0)


def test_a_section_that_the_struct_does_not_have_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown"):
        FakeAgent(config={"unknown": 2}).config(Config)


def test_a_config_of_another_struct_is_refused() -> None:
    class Other(msgspec.Struct):
        pass

    with pytest.raises(TypeError, match="Config"):
        FakeAgent(config=Config()).config(Other)


def test_the_data_folder_is_there_and_goes_with_the_agent() -> None:
    agent = FakeAgent()
    folder = agent.data_dir
    assert folder.is_dir()
    assert agent.data_dir == folder

    del agent

    assert not folder.exists()


def test_folders_that_are_given_are_used(tmp_path: Path) -> None:
    agent = FakeUnitAgent(data_dir=tmp_path / "data", unit_dir=tmp_path / "unit")

    assert (agent.data_dir, agent.unit_dir) == (tmp_path / "data", tmp_path / "unit")


def test_a_unit_agent_is_the_specimen_unless_told_otherwise() -> None:
    agent = FakeUnitAgent()

    assert (str(agent.unit), str(agent.machine)) == ("specimen/0", "0")
    assert agent.unit_dir.is_dir()


def test_collect_gives_the_answers_in_the_order_of_the_plugins() -> None:
    agent = FakeAgent(answers={"undercroft_check": [("b", ["x"]), ("a", [])]})

    assert agent.collect("undercroft_check") == [("a", []), ("b", ["x"])]
    with pytest.raises(NotValidError):
        agent.collect("undercroft_manifolds")


async def test_the_longest_beginning_of_a_command_line_answers() -> None:
    process = FakeProcess({"blkid": Completed((), 0, b"any"), ("blkid", "-p"): Completed((), 0, b"probe")})

    assert (await process.run(["blkid", "/dev/sda"], timeout=1)).stdout == b"any"
    assert await process.run(["blkid", "-p", "x"], timeout=1) == Completed(("blkid", "-p", "x"), 0, b"probe")


async def test_an_answer_may_be_a_function_or_an_error() -> None:
    process = FakeProcess({"echo": lambda argv: Completed((), 0, argv[1].encode()), "slow": TimeoutError()})

    assert (await process.run(["echo", "hi"], timeout=1)).stdout == b"hi"
    with pytest.raises(TimeoutError):
        await process.run(["slow"], timeout=1)


async def test_a_program_without_an_answer_is_missing() -> None:
    with pytest.raises(NotFoundError) as caught:
        await FakeProcess().run(["mkfs"], timeout=1)

    assert caught.value.name == "mkfs"


async def test_a_bad_status_is_raised_where_checked() -> None:
    process = FakeProcess({"false": Completed((), 1)})

    assert (await process.run(["false"], timeout=1, check=False)).returncode == 1
    with pytest.raises(CommandFailedError):
        await process.run(["false"], timeout=1)


async def test_calls_are_noted() -> None:
    process = FakeProcess({"cat": Completed((), 0)})

    await process.run(["cat"], timeout=2, stdin=b"x", env={"A": "1"})

    assert process.calls == [Call(("cat",), 2, b"x", {"A": "1"})]


def test_the_meter_shows_its_values() -> None:
    meter = RecordingMeter()
    gauge = meter.gauge("healthy", "is it", ["device"])

    gauge.set(1, "sda")
    gauge.replace({("sdb",): 0})
    meter.counter("ticks", "how often").add()
    meter.counter("ticks", "how often").add(2)

    assert meter.values("healthy") == {("sdb",): 0.0}
    assert meter.values("ticks") == {(): 3.0}
    assert meter.values("never") == {}


def test_the_meter_refuses_what_the_real_one_refuses() -> None:
    meter = RecordingMeter()
    counter = meter.counter("ticks", "how often", ["device"])

    for bad in (
        lambda: meter.gauge("ticks", "how often", ["device"]),
        lambda: meter.counter("Bad-Name", ""),
        lambda: meter.counter("fine", "", ["Bad-Label"]),
        lambda: counter.add(-1, "sda"),
        lambda: counter.add(1),
    ):
        with pytest.raises(NotValidError):
            bad()
