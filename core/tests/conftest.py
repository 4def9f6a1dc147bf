"""Throw-away distributions: metadata folders and modules as pip leaves them, in a folder to be put on a path."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from textwrap import dedent

import pytest

HOOKSPECS = "undercroft-hookspecs>=1.0,<2"


class Distributions:
    """Writes distributions into `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def add(
        self,
        name: str,
        *,
        version: str = "1.0",
        requires: Sequence[str] = (HOOKSPECS,),
        modules: Mapping[str, str] | None = None,
        plugins: Mapping[str, str] | None = None,
        commands: Mapping[str, str] | None = None,
        stores: Mapping[str, str] | None = None,
    ) -> Path:
        """Write one, and return its metadata folder. `modules` maps a module's name to its source."""
        info = self.folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        lines = ["Metadata-Version: 2.4", f"Name: {name}", f"Version: {version}"]
        lines += [f"Requires-Dist: {each}" for each in requires]
        (info / "METADATA").write_text("\n".join([*lines, "", "A description.", "Requires-Dist: not-a-header", ""]))
        groups = {"undercroft.plugins": plugins, "undercroft.commands": commands, "undercroft.stores": stores}
        text = [
            f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in (points or {}).items())
            for group, points in groups.items()
        ]
        (info / "entry_points.txt").write_text("\n".join(text))
        for module, source in (modules or {}).items():
            (self.folder / f"{module}.py").write_text(dedent(source))
        return info

    def plugin(self, name: str, source: str, *, distribution: str = "", requires: Sequence[str] = (HOOKSPECS,)) -> None:
        """Write a distribution with one plugin, whose module is `source`."""
        module = f"throwaway_{(distribution or name).replace('-', '_')}"
        self.add(
            distribution or f"undercroft-{name}", requires=requires, modules={module: source}, plugins={name: module}
        )


@pytest.fixture
def distributions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Distributions]:
    """Distributions in a folder of their own, which is on `sys.path`, beside a hookspecs that says it is 1.0.0."""
    made = Distributions(tmp_path / "site")
    made.add("undercroft-hookspecs", version="1.0.0", requires=())
    monkeypatch.syspath_prepend(str(made.folder))
    yield made
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(str(made.folder)):
            del sys.modules[name]


@pytest.fixture
def make_distributions() -> type[Distributions]:
    """Distributions in folders that the test names, and that are on no path."""
    return Distributions
