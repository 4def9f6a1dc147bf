"""What can be judged of a plugin without starting anything: its import, its hooks, its config, its manifolds."""

from __future__ import annotations

import asyncio
import inspect
import os
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TypedDict

import msgspec

from undercroft.process import SystemProcess
from undercroft_conformance import probe
from undercroft_conformance.drive import left_behind, look
from undercroft_conformance.leaks import lines
from undercroft_conformance.life import Case
from undercroft_conformance.plugin import PREFIX, specifications
from undercroft_conformance.rules import worker as rules
from undercroft_conformance.stalls import TRACED_FACTOR, StallMeter, limit
from undercroft_conformance.verdict import Broken, Check, Unjudged, describe, expect
from undercroft_hookspecs.manifold import Manifold
from undercroft_hookspecs.storage import StorageProvider
from undercroft_hookspecs.worker import Event

BUDGET_SECONDS = 0.15
ATTEMPTS = 3

_COLLECTING: Mapping[str, type] = {
    "undercroft_manifolds": Manifold,
    "undercroft_unit_manifolds": Manifold,
    "undercroft_storage_providers": StorageProvider,
    "undercroft_metric_senders": object,
    "undercroft_hook_tools": object,
}


class Probed(TypedDict):
    """What the probe prints."""

    base: float
    added: float
    traced: bool
    modules: list[str]
    leaks: list[str]


async def import_budget(case: Case) -> None:
    """Import the plugin in interpreters of their own; the quickest counts."""
    best: Probed | None = None
    for _ in range(ATTEMPTS):
        found = await _probe(case)
        best = found if best is None or found["added"] < best["added"] else best
        budget = BUDGET_SECONDS * (TRACED_FACTOR if best["traced"] else 1)
        if best["added"] <= max(budget, best["base"]):
            return
    assert best is not None
    raise Broken(
        f"importing {case.plugin.module.__name__} takes {best['added'] * 1000:.0f} ms of processor time; "
        f"it brings along {', '.join(best['modules']) or 'no other package'}: import those where a worker starts"
    )


async def import_effects(case: Case) -> None:
    """See what the import has left running or open."""
    found = await _probe(case)
    expect(not found["leaks"], f"importing {case.plugin.module.__name__} left: {'; '.join(found['leaks'])}")


async def _probe(case: Case) -> Probed:
    module = case.plugin.module
    if module.__spec__ is None:
        raise Unjudged(f"{module.__name__} is not a module that can be imported anew")
    argv = [sys.executable, "-c", probe.SCRIPT, module.__name__]
    env = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONHASHSEED": "0"}
    done = await SystemProcess().run(argv, timeout=60.0, check=False, env=env)
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise Broken(f"importing {module.__name__} by itself fails: {said[-1] if said else done.returncode}")
    return msgspec.json.decode(done.stdout.splitlines()[-1], type=Probed)


async def hook_known(case: Case) -> None:
    """Every implementation is of a hook that exists, and what is named like a hook is one."""
    known = specifications()
    for name in case.plugin.hooks:
        expect(name in known, f"{name} is marked as a hook, and there is no such hook; there are {', '.join(known)}")
    if alike := case.plugin.look_alikes:
        raise Broken(f"{', '.join(alike)} is named like a hook and not marked with @hookimpl, so nobody calls it")
    expect(case.plugin.hooks, f"{case.plugin.module.__name__} implements no hook ({PREFIX}...)")


async def hook_arguments(case: Case) -> None:
    """Every implementation takes arguments that its hook has."""
    for name, function in case.plugin.hooks.items():
        had = specifications().get(name)
        if had is None:
            continue
        for parameter in inspect.signature(function).parameters.values():
            if parameter.kind in {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}:
                raise Broken(f"{name} takes *{parameter.name}; name its arguments, of {list(had)}")
            expect(
                parameter.name in had, f"{name} takes {parameter.name!r}; the hook has {list(had) or 'no arguments'}"
            )


async def hook_synchronous(case: Case) -> None:
    """No implementation is a coroutine function."""
    for name, function in case.plugin.hooks.items():
        is_async = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
        expect(not is_async, f"{name} is async; hooks are asked, not awaited")


async def hook_answer(case: Case) -> None:
    """Every hook answers with what its specification says."""
    judged = False
    for name in case.plugin.hooks:
        if not _fits(case, name):
            continue
        judged = True
        answer = _ask(case, name)
        if problem := _problem(name, answer):
            raise Broken(f"{name} gives {problem}")
    if not judged:
        raise Unjudged("none of its hooks takes this subject's agent")


async def hook_cheap(case: Case) -> None:
    """No hook that a running agent calls takes long, or starts or opens anything."""
    names = [name for name in case.plugin.hooks if _fits(case, name) and name != "undercroft_check"]
    before = look(case.subject.folders())
    for name in names:
        _ask(case, name)  # The first time it may import what it needs.
        meter = StallMeter()
        began = time.perf_counter()
        _ask(case, name)
        took = meter.stall(time.perf_counter() - began)
        expect(took <= limit(), f"{name} takes {took * 1000:.0f} ms")
        if left := await left_behind(before, case.subject.folders()):
            raise Broken(f"{name} has started or opened something:\n{lines(left)}")


async def hook_repeatable(case: Case) -> None:
    """Asked again, the plugin declares the same."""
    if case.hook not in case.plugin.hooks:
        raise Unjudged(f"the plugin has no {case.hook}")
    first, second = (_shape(case.manifolds()) for _ in range(2))
    expect(first == second, f"{case.hook} declares {first}, and asked again {second}")


