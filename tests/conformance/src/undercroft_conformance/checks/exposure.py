"""What workers show: to people by their report, to other workers by their output."""

from __future__ import annotations

import inspect
import json
import time

from undercroft import caused_by
from undercroft.dependency import OutputError
from undercroft_conformance.checks.manifolds import Manifolds, per_manifold
from undercroft_conformance.drive import turns
from undercroft_conformance.life import Case, alive
from undercroft_conformance.rules import worker as rules
from undercroft_conformance.stalls import StallMeter, limit
from undercroft_conformance.verdict import Broken, Check, NotApplicable, Unjudged, describe, expect
from undercroft_hookspecs.manifold import OutputFunc
from undercroft_hookspecs.worker import Reporter


class Unheard:
    """A kind that no output gives."""


async def report_json(case: Case, name: str, manifolds: Manifolds) -> None:
    """A report is a dict that JSON can hold, and takes no time."""
    async with alive(case, name, manifolds) as worker:
        if not isinstance(worker, Reporter):
            raise NotApplicable(f"{name!r} has no report()")
        for moment in (0, 5):
            await turns(moment)
            meter = StallMeter()
            began = time.perf_counter()
            document: object = worker.report()
            took = meter.stall(time.perf_counter() - began)
            if inspect.iscoroutine(document):
                document.close()
            expect(isinstance(document, dict), f"report() of {name!r} gives {type(document).__name__}, not a dict")
            expect(took <= limit(), f"report() of {name!r} took {took * 1000:.0f} ms")
            try:
                json.dumps(document, allow_nan=False)
            except (TypeError, ValueError) as error:
                raise Broken(f"report() of {name!r} is not JSON: {error}") from error


async def output_kind(case: Case, name: str, manifolds: Manifolds) -> None:
    """The output gives every kind that the subject names, and what it gives is of that kind."""
    output, kinds = _output(case, name, manifolds)
    async with alive(case, name, manifolds) as worker:
        for kind in kinds:
            try:
                given = output(worker, kind)
            except Exception as error:  # The plugin's code may raise anything.
                raise Broken(f"{name!r} is to give {kind.__name__}, and raises {describe(error)}") from error
            if problem := shortfall(given, kind):
                raise Broken(f"what {name!r} gives as {kind.__name__} {problem}")


async def output_refuses(case: Case, name: str, manifolds: Manifolds) -> None:
    """The output refuses a kind that nobody has heard of."""
    output, _ = _output(case, name, manifolds)
    async with alive(case, name, manifolds) as worker:
        try:
            given = output(worker, Unheard)
        except Exception as error:  # The plugin's code may raise anything.
            fine = caused_by(error, OutputError) is not None
            expect(fine, f"{name!r}, asked for a kind that it does not give, raises {describe(error)}")
        else:
            raise Broken(f"{name!r}, asked for a kind that it does not give, gives {given!r}")


def _output(case: Case, name: str, manifolds: Manifolds) -> tuple[OutputFunc, tuple[type, ...]]:
    output, kinds = manifolds[name].output, case.subject.outputs.get(name, ())
    if output is None:
        expect(not kinds, f"{name!r} has no output, and is to give {', '.join(kind.__name__ for kind in kinds)}")
        raise NotApplicable(f"{name!r} has no output")
    if not kinds:
        raise Unjudged(f"the subject does not say which kinds {name!r} gives")
    return output, kinds


def shortfall(value: object, kind: type) -> str:
    """What a value lacks to be of a kind; "" if nothing. Of a Protocol, methods have to take what it says."""
    if not getattr(kind, "_is_protocol", False):
        return "" if isinstance(value, kind) else f"is a {type(value).__name__}"
    for member in _members(kind):
        if not hasattr(value, member):
            return f"has no {member}"
        promised, given = getattr(kind, member, None), getattr(value, member)
        if not inspect.isfunction(promised):
            continue
        if not callable(given):
            return f"has a {member} that cannot be called"
        if problem := _misfit(promised, given):
            return f"has a {member}{problem}"
    return ""


def _members(kind: type) -> list[str]:
    found: dict[str, None] = {}
    for each in reversed(kind.__mro__):
        if getattr(each, "_is_protocol", False):
            names = (*vars(each), *getattr(each, "__annotations__", {}))
            found.update(dict.fromkeys(name for name in names if not name.startswith("_")))
    return list(found)


def _misfit(promised: object, given: object) -> str:
    """How a method does not take what its Protocol says that it may be given."""
    assert callable(promised)
    assert callable(given)
    try:
        takes = inspect.signature(given)
    except (TypeError, ValueError):
        return ""  # Made by C, which does not say.
    by_place: list[None] = []
    by_name: dict[str, None] = {}
    for parameter in list(inspect.signature(promised).parameters.values())[1:]:
        if parameter.kind in {parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD}:
            by_place.append(None)
        elif parameter.kind is parameter.KEYWORD_ONLY:
            by_name[parameter.name] = None
    try:
        takes.bind(*by_place, **by_name)
    except TypeError as error:
        return f"{takes} that does not take what the kind says: {error}"
    return ""


CHECKS: tuple[Check[Case], ...] = (
    Check(rules.REPORT_JSON, per_manifold(report_json)),
    Check(rules.OUTPUT_KIND, per_manifold(output_kind)),
    Check(rules.OUTPUT_REFUSES, per_manifold(output_refuses)),
)
