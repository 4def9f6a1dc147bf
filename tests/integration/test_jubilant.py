"""Unmodified jubilant drives Undercroft, as `undercroft` and through `undercroft shim`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import jubilant
import pytest

PATIENCE = 30.0
UNDERCROFT = Path(sys.executable).with_name("undercroft")

SERVER = """
name: server
summary: It serves
description: It serves
provides:
  web: {interface: http}
peers:
  mates: {interface: mates}
resources:
  data: {type: file, filename: data.bin}
"""
CLIENT = """
name: client
summary: It asks
description: It asks
requires:
  backend: {interface: http}
"""
OPTIONS = """
options:
  title: {type: string, default: hello}
  workers: {type: int, default: 4}
  ratio: {type: float, default: 0.5}
  debug: {type: boolean, default: false}
  token: {type: secret}
  nickname: {type: string}
"""


@pytest.fixture(scope="session")
def bytecode(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for compiled modules, so that each command does not compile all of them again."""
    return tmp_path_factory.mktemp("bytecode")


@pytest.fixture
def juju(bytecode: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> jubilant.Juju:
    """Jubilant with our command, on a data folder of its own."""
    for name in [name for name in os.environ if name.startswith(("UNDERCROFT", "PYTHONDONTWRITE"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(bytecode))
    monkeypatch.setenv("UNDERCROFT_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return jubilant.Juju(cli_binary=UNDERCROFT)


@pytest.fixture
def shim(juju: jubilant.Juju, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder with the programs that the shim writes, first on PATH."""
    juju.cli("shim", str(tmp_path / "shim"))
    monkeypatch.setenv("PATH", os.pathsep.join([str(tmp_path / "shim"), os.environ["PATH"]]))
    return tmp_path / "shim"


def charm(folder: Path, metadata: str, *, config: str = "") -> Path:
    """A charm that is complete as it is: a hook and what describes it."""
    (folder / "hooks").mkdir(parents=True)
    (folder / "metadata.yaml").write_text(metadata)
    if config:
        (folder / "config.yaml").write_text(config)
    hook = folder / "hooks" / "install"
    hook.write_text("#!/bin/sh\n")
    hook.chmod(0o755)
    return folder


@pytest.fixture
def server(tmp_path: Path) -> Path:
    """A charm that provides something."""
    return charm(tmp_path / "server-src", SERVER, config=OPTIONS)


@pytest.fixture
def client(tmp_path: Path) -> Path:
    """A charm that requires it."""
    return charm(tmp_path / "client-src", CLIENT)


def test_a_model_comes_and_goes(juju: jubilant.Juju) -> None:
    juju.add_model("testing", "localhost", config={"update-status-hook-interval": "10s", "test-mode": True})

    shown = juju.show_model()
    assert (juju.model, shown.short_name, shown.life) == ("testing", "testing", "alive")
    assert juju.model_config()["update-status-hook-interval"] == "10s"
    juju.destroy_model("testing", force=True, destroy_storage=True, no_wait=True)
    assert juju.model is None
    with pytest.raises(jubilant.CLIError, match="not found"):
        juju.show_model("testing")


def test_models_live_side_by_side(juju: jubilant.Juju, server: Path) -> None:
    juju.add_model("one")
    other = jubilant.Juju(cli_binary=juju.cli_binary)
    other.add_model("two")

    juju.deploy(server)

    assert (set(juju.status().apps), set(other.status().apps)) == ({"server"}, set())
    assert jubilant.Juju(cli_binary=juju.cli_binary, model="undercroft:admin/one").status().model.name == "one"


def test_the_settings_of_a_model_are_set_and_reset(juju: jubilant.Juju) -> None:
    juju.add_model("testing")

    juju.model_config({"update-status-hook-interval": "30s", "logging-config": "<root>=DEBUG"})
    juju.model_config(reset="logging-config")

    settings = juju.model_config()
    assert settings["update-status-hook-interval"] == "30s"
    assert settings["logging-config"] == "<root>=INFO"
    assert settings["automatically-retry-hooks"] is True
    juju.model_config({"logging-config": "<root>=DEBUG"}, reset=["update-status-hook-interval"])
    assert juju.model_config()["update-status-hook-interval"] == "5m"


def test_constraints_are_taken_and_have_no_effect(juju: jubilant.Juju) -> None:
    juju.model_constraints({"mem": "8G", "cores": 4})

    assert juju.model_constraints() == {}


def test_through_the_shim_a_suite_finds_juju_on_its_path(shim: Path, server: Path, client: Path) -> None:
    with jubilant.temp_model(config={"test-mode": True}) as juju:
        name = juju.model
        assert name is not None
        juju.deploy(server, config={"title": "a 'quoted' title"}, num_units=2)
        juju.deploy(client)
        juju.integrate("client", "server")
        status = juju.wait(jubilant.all_waiting, successes=1, timeout=20)
        assert status.model.name == name
        assert juju.config("server")["title"] == "a 'quoted' title"
        assert juju.ssh("client/0", "echo 'a  b'") == "a  b\n"
        assert juju.version().tuple >= (3, 6, 0)

    with pytest.raises(jubilant.CLIError, match="not found"):
        jubilant.Juju().show_model(name)


def test_the_shims_juju_says_jujus_version(shim: Path) -> None:
    for word in ("version", "--version"):
        said = subprocess.run(["juju", word], capture_output=True, text=True, check=True).stdout
        assert said.startswith("3.6.")


def test_the_shims_charmcraft_packs(shim: Path, server: Path) -> None:
    done = subprocess.run(["charmcraft", "-v", "pack"], cwd=server, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    (archive,) = server.glob("*.charm")
    jubilant.Juju().deploy(archive)


def test_a_charm_is_deployed_with_all_that_can_be_said(juju: jubilant.Juju, server: Path, tmp_path: Path) -> None:
    data = tmp_path / "data.bin"
    data.write_bytes(b"content")

    juju.deploy(
        server,
        "web",
        base="ubuntu@22.04",
        bind={"web": "public"},
        channel="latest/edge",
        config={"title": "a = b", "workers": 7, "ratio": 0.25, "debug": True},
        constraints={"mem": "8G"},
        force=True,
        num_units=2,
        resources={"data": str(data)},
        revision=3,
        trust=True,
    )

    application = juju.status().apps["web"]
    assert sorted(application.units) == ["web/0", "web/1"]
    assert (application.charm_name, application.charm_rev, application.charm_origin) == ("server", 0, "local")
    assert application.charm_channel == "latest/edge"
    assert juju.config("web") == {"title": "a = b", "workers": 7, "ratio": 0.25, "debug": True}
    assert juju.config("web", app_config=True) == {"trust": True}


def test_a_charm_is_deployed_by_a_relative_path_and_by_its_name(
    juju: jubilant.Juju, server: Path, client: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.rename(client.with_name("client"))
    monkeypatch.setenv("UNDERCROFT_CHARMS", str(client.parent))

    juju.deploy(Path("server-src"))
    juju.deploy("client", channel="stable")

    assert set(juju.status().apps) == {"server", "client"}


def test_units_are_placed_added_and_removed(juju: jubilant.Juju, server: Path) -> None:
    juju.deploy(server)

    juju.add_unit("server", num_units=2, to=["0", "0"])
    juju.add_unit("server", to="0")
    juju.remove_unit("server/1", "server/2", destroy_storage=True)

    units = juju.status().apps["server"].units
    assert sorted(units) == ["server/0", "server/3"]
    assert {unit.machine for unit in units.values()} == {"0"}
    juju.remove_unit("server/3", force=True)
    assert list(juju.status().apps["server"].units) == ["server/0"]


def test_applications_are_removed(juju: jubilant.Juju, server: Path, client: Path) -> None:
    juju.deploy(server)
    juju.deploy(client)
    juju.integrate("client", "server")

    juju.remove_application("server", "client", destroy_storage=True, force=True)

    assert juju.status().apps == {}


def test_applications_are_integrated_and_parted(juju: jubilant.Juju, server: Path, client: Path) -> None:
    juju.deploy(server)
    juju.deploy(client)

    juju.integrate("client:backend", "server", via="192.0.2.0/24")
    related = juju.status().apps["client"].relations["backend"]
    assert [(other.related_app, other.interface, other.scope) for other in related] == [("server", "http", "global")]
    assert juju.show_unit("client/0").relation_info[0].related_endpoint == "web"
    juju.remove_relation("server", "client:backend", force=True)

    assert juju.status().apps["client"].relations == {}


def test_options_are_set_and_reset(juju: jubilant.Juju, server: Path) -> None:
    juju.deploy(server)

    juju.config("server", {"title": "two\nlines", "debug": True, "token": jubilant.SecretURI("secret:abc123")})
    assert juju.config("server") == {
        "title": "two\nlines",
        "workers": 4,
        "ratio": 0.5,
        "debug": True,
        "token": "secret:abc123",
    }
    juju.config("server", {"workers": 9}, reset=["title", "token"])
    juju.config("server", reset="debug")

    assert juju.config("server") == {"title": "hello", "workers": 9, "ratio": 0.5, "debug": False}


def test_applications_are_trusted(juju: jubilant.Juju, server: Path) -> None:
    juju.deploy(server)

    juju.trust("server")
    assert juju.config("server", app_config=True)["trust"] is True
    juju.trust("server", remove=True)

    assert juju.config("server", app_config=True)["trust"] is False


def test_a_charm_is_refreshed(juju: jubilant.Juju, server: Path, tmp_path: Path) -> None:
    juju.deploy(server)
    data = tmp_path / "data.bin"
    data.write_bytes(b"content")
    (server / "hooks" / "start").write_text("#!/bin/sh\n")

    juju.refresh(
        "server",
        base="ubuntu@22.04",
        channel="edge",
        config={"workers": 2},
        force=True,
        path=server,
        resources={"data": str(data)},
        trust=True,
    )

    assert juju.status().apps["server"].charm_rev == 1
    assert juju.config("server")["workers"] == 2


def test_a_unit_is_shown(juju: jubilant.Juju, server: Path) -> None:
    juju.deploy(server)

    shown = juju.show_unit("server/0")

    assert (shown.machine, shown.life, shown.leader, shown.opened_ports) == ("0", "alive", False, [])
    assert shown.relation_info[0].endpoint == "mates"


def test_the_status_is_waited_for(juju: jubilant.Juju, server: Path) -> None:
    juju.deploy(server)

    status = juju.wait(
        lambda status: jubilant.all_waiting(status, "server") and jubilant.all_agents_idle(status) is False,
        error=jubilant.any_error,
        delay=0.01,
    )

    assert status.apps["server"].units["server/0"].juju_status.current == "allocating"
    with pytest.raises(TimeoutError):
        juju.wait(jubilant.all_active, delay=0.1, timeout=0.5)


def test_jubilants_own_command_waits_too(juju: jubilant.Juju) -> None:
    juju.add_model("testing")

    done = subprocess.run(
        [
            *(UNDERCROFT.with_name("jubilant"), "wait", "status.model.name == 'testing'"),
            *("--juju-cli-bin", juju.cli_binary, "--model", "testing", "--delay", "0.01"),
        ],
        capture_output=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr


def test_the_version_is_jujus(juju: jubilant.Juju) -> None:
    version = juju.version()

    assert version.tuple >= (3, 6, 0)
    assert version.release == "ubuntu"


def test_commands_run_where_the_unit_is(juju: jubilant.Juju, server: Path) -> None:
    juju.deploy(server)

    assert juju.ssh("server/0", "echo", "a  b", "|", "cat") == "a b\n"
    assert juju.ssh(0, "echo one; echo two", host_key_checks=False, ssh_options=["-o", "User=x"], user="ubuntu") == (
        "one\ntwo\n"
    )
    with pytest.raises(jubilant.CLIError) as failed:
        juju.ssh("server/0", "exit 7")
    assert failed.value.returncode == 7


def test_files_are_copied_where_the_unit_is(juju: jubilant.Juju, server: Path, tmp_path: Path) -> None:
    juju.deploy(server)
    (tmp_path / "one").write_text("content")

    juju.scp(tmp_path / "one", f"server/0:{tmp_path}/two")
    juju.scp(f"ubuntu@server/0:{tmp_path}/two", tmp_path / "three", host_key_checks=False, scp_options=["-r", "-C"])

    assert (tmp_path / "three").read_text() == "content"


def test_secrets_are_kept(juju: jubilant.Juju, server: Path) -> None:
    juju.deploy(server)

    uri = juju.add_secret("password", {"username": "me", "password": "hunter2"}, info="of the database")
    juju.update_secret(uri, {"password": "hunter3"}, info="changed", name="secret-password", auto_prune=True)
    juju.grant_secret("secret-password", ["server"])

    assert uri.unique_identifier == juju.show_secret("secret-password").uri.unique_identifier
    revealed = juju.show_secret(uri, reveal=True)
    assert (revealed.content, revealed.revision, revealed.owner) == ({"password": "hunter3"}, 2, "<model>")
    shown = juju.show_secret(uri, revisions=True)
    assert [revision.revision for revision in shown.revisions or ()] == [2]
    assert [access.target for access in shown.access or ()] == ["application-server"]
    (listed,) = juju.secrets(owner="<model>")
    assert (listed.name, listed.description, listed.rotation) == ("secret-password", "changed", None)
    juju.remove_secret(uri)
    assert juju.secrets() == []


def test_an_action_that_nobody_runs_times_out(juju: jubilant.Juju, server: Path) -> None:
    (server / "actions.yaml").write_text("backup: {description: Keep a copy, params: {path: {type: string}}}\n")
    juju.deploy(server)

    with pytest.raises(TimeoutError):
        juju.run("server/0", "backup", {"path": "/srv"}, wait=0.1)
    with pytest.raises(TimeoutError):
        juju.exec("hostname", unit="server/0", wait=0.1)
    with pytest.raises(ValueError, match="not defined"):
        juju.run("server/0", "restore")
    with pytest.raises(ValueError, match="not found"):
        juju.exec("hostname", unit="server/7")


def test_a_command_runs_on_a_machine(juju: jubilant.Juju, server: Path) -> None:
    juju.deploy(server)

    task = juju.exec("echo", "hello", machine=0)

    assert (task.stdout, task.return_code, task.success) == ("hello\n", 0, True)
    with pytest.raises(jubilant.TaskError) as failed:
        juju.exec("echo oh no >&2; exit 3", machine="0")
    assert (failed.value.task.return_code, failed.value.task.stderr) == (3, "oh no\n")


def test_the_log_is_read(juju: jubilant.Juju) -> None:
    assert juju.debug_log(limit=10) == ""


def test_what_suites_call_in_passing_succeeds(juju: jubilant.Juju) -> None:
    juju.bootstrap("localhost", "here", config={"a": "b"}, bootstrap_constraints={"mem": "1G"})
    juju.add_cloud("cloud", {"clouds": {}}, client=True)
    juju.update_cloud("cloud", {"clouds": {}}, client=True)
    juju.add_credential("cloud", {"credentials": {}}, client=True)
    juju.add_ssh_key("ssh-ed25519 AAAA me@here")
    juju.remove_ssh_key("me@here")


def test_what_needs_a_cloud_says_what_there_is_in_its_place(juju: jubilant.Juju) -> None:
    with pytest.raises(jubilant.CLIError, match="not supported") as refused:
        juju.add_machine(num_machines=2)
    assert refused.value.returncode == 1
    with pytest.raises(jubilant.CLIError, match="not supported"):
        juju.offer("other.server", endpoint="web")
    with pytest.raises(jubilant.CLIError, match="not supported"):
        juju.consume("other.server")


@pytest.fixture
def agent(juju: jubilant.Juju) -> Iterator[None]:
    """An agent on the same data folder, of the model alone: it registers the host and removes what is to go."""
    environment = {**os.environ, "UNDERCROFT_PLUGINS": "model"}
    process = subprocess.Popen([UNDERCROFT, "agent"], env=environment, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if "ready: " in line:
            break
    assert process.poll() is None, lines
    yield
    process.terminate()
    assert process.wait(PATIENCE) == 0, process.stderr.read()
    process.stderr.close()


@pytest.mark.usefixtures("agent")
def test_with_an_agent_the_machine_is_started_and_a_model_goes(juju: jubilant.Juju, server: Path) -> None:
    juju.add_model("testing")
    juju.deploy(server, num_units=2)

    (machine,) = juju.wait(lambda status: bool(status.machines), successes=1, timeout=PATIENCE).machines.values()
    assert machine.juju_status.current == "started"
    juju.remove_application("server")
    juju.destroy_model("testing", timeout=PATIENCE, force=True)

    with pytest.raises(jubilant.CLIError, match="not found"):
        juju.show_model("testing")


def test_a_bundle_is_deployed(juju: jubilant.Juju, server: Path, client: Path, tmp_path: Path) -> None:
    (tmp_path / "bundle.yaml").write_text(
        dedent("""
        applications:
          server:
            charm: ./server-src
            num_units: 2
            options: {title: of the bundle}
            expose: true
          client: {charm: ./client-src, num_units: 1, to: ["0"]}
        machines:
          "0": {}
        relations:
        - [client:backend, server:web]
        """)
    )
    (tmp_path / "overlay.yaml").write_text("applications: {server: {options: {workers: 9}}}\n")

    juju.deploy("./bundle.yaml", trust=True, overlays=["overlay.yaml"])

    status = juju.status()
    assert (len(status.apps["server"].units), status.apps["server"].exposed) == (2, True)
    assert status.apps["client"].relations["backend"][0].related_app == "server"
    assert (juju.config("server")["title"], juju.config("server")["workers"]) == ("of the bundle", 9)
    juju.deploy("./bundle.yaml")
    assert len(juju.status().apps["server"].units) == 2