def _shape(manifolds: Mapping[str, Manifold]) -> dict[str, list[str]]:
    return {name: list(manifold.inputs) for name, manifold in manifolds.items()}


def _fits(case: Case, hook: str) -> bool:
    """Whether the subject's agent is what the hook is given."""
    had = specifications().get(hook)
    return had is not None and (not had or had[0] == "event" or (had[0] == "unit") == case.subject.is_unit)


def _ask(case: Case, hook: str) -> object:
    event = Event("started", "engine/specimen", datetime(2024, 1, 1, tzinfo=UTC))
    try:
        answer = case.plugin.ask(hook, agent=case.subject.agent, unit=case.subject.agent, event=event)
    except Exception as error:  # The plugin's code may raise anything.
        raise Broken(f"{hook} raised {describe(error)}") from error
    if asyncio.iscoroutine(answer):
        answer.close()
        raise Broken(f"{hook} gives a coroutine; hooks are asked, not awaited")
    return answer


def _problem(hook: str, answer: object) -> str:
    if hook == "undercroft_config":
        fine = isinstance(answer, type) and issubclass(answer, msgspec.Struct)
        return "" if fine else f"{answer!r}, which is not a msgspec.Struct class"
    if hook == "undercroft_worker_event":
        return "" if answer is None else f"{answer!r}, and nobody takes an answer"
    if hook == "undercroft_check":
        is_list = isinstance(answer, Sequence) and not isinstance(answer, str)
        said = list(answer) if isinstance(answer, Sequence) else []
        fine = is_list and all(isinstance(each, str) for each in said)
        return "" if fine else f"{answer!r}, not a list of sentences"
    if not isinstance(answer, Mapping):
        return f"{type(answer).__name__}, not a mapping of names"
    for name, value in answer.items():
        if not isinstance(name, str) or not name:
            return f"{name!r} as a name"
        if not isinstance(value, _COLLECTING[hook]):
            return f"{type(value).__name__} under {name!r}, not {_COLLECTING[hook].__name__}"
    return ""


def _config(case: Case) -> type[msgspec.Struct]:
    if "undercroft_config" not in case.plugin.hooks:
        raise Unjudged("the plugin has no config")
    kind = _ask(case, "undercroft_config")
    if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
        raise Unjudged("undercroft_config does not give a struct (see hook-answer)")
    return kind


async def config_defaults(case: Case) -> None:
    """An empty section is a valid one."""
    kind = _config(case)
    lacking = [field.name for field in msgspec.structs.fields(kind) if field.required]
    expect(not lacking, f"{kind.__name__} has no default for {', '.join(lacking)}")
    try:
        made = msgspec.convert({}, kind)
        again = msgspec.convert(msgspec.to_builtins(made), kind)
    except (msgspec.ValidationError, TypeError, ValueError) as error:
        raise Broken(f"the defaults of {kind.__name__} do not validate: {error}") from error
    expect(again == made, f"the defaults of {kind.__name__} are not what they are read back as: {again} for {made}")


async def config_frozen(case: Case) -> None:
    """The struct, and the structs in it, are frozen."""
    kind = _config(case)
    for each in _structs(kind):
        expect(each.__struct_config__.frozen, f"{each.__name__} is not frozen=True")


async def config_unknown(case: Case) -> None:
    """The struct, and the structs in it, refuse keys that they do not know."""
    kind = _config(case)
    for each in _structs(kind):
        expect(each.__struct_config__.forbid_unknown_fields, f"{each.__name__} is not forbid_unknown_fields=True")


def _structs(kind: type[msgspec.Struct]) -> list[type[msgspec.Struct]]:
    found = [kind]
    for each in found:
        for field in msgspec.structs.fields(each):
            inner = field.type
            if isinstance(inner, type) and issubclass(inner, msgspec.Struct) and inner not in found:
                found.append(inner)
    return found


async def manifold_declared(case: Case) -> None:
    """Every manifold is one that the engine would install."""
    for name, manifold in case.manifolds().items():
        expect(callable(manifold.start), f"the start of {name!r} is not callable")
        for part in ("output", "filter"):
            value = getattr(manifold, part)
            expect(value is None or callable(value), f"the {part} of {name!r} is not callable")
        inputs: object = manifold.inputs
        fine = isinstance(inputs, Sequence) and not isinstance(inputs, str) and all(map(_is_name, inputs))
        expect(fine, f"the inputs of {name!r} are {inputs!r}, not a sequence of names")
        expect(name not in manifold.inputs, f"{name!r} takes itself")


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value)


CHECKS: tuple[Check[Case], ...] = (
    Check(rules.IMPORT_BUDGET, import_budget),
    Check(rules.IMPORT_EFFECTS, import_effects),
    Check(rules.HOOK_KNOWN, hook_known),
    Check(rules.HOOK_ARGUMENTS, hook_arguments),
    Check(rules.HOOK_SYNCHRONOUS, hook_synchronous),
    Check(rules.HOOK_ANSWER, hook_answer),
    Check(rules.HOOK_CHEAP, hook_cheap),
    Check(rules.HOOK_REPEATABLE, hook_repeatable),
    Check(rules.CONFIG_DEFAULTS, config_defaults),
    Check(rules.CONFIG_FROZEN, config_frozen),
    Check(rules.CONFIG_UNKNOWN, config_unknown),
    Check(rules.MANIFOLD_DECLARED, manifold_declared),
)
