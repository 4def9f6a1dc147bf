"""config-get, goal-state, credential-get and resource-get."""

from __future__ import annotations

from pathlib import Path

import pytest
from plugins.uniter.tests.jujuc.tools.fakes import Bench, FakeHook, done, failure, misused

GOALS = {
    "units": {"shop/0": {"status": "active", "since": "2026-01-02 03:04:05Z"}},
    "relations": {"db": {"mysql": {"status": "joined", "since": "2026-01-02 03:04:05Z"}}},
}
GOALS_YAML = """\
units:
  shop/0:
    status: active
    since: 2026-01-02 03:04:05Z
relations:
  db:
    mysql:
      status: joined
      since: 2026-01-02 03:04:05Z
"""
CLOUD = {"type": "lxd", "name": "here", "credential": {"auth-type": "none", "attrs": {}, "redacted": []}}


@pytest.fixture(autouse=True)
def _config(hook: FakeHook) -> None:
    hook.config.values = {
        "monsters": False,
        "spline-reticulation": 45.0,
        "title": "My Title",
        "username": "admin001",
        "count": 7,
        "empty": "",
        "unset": None,
    }


@pytest.mark.parametrize(
    ("key", "smart", "yaml", "json"),
    [
        ("monsters", "False\n", "false\n", "false\n"),
        ("count", "7\n", "7\n", "7\n"),
        ("spline-reticulation", "45\n", "45\n", "45\n"),
        ("title", "My Title\n", "My Title\n", '"My Title"\n'),
        ("empty", "", '""\n', '""\n'),
        ("unset", "", "", "null\n"),
        ("missing", "", "", "null\n"),
    ],
)
async def test_an_option_is_printed(bench: Bench, key: str, smart: str, yaml: str, json: str) -> None:
    assert await bench("config-get", key) == done(smart)
    assert await bench("config-get", key, "--format", "yaml") == done(yaml)
    assert await bench("config-get", "--format=json", key) == done(json)


@pytest.mark.parametrize("arguments", [[], [""]])
async def test_all_options_are_those_with_a_value(bench: Bench, arguments: list[str]) -> None:
    assert await bench("config-get", "--format=json", *arguments) == done(
        '{"count":7,"empty":"","monsters":false,"spline-reticulation":45,"title":"My Title","username":"admin001"}\n'
    )


@pytest.mark.parametrize("flag", ["--all", "-a"])
async def test_all_means_those_without_one_too(bench: Bench, flag: str) -> None:
    answer = await bench("config-get", flag, "--format=json")

    assert answer.stdout.endswith('"unset":null,"username":"admin001"}\n')
    assert "unset: null\n" in (await bench("config-get", flag)).stdout


async def test_one_option_or_all_of_them(bench: Bench) -> None:
    assert (await bench("config-get", "--all", "title")).code == 2
    assert await bench("config-get", "title", "count") == misused('unrecognized args: ["count"]')


async def test_goals_are_yaml_or_json(bench: Bench, hook: FakeHook) -> None:
    hook.goals.document = GOALS

    json = (
        '{"units":{"shop/0":{"status":"active","since":"2026-01-02 03:04:05Z"}},'
        '"relations":{"db":{"mysql":{"status":"joined","since":"2026-01-02 03:04:05Z"}}}}\n'
    )
    assert (await bench("goal-state")).stdout.replace('"', "") == GOALS_YAML
    assert (await bench("goal-state", "--format=yaml")).stdout.replace('"', "") == GOALS_YAML
    assert await bench("goal-state", "--format=json") == done(json)


async def test_goals_have_no_arguments(bench: Bench) -> None:
    assert await bench("goal-state", "please") == misused('unrecognized args: ["please"]')
    assert (await bench("goal-state", "--format=smart")).code == 2


async def test_answers_go_to_a_file_if_so_wished(bench: Bench, hook: FakeHook) -> None:
    hook.goals.document = GOALS

    assert (await bench("goal-state", "-o", "goals")).output == "goals"


async def test_a_trusted_application_sees_the_credential(bench: Bench, hook: FakeHook) -> None:
    hook.credential.document = CLOUD

    assert await bench("credential-get", "--format=json") == done(
        '{"credential":{"attrs":{},"auth-type":"none","redacted":[]},"name":"here","type":"lxd"}\n'
    )


async def test_others_do_not(bench: Bench) -> None:
    assert await bench("credential-get") == failure("cannot access cloud credentials: permission denied")
    assert await bench("credential-get", "x") == misused('unrecognized args: ["x"]')


async def test_a_resource_is_a_path_without_a_newline(bench: Bench, hook: FakeHook) -> None:
    hook.resources.files = {"blob": Path("/var/lib/resources/blob/file.tgz")}

    assert await bench("resource-get", "blob") == done("/var/lib/resources/blob/file.tgz")


async def test_a_resource_has_to_be_there(bench: Bench) -> None:
    assert await bench("resource-get", "blob") == failure('resource "blob" of shop not found')
    assert (await bench("resource-get")).code == 2
    assert await bench("resource-get", "a", "b") == misused('unrecognized args: ["b"]')
