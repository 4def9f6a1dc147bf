"""The page's script, run by Node on a document that only knows text."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from plugins.introspection.tests.fakes import HOSTILE, entry

import undercroft_introspection

PAGE = Path(undercroft_introspection.__file__).parent / "page"

# Elements have what the script uses and nothing that could parse markup; timers are run by hand.
DOCUMENT = """
const [script, graph] = [process.argv[1], JSON.parse(process.argv[2])];
const timers = [], fetched = [], listeners = {}, byId = {};
class Element {
  constructor(tag) { this.tag = tag; this.children = []; this.textContent = ""; this.clicks = []; }
  append(...more) { this.children.push(...more); }
  replaceChildren(...all) { this.children = all; }
  addEventListener(kind, call) { this.clicks.push(call); }
}
globalThis.document = {
  visibilityState: "visible",
  createElement: (tag) => new Element(tag),
  getElementById: (id) => (byId[id] ??= new Element(id)),
  addEventListener: (kind, call) => { listeners[kind] = call; },
};
globalThis.setTimeout = (call) => { timers.push(call); return timers.length - 1; };
globalThis.clearTimeout = (id) => { timers[id] = null; };
globalThis.AbortSignal = { timeout: () => undefined };
globalThis.fetch = async (path) => {
  fetched.push(path);
  return { json: async () => (path === "/graph" ? graph : { sentences: ["so"] }) };
};
const due = () => timers.filter((each) => each).length;
async function turn() { const ready = timers.splice(0); for (const each of ready) if (each) await each(); }
const texts = (element) => [element.textContent, ...element.children.flatMap(texts)].filter((each) => each);
const buttons = (element) => [...element.clicks, ...element.children.flatMap(buttons)];
(async () => {
  (0, eval)(require("fs").readFileSync(script, "utf8"));
  await turn();
  const told = { texts: texts(byId.engines), summary: byId.summary.textContent, due: due() };
  document.visibilityState = "hidden"; listeners.visibilitychange();
  told.hidden = due();
  document.visibilityState = "visible"; listeners.visibilitychange(); listeners.visibilitychange();
  told.shown = due();
  await buttons(byId.engines).at(-1)();
  told.story = texts(byId["story-sentences"]);
  console.log(JSON.stringify({ ...told, fetched }));
})();
"""


@pytest.fixture
def told() -> Any:  # Any: JSON.
    """What the page shows and does with a graph in which names are hostile."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed: `apt-get install -y --no-install-recommends nodejs`")
    name = f"model/mysql/0/{HOSTILE}"
    graph = {"manifolds": {name: entry("quarantined", HOSTILE), "store": entry("starting", missing=["agent"])}}
    argv = [node, "-e", DOCUMENT, str(PAGE / "page.js"), json.dumps(graph)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_page_shows_names_and_errors_as_text_and_asks_only_while_it_is_visible(told: Any) -> None:  # as above
    assert told["summary"] == "0 of 2 workers up"
    assert told["texts"].count(HOSTILE) == 2
    assert {"This host", "model/mysql/0", "quarantined", "waits for agent"} <= set(told["texts"])
    assert (told["due"], told["hidden"], told["shown"]) == (1, 0, 1)
    assert told["fetched"] == ["/graph", "/explain/model%2Fmysql%2F0%2F%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E"]
    assert told["story"] == ["so"]


def test_the_script_never_makes_markup_of_text() -> None:
    script = (PAGE / "page.js").read_text()

    assert not any(word in script for word in ("HTML", "eval", "document.write", "Function("))
