"""What is going to be built, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from undercroft_model.charms.errors import CharmFileError
from undercroft_model.pack.errors import PackError
from undercroft_model.pack.plan import Plan, make_plan, needs_packing

CHARMS = Path(__file__).parents[4] / "tests" / "charms"

CRAFT = """
name: app
type: charm
title: The app
summary: S.
links: {contact: someone, documentation: https://docs.example}
base: ubuntu@24.04
platforms: {amd64: , riscv64: }
requires: {db: mysql}
config: {options: {x: {type: int}}}
actions: {go: {description: Go.}}
"""


def _source(folder: Path, craft: str = "", **files: str) -> Path:
    (folder / "src").mkdir()
    (folder / "src/charm.py").write_text("print()")
    (folder / "charmcraft.yaml").write_text(CRAFT + craft)
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    return folder


def _names(plan: Plan) -> set[str]:
    return {item.name for item in plan.items}


def test_charmcraft_s_file_is_split_into_those_that_a_charm_has(tmp_path: Path) -> None:
    plan = make_plan(_source(tmp_path))

    files = {name: yaml.safe_load(data) for name, data in plan.generated.items()}
    assert files == {
        "metadata.yaml": {
            "name": "app",
            "summary": "S.",
            "requires": {"db": "mysql"},
            "display-name": "The app",
            "maintainers": ["someone"],
            "docs": "https://docs.example",
        },
        "config.yaml": {"options": {"x": {"type": "int"}}},
        "actions.yaml": {"go": {"description": "Go."}},
        "manifest.yaml": {"bases": [{"name": "ubuntu", "channel": "24.04", "architectures": ["amd64", "riscv64"]}]},
    }
    assert plan.charm.options.keys() == {"x"}


def test_text_that_looks_like_something_else_stays_text(tmp_path: Path) -> None:
    (tmp_path / "hooks").mkdir()
    (tmp_path / "hooks/install").write_text("")
    (tmp_path / "charmcraft.yaml").write_text("name: app\ntype: charm\nsummary: 'no'\ndescription: '1.10'")

    files = make_plan(tmp_path).generated

    assert yaml.safe_load(files["metadata.yaml"]) == {"name": "app", "summary": "no", "description": "1.10"}


def test_tests_docs_and_tools_stay_out_and_the_rest_goes_in(tmp_path: Path) -> None:
    source = _source(tmp_path)
    for name in ("tests/x.py", "docs/x.md", "venv/x", ".git/x", ".venv/x", "src/tests/x.py", "templates/x", "lib/x.py"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text("x")

    names = {name for name in _names(make_plan(source)) if name.endswith(("x", ".md", "x.py"))}

    assert names == {"src/tests/x.py", "templates/x", "lib/x.py"}


def test_the_entry_point_becomes_executable_and_gets_a_dispatch(tmp_path: Path) -> None:
    plan = make_plan(_source(tmp_path))

    assert plan.writes_dispatch
    assert next(item for item in plan.items if item.name == "src/charm.py").mode & 0o111


def test_a_dispatch_of_the_charm_s_own_is_kept(tmp_path: Path) -> None:
    plan = make_plan(_source(tmp_path, dispatch="#!/bin/sh"))

    assert not plan.writes_dispatch


@pytest.mark.parametrize(("plugin", "is_venv"), [("charm", False), ("uv", True), ("poetry", True), ("python", True)])
def test_the_plugin_says_whether_there_is_a_virtual_environment(tmp_path: Path, plugin: str, is_venv: bool) -> None:
    assert make_plan(_source(tmp_path, f"parts: {{app: {{plugin: {plugin}}}}}")).is_venv is is_venv


def test_a_part_s_name_is_its_plugin_where_it_names_none(tmp_path: Path) -> None:
    plan = make_plan(_source(tmp_path, "parts: {charm: {}}", requirements_txt="ops"))

    assert plan.dependencies.files == ("requirements.txt",)
    assert plan.notes == ()


def test_what_charmcraft_would_do_besides_is_noted(tmp_path: Path) -> None:
    parts = """
parts:
  charm: {plugin: uv, build-packages: [x], override-build: "rustup; craftctl default"}
  poetry-deps: {plugin: nil, override-build: "curl x"}
  files: {plugin: dump, source: ., stage: [LICENSE]}
  libpq: {plugin: dump, source: /usr/lib}
  tool: {plugin: go, source: .}
  moved: {plugin: dump, source: ., organize: {a: b}}
"""

    assert make_plan(_source(tmp_path, parts)).notes == (
        "part charm: override-build is not run, only what its plugin does",
        "part poetry-deps: override-build is not run",
        "part libpq: not built, as it takes files from /usr/lib",
        "part tool: not built, as the plugin go is not known here",
        "part moved: files keep their places, organize is not done",
    )


@pytest.mark.parametrize(
    ("craft", "message"),
    [
        ("parts: {app: {plugin: reactive}}", r"it is a reactive charm.*`charm build`"),
        ("extensions: [flask-framework]", "the extension flask-framework is made by charmcraft alone"),
        ("parts: {a: {plugin: uv}, b: {plugin: poetry}}", r"more than one Python part \(a, b\)"),
    ],
)
def test_what_is_not_built_here_is_refused_with_what_to_do(tmp_path: Path, craft: str, message: str) -> None:
    with pytest.raises(PackError, match=message):
        make_plan(_source(tmp_path, craft))


def test_a_bundle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "charmcraft.yaml").write_text("type: bundle")

    with pytest.raises(PackError, match="it is a bundle"):
        make_plan(tmp_path)


def test_layers_are_refused(tmp_path: Path) -> None:
    (tmp_path / "layer.yaml").write_text("includes: [layer:basic]")
    (tmp_path / "metadata.yaml").write_text("name: app")

    with pytest.raises(PackError, match="reactive"):
        make_plan(tmp_path)


def test_a_folder_that_is_no_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PackError, match="it is no charm's source"):
        make_plan(tmp_path)


def test_a_source_with_nothing_to_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "metadata.yaml").write_text("name: app")

    with pytest.raises(PackError, match=r"nothing to run: neither src/charm\.py, nor dispatch, nor hooks/"):
        make_plan(tmp_path)


def test_one_thing_in_two_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CharmFileError, match=r"charmcraft\.yaml: config: expected nothing, as there is a config\.yaml"):
        make_plan(_source(tmp_path, config_yaml="options: {}"))


def test_a_library_that_is_missing_is_named(tmp_path: Path) -> None:
    source = _source(tmp_path, "charm-libs: [{lib: my-db.client, version: '1.3'}]")

    with pytest.raises(PackError, match=r"missing: lib/charms/my_db/v1/client\.py; run `charmcraft fetch-libs`"):
        make_plan(source)


@pytest.mark.parametrize("inner", ["", "lib/"])
def test_a_library_that_is_missing_is_taken_from_another_source(tmp_path: Path, inner: str) -> None:
    (tmp_path / "app").mkdir()
    source = _source(tmp_path / "app", "charm-libs: [{lib: db.client, version: 1}]")
    library = tmp_path / f"other/{inner}charms/db/v1/client.py"
    library.parent.mkdir(parents=True)
    library.write_text("LIBAPI = 1")

    plan = make_plan(source, libraries=[tmp_path / "other"])

    assert plan.libraries == {"lib/charms/db/v1/client.py": library}


def test_a_library_that_is_there_is_not_looked_for(tmp_path: Path) -> None:
    source = _source(tmp_path, "charm-libs: [{lib: db.client, version: '0'}]")
    (source / "lib/charms/db/v0").mkdir(parents=True)
    (source / "lib/charms/db/v0/client.py").write_text("")

    assert make_plan(source).libraries == {}


@pytest.mark.parametrize("lib", ["client", "a.b.c", "../x.y", "a/b.c"])
def test_a_library_s_name_that_is_none_is_refused(tmp_path: Path, lib: str) -> None:
    with pytest.raises(CharmFileError, match=r"charm-libs\[0\]\.lib"):
        make_plan(_source(tmp_path, f"charm-libs: [{{lib: {lib}, version: 1}}]"))


def test_the_archive_s_name_is_charmcraft_s(tmp_path: Path) -> None:
    plan = make_plan(_source(tmp_path))

    assert plan.file_name in {"app_amd64.charm", "app_riscv64.charm"}


@pytest.mark.parametrize(
    ("craft", "name"),
    [
        ("name: app", "app.charm"),
        ("name: app\nplatforms: {../../etc/x: }", "app_..-..-etc-x.charm"),
        ("name: app\nplatforms: {ubuntu@22.04:s390x: }", "app_ubuntu@22.04-s390x.charm"),
        (
            "name: app\nbases: [{name: ubuntu, channel: '22.04', architectures: [riscv64]}]",
            "app_ubuntu-22.04-riscv64.charm",
        ),
    ],
)
def test_the_archive_s_name_has_the_platform_or_the_base(tmp_path: Path, craft: str, name: str) -> None:
    (tmp_path / "charmcraft.yaml").write_text(craft)
    (tmp_path / "dispatch").write_text("")

    assert make_plan(tmp_path).file_name == name


@pytest.mark.parametrize(
    ("name", "expected"),
    [("counter", True), ("keeper", False), ("token-source", False), ("token-sink", False), ("onlooker", False)],
)
def test_only_what_is_not_complete_needs_packing(name: str, expected: bool) -> None:
    assert needs_packing(CHARMS / name) is expected


def test_a_python_charm_without_a_way_in_needs_packing(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src/charm.py").write_text("")
    (tmp_path / "metadata.yaml").write_text("name: app")

    assert needs_packing(tmp_path)
    (tmp_path / "dispatch").write_text("")
    assert not needs_packing(tmp_path)


def test_a_python_charm_whose_dependencies_are_not_there_needs_packing(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    for name in ("src/charm.py", "dispatch"):
        (tmp_path / name).write_text("")
    (tmp_path / "metadata.yaml").write_text("name: app")
    (tmp_path / "requirements.txt").write_text("ops")

    assert needs_packing(tmp_path)
    (tmp_path / "venv").mkdir()
    assert not needs_packing(tmp_path)


def test_an_unpacked_charm_needs_no_packing(tmp_path: Path) -> None:
    source = _source(tmp_path)
    for name in ("metadata.yaml", "manifest.yaml"):
        (source / name).write_text("name: app")

    assert not needs_packing(source)


@pytest.mark.parametrize("name", ["layer.yaml", "charmcraft.yaml"])
def test_a_layer_that_is_not_built_is_no_charm_that_is_complete(tmp_path: Path, name: str) -> None:
    (tmp_path / "metadata.yaml").write_text("name: app")
    (tmp_path / name).write_text("parts: {app: {plugin: reactive}}")

    assert needs_packing(tmp_path)
    (tmp_path / "hooks").mkdir()
    assert not needs_packing(tmp_path)
