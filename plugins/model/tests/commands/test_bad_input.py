"""Bad input is one clear message each, and nothing is half written."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from plugins.model.tests.commands.conftest import CLIENT, SERVER, CommandLine

BOMB_BYTES = 64 * 1024 * 1024


def archive(path: Path, entries: dict[str, str], *, link: str = "") -> str:
    """An archive of these files, with a symbolic link out of it if one is named."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, text in entries.items():
            zipped.writestr(name, text)
        if link:
            info = zipfile.ZipInfo("out")
            info.create_system, info.external_attr = 3, 0o120777 << 16
            zipped.writestr(info, link)
    return str(path)


MALFORMED: dict[str, tuple[Callable[[Path], str], str]] = {
    "no name": (lambda path: archive(path, {"metadata.yaml": "summary: x\n"}), "metadata.yaml: name"),
    "bad yaml": (lambda path: archive(path, {"metadata.yaml": "name: [x\n"}), "metadata.yaml"),
    "wrong type": (lambda path: archive(path, {"metadata.yaml": "name: x\nprovides: 3\n"}), "provides"),
    "a way out": (lambda path: archive(path, {"metadata.yaml": SERVER, "../evil": "x"}), "../evil"),
    "a link out": (lambda path: archive(path, {"metadata.yaml": SERVER}, link="/etc/passwd"), "out"),
    "a bomb": (lambda path: archive(path, {"metadata.yaml": SERVER, "big": "\0" * BOMB_BYTES}), "big"),
    "no zip": (lambda path: str(path) if path.write_text("no") else "", "cannot be read as a zip"),
    "no charm": (lambda path: archive(path, {"README": "x"}), "is no charm"),
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_a_malformed_charm_is_refused_and_nothing_of_it_kept(undercroft: CommandLine, kind: str) -> None:
    make, said = MALFORMED[kind]
    path = make(undercroft.folder / "bad.charm")
    undercroft.ok("status")
    before = undercroft.stored()

    message = undercroft.refused("deploy", path)

    assert said in message
    assert message.startswith("ERROR ")
    assert message.count("\n") == 1
    assert undercroft.stored() == before
    assert list(undercroft.data.glob("plugins/model/blobs/*/*")) == []


def test_an_endpoint_that_does_not_match_is_refused(undercroft: CommandLine, server: str, client: str) -> None:
    undercroft.ok("deploy", server)
    undercroft.ok("deploy", client)
    before = undercroft.stored()

    assert "no relations found" in undercroft.refused("integrate", "client:backend", "server:mates")
    assert 'has no "nothing" relation (not found)' in undercroft.refused("integrate", "client:nothing", "server")
    assert "invalid endpoint" in undercroft.refused("integrate", "client:", "server")
    assert undercroft.stored() == before


def test_a_relation_to_itself_is_refused(undercroft: CommandLine, server: str) -> None:
    undercroft.ok("deploy", server)

    assert "cannot be integrated with itself" in undercroft.refused("integrate", "server", "server:web")


def test_an_unknown_option_is_refused_and_none_of_the_others_set(undercroft: CommandLine, server: str) -> None:
    undercroft.ok("deploy", server)
    before = undercroft.stored()

    message = undercroft.refused("config", "server", "title=new", "nothing=1")

    assert 'unknown option "nothing"' in message
    assert undercroft.stored() == before


def test_an_unknown_option_stops_a_deployment(undercroft: CommandLine, server: str) -> None:
    undercroft.ok("status")
    before = undercroft.stored()

    assert 'unknown option "nothing"' in undercroft.refused("deploy", server, "--config", "nothing=1")
    assert undercroft.stored() == before
    assert list(undercroft.data.glob("plugins/model/blobs/*/*")) == []


@pytest.mark.parametrize("command", ["remove-unit", "show-unit", "resolved"])
def test_a_unit_name_with_a_slash_too_many_is_refused(undercroft: CommandLine, server: str, command: str) -> None:
    undercroft.ok("deploy", server)

    assert 'invalid unit name "server/0/1"' in undercroft.refused(command, "server/0/1")


def test_of_two_operators_at_once_one_deploys_and_the_other_is_told(undercroft: CommandLine, server: str) -> None:
    environment = {**os.environ, "UNDERCROFT_DATA": str(undercroft.data)}
    argv = [sys.executable, "-m", "undercroft", "deploy", server]

    both = [subprocess.Popen(argv, env=environment, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    ends = sorted((each.wait(60), each.stderr.read() if each.stderr else "") for each in both)
    for each in both:
        assert each.stderr is not None
        each.stderr.close()

    assert [code for code, _ in ends] == [0, 1]
    assert "application already exists" in ends[1][1]
    assert list(undercroft.json("status")["applications"]["server"]["units"]) == ["server/0"]


def make_newer(store: Path) -> None:
    """Make a store one of a schema that is not known yet."""
    with closing(sqlite3.connect(store)) as database:
        database.execute("PRAGMA user_version = 99")


def damage(store: Path) -> None:
    """Write over a store's file."""
    for path in store.parent.glob(f"{store.name}-*"):
        path.unlink()
    store.write_bytes(b"no database" * 1000)


@pytest.mark.parametrize(("spoil", "said"), [(make_newer, "has schema version 99"), (damage, "is not a usable store")])
def test_a_store_that_cannot_be_used_is_said_in_one_message(
    undercroft: CommandLine, spoil: Callable[[Path], None], said: str
) -> None:
    undercroft.ok("status")
    (store,) = undercroft.data.glob("*.db")
    spoil(store)
    before = store.read_bytes()

    done = subprocess.run(
        [sys.executable, "-m", "undercroft", "add-model", "other"],
        env={**os.environ, "UNDERCROFT_DATA": str(undercroft.data)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert store.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("deploy", "./absent"), 'no charm was found at "./absent" (not found)'),
        (("deploy", "absent"), "$UNDERCROFT_CHARMS"),
        (("deploy", "./absent.yaml"), "there is no such bundle (not found)"),
        (("add-unit", "absent"), 'application "absent" not found (not found)'),
        (("remove-application", "absent"), 'application "absent" not found (not found)'),
        (("remove-relation", "absent", "other"), "not found (not found)"),
        (("remove-relation", "absent"), "must involve two applications"),
        (("config", "absent"), 'application "absent" not found (not found)'),
        (("show-model", "absent"), "not found (not found)"),
        (("status", "--model", "absent"), "not found (not found)"),
        (("destroy-model", "absent", "--no-prompt"), "not found (not found)"),
        (("add-model", "Not_Valid"), "is not a valid name"),
        (("add-model", "new", "--config", "nothing=1"), "nothing"),
        (("model-config", "test-mode=perhaps"), "expected bool"),
        (("show-status-log", "absent/0"), 'unit "absent/0" not found (not found)'),
        (("show-task", "9"), 'task "9" not found (not found)'),
        (("run", "absent/0", "backup"), 'unit "absent/0" not found (not found)'),
        (("import", "absent.yaml"), "absent.yaml"),
        (("debug-log", "--level", "LOUD"), "LOUD"),
    ],
)
def test_what_is_not_there_or_not_right_is_said_in_one_message(
    undercroft: CommandLine, words: tuple[str, ...], said: str
) -> None:
    message = undercroft.refused(*words)

    assert said in message
    assert message.startswith("ERROR ")


@pytest.mark.parametrize("words", [("deploy",), ("config", "x", "a", "b"), ("run", "x/0"), ("exec", "ls")])
def test_a_command_line_that_is_not_understood_ends_with_2(undercroft: CommandLine, words: tuple[str, ...]) -> None:
    assert undercroft.refused(*words, code=2)


def test_a_bundle_with_a_mistake_deploys_nothing(undercroft: CommandLine) -> None:
    undercroft.charm(CLIENT)
    Path("bundle.yaml").write_text("applications: {client: {charm: ./client}, other: {charm: ./absent}}\n")
    undercroft.ok("status")
    before = undercroft.stored()

    assert "absent" in undercroft.refused("deploy", "./bundle.yaml")
    Path("bundle.yaml").write_text("applications: {client: {num_units: 1}}\n")
    assert "bundle.yaml: applications.client" in undercroft.refused("deploy", "./bundle.yaml")
    Path("bundle.yaml").write_text("relations: []\n")
    assert "applications" in undercroft.refused("deploy", "./bundle.yaml")
    assert undercroft.stored() == before
