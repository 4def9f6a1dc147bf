from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path

import pytest
from plugins.model.tests.commands.conftest import CLIENT, OPTIONS, CommandLine

SUBORDINATE = """\
name: watcher
summary: It watches
description: It watches
subordinate: true
requires:
  host: {interface: juju-info, scope: container}
"""


def test_a_deployment_says_what_it_does_on_stderr_alone(undercroft: CommandLine, server: str) -> None:
    ran = undercroft.ok("deploy", server, "web")

    assert (ran.out, ran.err) == ("", 'Deploying "web" from local charm "server", revision 0\n')


def test_an_archive_is_kept_under_its_checksum(undercroft: CommandLine, server: str) -> None:
    packed = undercroft.ok("pack", server)
    archive = Path(packed.out.strip())

    undercroft.ok("deploy", str(archive))

    sha256 = hashlib.sha256(archive.read_bytes()).hexdigest()
    application = json.loads(undercroft.stored()["applications/server"])
    assert application["charm"] == sha256
    (blob,) = undercroft.data.glob("plugins/model/blobs/*/*")
    assert (blob.name, blob.read_bytes()) == (sha256, archive.read_bytes())


def test_options_come_from_files_and_words(undercroft: CommandLine, server: str) -> None:
    Path("options.yaml").write_text("server: {title: of the file, workers: 9}\n")
    Path("name.txt").write_text("of @\n")

    words = ("--config", "options.yaml", "--config", "title=of words", "--config", "nickname=@name.txt")
    undercroft.ok("deploy", server, *words, "--config", "trust=true")

    settings = undercroft.json("config", "server")
    shown = {name: option.get("value") for name, option in settings["settings"].items()}
    assert shown == {"title": "of words", "workers": 9, "nickname": "of @\n"}
    assert settings["application-config"]["trust"]["value"] is True


def test_more_units_than_fit_a_transaction_are_deployed(undercroft: CommandLine, server: str) -> None:
    undercroft.ok("deploy", server, "-n", "120")

    assert len(undercroft.json("status")["applications"]["server"]["units"]) == 120


def test_units_are_placed_where_it_is_said(undercroft: CommandLine, server: str) -> None:
    undercroft.ok("deploy", server)

    undercroft.ok("deploy", server, "other", "-n", "2", "--to", "0,0")

    units = undercroft.json("status")["applications"]["other"]["units"]
    assert {unit["machine"] for unit in units.values()} == {"0"}
    assert 'machine "7" not found' in undercroft.refused("deploy", server, "third", "--to", "7")
    assert "containers" in undercroft.refused("deploy", server, "third", "--to", "lxd:0")


def test_a_subordinate_has_no_units_of_its_own(undercroft: CommandLine) -> None:
    charm = undercroft.charm(SUBORDINATE)

    undercroft.ok("deploy", charm)

    assert "units" not in undercroft.json("status")["applications"]["watcher"]
    assert "subordinate" in undercroft.refused("deploy", charm, "other", "-n", "3")
    assert "subordinate" in undercroft.refused("add-unit", "watcher")


