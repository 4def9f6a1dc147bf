"""Write docs/reference/hooks.md from the docstrings of the hook specifications.

`uv run python tests/repo/render_hooks.py` renews the page, and the snapshot of the contracts' signatures beside this
file: run it after a change of the contracts, and look at what it changes. Tests fail while either is stale.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import undercroft_hookspecs
from undercroft_hookspecs import Hooks

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "hooks.md"
SNAPSHOT = ROOT / "tests" / "repo" / "hookspecs-1.txt"

INTRODUCTION = """\
# The hooks

What a plugin may implement: each hook with who calls it, when, and what an error in it does. A plugin is a module that
the entry-point group `undercroft.plugins` names; it marks its implementations with `undercroft_hookspecs.hookimpl`.
[Write your first plugin](../tutorials/first-plugin.md) shows one from beginning to end.

Hooks are synchronous, cheap and declarative; a coroutine function is refused when the plugin is registered. Core calls
each plugin on its own, so what one raises is reported against that plugin and hides nobody else's answer. A collecting
hook returns a mapping of claimed names to frozen declarations. Where two plugins claim one name, the later by
entry-point name is `broken` and contributes nothing, and the message names both.

An implementation may leave out arguments that it does not use. One that takes an argument which has since been retired
still loads, with a warning that names the plugin.

This page is made from the docstrings of `undercroft_hookspecs.hooks` by `tests/repo/render_hooks.py`.
"""


def hooks() -> dict[str, str]:
    """Every hook that there is, with its signature as a caller reads it."""
    return {
        name: _signature(name, value)
        for name, value in vars(Hooks).items()
        if name.startswith("undercroft_") and callable(value)
    }


def render_page() -> str:
    """The page of the hooks."""
    sections = [
        f"\n## {name}\n\n```python\n{signature}\n```\n\n{_markdown(name)}\n" for name, signature in hooks().items()
    ]
    return INTRODUCTION + "".join(sections)


def render_snapshot() -> str:
    """Every method and every field that hookspecs promises, one a line, in order of their names."""
    return "\n".join(sorted(_promises())) + "\n"


def _promises() -> Iterator[str]:
    for name in undercroft_hookspecs.__all__:
        value = getattr(undercroft_hookspecs, name)
        if not inspect.isclass(value):
            continue
        yield f"{name}({', '.join(base.__name__ for base in value.__bases__)})"
        yield from (f"{name}.{field}: {kind}" for field, kind in _fields(value) if not field.startswith("_"))
        for member, function in vars(value).items():
            plain = function.__func__ if isinstance(function, classmethod | staticmethod) else function
            if inspect.isfunction(plain) and (not member.startswith("_") or member == "__call__"):
                yield f"{name}.{_signature(member, plain)}"
            elif isinstance(plain, property):
                yield f"{name}.{member}: {plain.fget.__annotations__['return']} (read-only)"


def _fields(kind: type) -> Iterator[tuple[str, object]]:
    yield from vars(kind).get("__annotations__", {}).items()


def _signature(name: str, function: object) -> str:
    assert inspect.isfunction(function)
    signature = inspect.signature(function)
    parameters = [parameter for parameter in signature.parameters.values() if parameter.name != "self"]
    prefix = "async def" if inspect.iscoroutinefunction(function) else "def"
    return f"{prefix} {name}{_unquoted(signature.replace(parameters=parameters))}"


def _unquoted(signature: inspect.Signature) -> str:
    """A signature without the quotes that lazy annotations leave."""
    return re.sub(r"(: |-> )'((?:[^'\\]|\\.)*)'", r"\1\2", str(signature))


def _markdown(name: str) -> str:
    text = inspect.getdoc(getattr(Hooks, name))
    assert text, f"{name} has no docstring"
    return text


def main() -> int:
    """Write both files."""
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(render_page())
    SNAPSHOT.write_text(render_snapshot())
    return 0


if __name__ == "__main__":
    sys.exit(main())
