"""The tools are set as strictly as promised, and know every member of the workspace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

Members = dict[Path, dict[str, Any]]  # Any: a TOML document is as deep as it likes.


def _contract(workspace: dict[str, Any], name: str) -> dict[str, Any]:
    found = [contract for contract in workspace["tool"]["importlinter"]["contracts"] if contract["name"] == name]
    assert len(found) == 1, f"there is no import contract {name!r}"
    return dict(found[0])


def _imports(members: Members, first_part: str | None = None) -> set[str]:
    return {
        document["project"]["name"].replace("-", "_")
        for folder, document in members.items()
        if first_part in {None, folder.parts[0]}
    }


def test_types_are_checked_strictly_everywhere(workspace: dict[str, Any], members: Members) -> None:
    mypy = workspace["tool"]["mypy"]

    assert mypy["strict"] is True
    assert mypy["disable_error_code"] == ["type-abstract"]
    assert mypy["files"] == ["core", "hookspecs", "plugins", "tests"]
    assert {Path(path).relative_to("$MYPY_CONFIG_FILE_DIR") for path in mypy["mypy_path"]} >= {
        folder / "src" for folder in members
    }


def test_warnings_are_errors(workspace: dict[str, Any]) -> None:
    options = workspace["tool"]["pytest"]["ini_options"]

    assert options["filterwarnings"] == ["error"]
    assert options["asyncio_debug"] is True
    assert "undercroft_conformance.strict" in options["addopts"]


def test_only_one_module_spawns_and_only_one_reads_the_clock(workspace: dict[str, Any]) -> None:
    lint = workspace["tool"]["ruff"]["lint"]
    banned = lint["flake8-tidy-imports"]["banned-api"]
    excused = {path for path, codes in lint["per-file-ignores"].items() if "TID251" in codes and "tests/" not in path}

    assert {"subprocess", "time.time", "time.monotonic", "asyncio.sleep", "asyncio.create_subprocess_exec"} <= set(
        banned
    )
    assert excused == {
        "core/src/undercroft/process/spawning.py",
        "core/src/undercroft/clock.py",
        "plugins/etcd/src/undercroft_etcd/transport.py",
        "plugins/metrics/src/undercroft_metrics/senders/embedded.py",
        "plugins/model/src/undercroft_model/sqlite.py",
        "plugins/uniter/hatch_build.py",
        "plugins/uniter/src/undercroft_uniter/hostsetup/jujuexec.py",
    }


def test_every_member_is_under_the_import_contracts(workspace: dict[str, Any], members: Members) -> None:
    plugins = _imports(members, "plugins")

    assert set(workspace["tool"]["importlinter"]["root_packages"]) == _imports(members)
    assert plugins <= set(_contract(workspace, "hookspecs imports nothing of ours")["forbidden_modules"])
    assert plugins == set(
        _contract(workspace, "plugins import hookspecs, the library and the toolbox")["source_modules"]
    )
    assert plugins <= set(
        _contract(workspace, "pluggy is imported in hookspecs and the plugin loader only")["source_modules"]
    )


def test_the_layers_of_core_are_a_contract(workspace: dict[str, Any]) -> None:
    layers = _contract(workspace, "core is layered")["layers"]

    assert layers[:3] == ["undercroft.cli", "undercroft.agent", "undercroft.plugins"]
    assert layers[-1] == "undercroft.errors"


def test_the_library_needs_the_standard_library_alone(workspace: dict[str, Any]) -> None:
    contract = _contract(workspace, "the supervision library needs the standard library alone")

    assert {"uvloop", "msgspec", "pluggy", "click"} <= set(contract["forbidden_modules"])


def test_no_plugin_imports_another(workspace: dict[str, Any], members: Members) -> None:
    plugins = _imports(members, "plugins")
    if len(plugins) < 2:
        return
    independent = [c for c in workspace["tool"]["importlinter"]["contracts"] if c["type"] == "independence"]

    assert plugins <= {module for contract in independent for module in contract["modules"]}


def test_the_workspace_runs_every_runtime_member(workspace: dict[str, Any], members: Members) -> None:
    names = {document["project"]["name"] for document in members.values()}

    wanted = {line.partition("[")[0] for line in workspace["project"]["dependencies"]}
    assert wanted == names - {"undercroft-conformance"}
    assert "undercroft-conformance" in workspace["dependency-groups"]["dev"]
    assert set(workspace["tool"]["uv"]["sources"]) == names
    assert workspace["tool"]["uv"]["package"] is False


def test_coverage_is_measured_over_every_member(workspace: dict[str, Any], members: Members) -> None:
    run = workspace["tool"]["coverage"]["run"]

    assert run["branch"] is True
    assert run["patch"] == ["subprocess"]
    assert set(run["source_pkgs"]) == _imports(members)
