"""What runs in an interpreter of its own to see what importing one module costs, and what it does."""

from __future__ import annotations

SCRIPT = """
import asyncio, json, logging, pathlib, random, sys, time
from importlib import import_module

began = time.process_time()
import msgspec, pluggy
for package in map(import_module, ("undercroft_hookspecs", "undercroft", "undercroft.dependency")):
    for name in package.__all__:
        getattr(package, name)
base = time.process_time() - began

from undercroft_conformance.leaks import difference, snapshot

known = set(sys.modules)
before = snapshot(below=())
began = time.process_time()
import_module(sys.argv[1])
added = time.process_time() - began
leaks = [str(leak) for leak in difference(before, snapshot(below=()))]
own = sys.argv[1].partition(".")[0]
modules = sorted({name.partition(".")[0] for name in sys.modules if name not in known} - {own})
answer = {"base": base, "added": added, "traced": sys.gettrace() is not None, "modules": modules[:20], "leaks": leaks}
print(json.dumps(answer))
"""