def test_a_bare_name_is_looked_up_in_the_folders_of_charms(
    undercroft: CommandLine, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    undercroft.ok("pack", server, "-o", ".")
    (archive,) = Path().glob("*.charm")
    Path("charms").mkdir()
    archive.rename("charms/packed.charm")
    monkeypatch.setenv("UNDERCROFT_CHARMS", f"charms:{Path(server).parent}")

    undercroft.ok("deploy", "packed")
    undercroft.ok("deploy", "ch:server", "other")

    assert set(undercroft.json("status")["applications"]) == {"server", "other"}


def test_resources_are_kept_and_can_be_given_anew(undercroft: CommandLine, server: str) -> None:
    Path("file").write_text("one")
    undercroft.ok("deploy", server, "--resource", "data=./file")
    Path("file").write_text("two")

    undercroft.ok("attach-resource", "server", "data=./file")

    (row,) = undercroft.json("resources", "server")["resources"]
    assert (row["name"], row["size"], row["fingerprint"]) == ("data", 3, hashlib.sha256(b"two").hexdigest())
    assert "has no resource" in undercroft.refused("attach-resource", "server", "other=./data")
    assert "there is no file" in undercroft.refused("attach-resource", "server", "data=./absent")


def test_a_resource_that_is_not_there_stops_a_deployment(undercroft: CommandLine, server: str) -> None:
    undercroft.refused("deploy", server, "--resource", "data=./absent")

    assert undercroft.json("status")["applications"] == {}


def test_a_refresh_keeps_the_options_that_the_charm_still_has(undercroft: CommandLine, server: str) -> None:
    undercroft.ok("deploy", server, "--config", "workers=9", "--config", "title=mine")
    Path(server, "config.yaml").write_text("options:\n  workers: {type: int, default: 1}\n")

    ran = undercroft.ok("refresh", "server", "--path", server)

    assert ran.err == 'Added local charm "server", revision 1, to the model\n'
    assert {name: option["value"] for name, option in undercroft.json("config", "server")["settings"].items()} == {
        "workers": 9
    }


def test_a_refresh_to_another_charm_is_refused(undercroft: CommandLine, server: str, client: str) -> None:
    undercroft.ok("deploy", server)

    assert "another charm" in undercroft.refused("refresh", "server", "--path", client)


def test_a_refresh_that_would_break_a_relation_is_refused(undercroft: CommandLine, server: str, client: str) -> None:
    undercroft.ok("deploy", server)
    undercroft.ok("deploy", client)
    undercroft.ok("integrate", "client", "server")
    before = undercroft.stored()
    Path(client, "metadata.yaml").write_text(CLIENT.partition("requires")[0])

    assert "would break relation" in undercroft.refused("refresh", "client", "--path", client)
    assert undercroft.stored() == before


def test_a_source_folder_is_packed_when_it_is_deployed(undercroft: CommandLine) -> None:
    source = Path("source")
    (source / "hooks").mkdir(parents=True)
    (source / "hooks" / "install").write_text("#!/bin/sh\n")
    craft = f"type: charm\n{CLIENT}config:\n  {OPTIONS.replace(chr(10), chr(10) + '  ').strip()}\n"
    (source / "charmcraft.yaml").write_text(
        craft + "parts: {it: {plugin: dump, source: .}}\nbase: ubuntu@22.04\nplatforms: {amd64: }\n"
    )

    ran = undercroft.ok("deploy", "./source")

    assert "Reading" in ran.err
    assert set(undercroft.json("config", "client")["settings"]) == {"title", "workers", "nickname"}


def test_pack_gives_the_path_of_the_archive(undercroft: CommandLine, server: str) -> None:
    Path("out").mkdir()

    ran = undercroft.ok("pack", "-p", server, "-o", "out")

    (archive,) = Path("out").glob("*.charm")
    assert Path(ran.out.strip()) == archive
    assert "there is no such folder" in undercroft.refused("pack", server, "-o", "absent")


def test_pack_takes_libraries_from_where_it_is_told(undercroft: CommandLine, server: str) -> None:
    Path(server, "charmcraft.yaml").write_text("type: charm\ncharm-libs: [{lib: db.client, version: '1'}]\n")
    library = Path("other/lib/charms/db/v1/client.py")
    library.parent.mkdir(parents=True)
    library.write_text("LIBAPI = 1\n")

    assert "undercroft pack --libs DIR" in undercroft.refused("pack", server)
    assert "absent: there is no such folder" in undercroft.refused("pack", server, "--libs", "absent")
    packed = undercroft.ok("pack", server, "--libs", "other").out.strip()

    with zipfile.ZipFile(packed) as archive:
        assert archive.read(f"{library.relative_to('other')}") == library.read_bytes()


def test_the_archives_and_resources_that_nobody_needs_are_removed(undercroft: CommandLine, server: str) -> None:
    for content in ("old", "new"):
        Path(content).write_text(content)
    undercroft.ok("deploy", server, "web", "--resource", "data=old")
    undercroft.ok("deploy", server, "other")
    undercroft.ok("attach-resource", "web", "data=new")
    undercroft.ok("remove-application", "web", "--force", "--no-prompt")

    assert len(list(undercroft.data.glob("plugins/model/blobs/*/*"))) == 1
    undercroft.ok("remove-application", "other", "--force", "--no-prompt")

    assert list(undercroft.data.glob("plugins/model/blobs/*/*")) == []
    assert [entry.key for entry in undercroft.on_store(lambda store: store.list("/blobs/")).entries] == []
