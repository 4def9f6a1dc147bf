"use strict";
(() => {
  const PERIOD = 2000;
  const MOVING = ["starting", "stopping"];
  let timer = null;
  let asking = false;

  // Whatever comes from the agent becomes text, never markup.
  function element(tag, text, name) {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    if (name) made.className = name;
    return made;
  }

  function mood(entry) {
    if (entry.state === "started") return "well";
    if (MOVING.includes(entry.state) && !entry.error) return "moving";
    return entry.state === "stopped" && !entry.error && !entry.missing.length ? "" : "ill";
  }

  function trouble(entry) {
    if (entry.error) return entry.error;
    return entry.missing.length ? "waits for " + entry.missing.join(", ") : "";
  }

  // A unit's worker is called <model>/<unit>/<worker>; the agent's own have no slash in their names.
  function byEngine(manifolds) {
    const engines = new Map([["This host", []]]);
    for (const [name, entry] of Object.entries(manifolds)) {
      const end = name.lastIndexOf("/");
      const engine = end < 0 ? "This host" : name.slice(0, end);
      if (!engines.has(engine)) engines.set(engine, []);
      engines.get(engine).push([name, name.slice(end + 1), entry]);
    }
    return engines;
  }

  function row(name, label, entry) {
    const made = element("tr");
    const cell = element("td", undefined, "name");
    const button = element("button", label);
    button.addEventListener("click", () => explain(name));
    cell.append(button);
    const inputs = entry.inputs.map((input) => input.slice(input.lastIndexOf("/") + 1)).join(", ");
    made.append(cell, element("td", entry.state, mood(entry)), element("td", inputs));
    made.append(element("td", entry.plugin), element("td", trouble(entry)));
    return made;
  }

  function table(rows) {
    const made = element("table");
    const head = element("tr");
    head.append(...["Worker", "State", "Takes", "Plugin", "Trouble"].map((title) => element("th", title)));
    made.append(head, ...rows.map((each) => row(...each)));
    return made;
  }

  function draw(manifolds) {
    const entries = Object.values(manifolds);
    const up = entries.filter((entry) => entry.state === "started").length;
    say(up + " of " + entries.length + " workers up");
    const drawn = [];
    for (const [engine, rows] of byEngine(manifolds)) drawn.push(element("h2", engine), table(rows));
    document.getElementById("engines").replaceChildren(...drawn);
  }

  function say(text) {
    const summary = document.getElementById("summary");
    if (summary.textContent !== text) summary.textContent = text;
  }

  async function ask(path) {
    const answer = await fetch(path, { cache: "no-store", credentials: "omit", signal: AbortSignal.timeout(10000) });
    return answer.json();
  }

  async function explain(name) {
    const told = await ask("/explain/" + encodeURIComponent(name));
    const sentences = told.sentences || [told.error.message];
    document.getElementById("story-name").textContent = name;
    document.getElementById("story-sentences").replaceChildren(...sentences.map((each) => element("li", each)));
    document.getElementById("story").hidden = false;
  }

  async function refresh() {
    timer = null;
    asking = true;
    try {
      const graph = await ask("/graph");
      draw(graph.manifolds);
    } catch (error) {
      say("The agent does not answer: " + error.message);
    }
    asking = false;
    arm(PERIOD);
  }

  function arm(delay) {
    if (timer === null && !asking && document.visibilityState === "visible") timer = setTimeout(refresh, delay);
  }

  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") {
      arm(0);
    } else if (timer !== null) {
      clearTimeout(timer);
      timer = null;
    }
  });
  arm(0);
})();
