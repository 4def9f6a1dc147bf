from __future__ import annotations

from pathlib import Path

from plugins.model.tests.commands.conftest import CommandLine

BUNDLE = """\
applications:
  server:
    charm: ./server
    num_units: 3
    to: ["0", "lxd:1", "0"]
    options: {title: of the bundle, workers: 2}
    resources: {data: ./file}
    trust: true
    expose: true
  client:
    charm: client
    channel: edge
machines:
  "0": {}
  "1": {constraints: mem=8G}
relations:
- - client:backend
  - [server:web]
"""


def write(folder: Path) -> Path:
    """The bundle, in a folder of its own with what it names."""
    bundles = folder / "bundles"
    bundles.mkdir()
    (bundles / "bundle.yaml").write_text(BUNDLE)
    (bundles / "file").write_text("content")
    return bundles


def test_a_bundle_is_deployed_from_wherever_it_is(undercroft: CommandLine, server: str, client: str) -> None:
    folder = write(undercroft.folder)
    Path(server).rename(folder / "server")
    undercroft._monkeypatch.setenv("UNDERCROFT_CHARMS", str(undercroft.folder))

    ran = undercroft.ok("deploy", str(folder))

    status = undercroft.json("status")
    assert {unit["machine"] for unit in status["applications"]["server"]["units"].values()} == {"0"}
    assert len(status["applications"]["server"]["units"]) == 3
    assert status["applications"]["client"]["charm-channel"] == "edge"
    assert status["applications"]["server"]["exposed"] is True
    assert undercroft.ok("config", "server", "title").out == "of the bundle\n"
    assert undercroft.json("resources", "server")["resources"][0]["size"] == 7
    assert "add relation client:backend - server:web" in ran.err


def test_deployed_again_a_bundle_changes_only_what_is_different(
    undercroft: CommandLine, server: str, client: str
) -> None:
    folder = write(undercroft.folder)
    Path(server).rename(folder / "server")
    undercroft._monkeypatch.setenv("UNDERCROFT_CHARMS", str(undercroft.folder))
    undercroft.ok("deploy", str(folder / "bundle.yaml"))
    (folder / "overlay.yaml").write_text("applications: {server: {options: {workers: 8}}, client: }\n")

    undercroft.ok("deploy", str(folder / "bundle.yaml"), "--overlay", str(folder / "overlay.yaml"))

    assert undercroft.ok("config", "server", "workers").out == "8\n"
    assert len(undercroft.json("status")["applications"]["server"]["units"]) == 3


def test_a_dry_run_says_what_would_be_done(undercroft: CommandLine, server: str, client: str) -> None:
    folder = write(undercroft.folder)
    Path(server).rename(folder / "server")
    undercroft._monkeypatch.setenv("UNDERCROFT_CHARMS", str(undercroft.folder))

    ran = undercroft.ok("deploy", str(folder / "bundle.yaml"), "--dry-run")

    assert "- deploy application client from client, 1 unit(s)" in ran.err
    assert undercroft.json("status")["applications"] == {}
