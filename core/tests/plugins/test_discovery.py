from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from undercroft.plugins.discovery import COMMANDS, PLUGINS, STORES, Distribution, EntryPoint, Installed, normalise

if TYPE_CHECKING:
    from core.tests.conftest import Distributions


def test_an_entry_point_is_found_with_its_distribution(distributions: Distributions) -> None:
    distributions.add("Acme.Disks", version="1.2", plugins={"acme": "acme_disks.plugin:hooks.top [extra]"})

    (point,) = Installed.scan([str(distributions.folder)]).entry_points(PLUGINS)

    assert point == EntryPoint(PLUGINS, "acme", "acme_disks.plugin", "hooks.top", "acme-disks", "1.2")
    assert point.value == "acme_disks.plugin:hooks.top"


def test_groups_are_kept_apart_and_sorted(distributions: Distributions) -> None:
    distributions.add("b", commands={"up": "b:up", "down": "b:down"}, stores={"b": "b:open"})
    distributions.add("a", commands={"up": "a:up"})
    installed = Installed.scan([str(distributions.folder)])

    assert [(p.name, p.distribution) for p in installed.entry_points(COMMANDS)] == [
        ("down", "b"),
        ("up", "a"),
        ("up", "b"),
    ]
    assert [p.name for p in installed.entry_points(STORES)] == ["b"]
    assert installed.entry_points("nothing.here") == []


def test_nothing_is_imported_by_a_scan(distributions: Distributions) -> None:
    distributions.plugin("acme", "raise SystemExit(1)")

    Installed.scan()

    assert "throwaway_acme" not in sys.modules


def test_the_first_on_the_path_wins(tmp_path: Path, make_distributions: type[Distributions]) -> None:
    first, second = make_distributions(tmp_path / "1"), make_distributions(tmp_path / "2")
    first.add("acme-disks", version="2.0", plugins={"new": "m"})
    second.add("Acme_Disks", version="1.0", plugins={"old": "m"})

    installed = Installed.scan([str(first.folder), str(second.folder)])

    assert [point.name for point in installed.entry_points(PLUGINS)] == ["new"]
    assert installed.version("acme.disks") == "2.0"


def test_a_distribution_without_entry_points_hides_a_later_one(
    tmp_path: Path, make_distributions: type[Distributions]
) -> None:
    first, second = make_distributions(tmp_path / "1"), make_distributions(tmp_path / "2")
    first.add("acme", version="2.0")
    second.add("acme", version="1.0", plugins={"old": "m"})

    assert Installed.scan([str(first.folder), str(second.folder)]).entry_points(PLUGINS) == []


def test_requirements_are_the_metadatas_and_not_its_descriptions(distributions: Distributions) -> None:
    distributions.add("acme", requires=["undercroft-hookspecs<2,>=1.0", "click; extra == 'cli'"])
    installed = Installed.scan([str(distributions.folder)])

    assert installed.requires("Acme") == ["undercroft-hookspecs<2,>=1.0", "click; extra == 'cli'"]
    assert installed.requires("absent") == ()
    assert installed.version("absent") is None
    assert installed.find("absent") is None


def test_an_egg_info_of_a_source_tree_is_read(tmp_path: Path) -> None:
    info = tmp_path / "acme_disks.egg-info"
    info.mkdir()
    (info / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: acme-disks\nVersion: 0.5\n")
    (info / "entry_points.txt").write_text("# made by setuptools\n; too\n[undercroft.plugins]\nacme=acme_disks\n")
    (info / "requires.txt").write_text("undercroft-hookspecs>=1\n\n[test]\npytest\n")

    installed = Installed.scan([str(tmp_path)])

    assert installed.entry_points(PLUGINS) == [EntryPoint(PLUGINS, "acme", "acme_disks", "", "acme-disks", "0.5")]
    assert installed.requires("acme-disks") == ["undercroft-hookspecs>=1"]


def test_an_installed_eggs_folder_name_tells_its_version(tmp_path: Path) -> None:
    (tmp_path / "acme-0.5-py3.11.egg-info").mkdir()

    assert Installed.scan([str(tmp_path)]).version("acme") == "0.5"


def test_damaged_metadata_is_no_reason_to_fail(tmp_path: Path) -> None:
    info = tmp_path / "acme-1.0.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_bytes(b"\xff\xfe\n[undercroft.plugins\nno equals\n= m\nx =\n[g]\ny = :a\n")
    (tmp_path / "file-1.dist-info").write_text("not a folder")
    (tmp_path / "archive.zip").write_bytes(b"PK")

    installed = Installed.scan([str(tmp_path), str(tmp_path / "absent"), str(tmp_path / "archive.zip")])

    assert installed.entry_points(PLUGINS) == []
    assert installed.requires("acme") == []
    assert installed.requires("file") == []


def test_an_empty_entry_of_the_path_is_the_working_folder(
    distributions: Distributions, monkeypatch: pytest.MonkeyPatch
) -> None:
    distributions.add("acme")
    monkeypatch.chdir(distributions.folder)

    assert Installed.scan([""]).version("acme") == "1.0"


def test_what_this_environment_has_installed_is_found_editable_or_not() -> None:
    installed = Installed.scan()

    assert installed.version("undercroft-hookspecs") == "1.0.0"
    assert any(line.startswith("undercroft-hookspecs") for line in installed.requires("undercroft"))


def test_a_distribution_may_state_its_metadata_without_a_folder() -> None:
    installed = Installed((Distribution("acme", "1", stated=("undercroft-hookspecs>=1",)),))

    assert installed.requires("acme") == ("undercroft-hookspecs>=1",)


def test_an_entry_point_loads_its_module_or_what_it_names(distributions: Distributions) -> None:
    (distributions.folder / "throwaway_points.py").write_text("class A:\n    b = 3\n")

    assert EntryPoint("g", "n", "throwaway_points", "A.b").load() == 3
    assert EntryPoint("g", "n", "throwaway_points").load() is sys.modules["throwaway_points"]


@pytest.mark.parametrize("name", ["acme-disks", "Acme_Disks", "ACME..disks", "acme-_-disks"])
def test_names_are_compared_as_packaging_tools_do(name: str) -> None:
    assert normalise(name) == "acme-disks"
