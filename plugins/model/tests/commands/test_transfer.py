from __future__ import annotations

from pathlib import Path

from plugins.model.tests.commands.conftest import CommandLine


def wanted(undercroft: CommandLine, model: str) -> dict[str, object]:
    """What is wanted of a model, but for its name."""
    document: dict[str, object] = undercroft.json("export", "--model", model)
    document.pop("model")
    return document


def fill(undercroft: CommandLine, server: str, client: str) -> None:
    """A model with a little of everything."""
    Path("file").write_text("content")
    undercroft.ok("model-config", "test-mode=true")
    undercroft.ok("deploy", server, "-n", "60", "--config", "workers=9", "--resource", "data=file", "--trust")
    undercroft.ok("deploy", client, "asker", "--channel", "edge")
    undercroft.ok("integrate", "asker", "server")
    undercroft.ok("expose", "server")


def test_what_is_exported_is_imported_as_it_was(undercroft: CommandLine, server: str, client: str) -> None:
    fill(undercroft, server, client)
    undercroft.ok("export", "--output", "model.yaml")

    ran = undercroft.ok("import", "model.yaml", "again")

    assert ran.err.endswith("Imported model 'again'\n")
    assert wanted(undercroft, "again") == wanted(undercroft, "default")
    assert undercroft.ok("model-config", "test-mode", "--model", "again").out == "true\n"
    assert len(undercroft.json("status", "--model", "again")["applications"]["server"]["units"]) == 60


def test_with_the_charms_beside_it_a_model_moves_to_another_store(
    undercroft: CommandLine, server: str, client: str
) -> None:
    fill(undercroft, server, client)
    exported = undercroft.ok("export", "--charms", "charms").out
    before = wanted(undercroft, "default")
    undercroft._monkeypatch.setenv("UNDERCROFT_DATA", str(undercroft.folder / "other"))

    assert "give --charms" in undercroft.refused("import", "-", "moved", stdin=exported)
    assert undercroft.json("models")["models"] == []
    undercroft.ok("import", "-", "moved", "--charms", "charms", stdin=exported)

    assert wanted(undercroft, "moved") == before
    assert list((undercroft.folder / "other" / "plugins" / "model").glob("import-*")) == []


def test_an_import_that_fails_leaves_no_model(undercroft: CommandLine, server: str, client: str) -> None:
    fill(undercroft, server, client)
    exported = undercroft.ok("export").out

    broken = exported.replace("asker:backend", "asker:nothing")
    assert "nothing" in undercroft.refused_late("import", "-", "again", stdin=broken)

    assert [model["short-name"] for model in undercroft.json("models")["models"]] == ["default"]


def test_a_file_that_is_no_export_is_refused(undercroft: CommandLine) -> None:
    Path("other.yaml").write_text("applications: {}\n")

    assert "undercroft-export: 1" in undercroft.refused("import", "other.yaml")
