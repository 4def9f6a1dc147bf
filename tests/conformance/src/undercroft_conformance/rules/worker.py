"""The rules for a plugin and its workers."""

from __future__ import annotations

from undercroft_conformance.rules.rule import Rule

_HOOKS = "undercroft_hookspecs.hooks"
_MANIFOLD = "undercroft_hookspecs.manifold"
_WORKER = "undercroft_hookspecs.worker"
_AGENT = "undercroft_hookspecs.agent"
_CONFIG = "The struct is frozen, refuses unknown fields, and every field has a default."
_KILL = "Ask for a stop, and return at once."
_KILL_MORE = (
    "Never raises; may be called any number of times, from any thread, and does nothing once the worker is dead."
)
_WAIT = "Return when the worker is dead, or raise the error that it died of; any number of callers may wait."
_DECLARATIVE = (
    "Hooks are synchronous, cheap and declarative; a coroutine function is refused when the plugin is registered."
)

IMPORT_BUDGET = Rule(
    "import-budget",
    "Importing a plugin's module adds no more than 150 ms of processor time, or as much again as the contracts take: "
    "nobody pays for a worker that is not started.",
)
IMPORT_EFFECTS = Rule(
    "import-effects", "Importing a plugin's module starts no thread and no process, and opens nothing: nothing runs."
)
HOOK_KNOWN = Rule("hook-known", "Every hook that there is.", _HOOKS)
HOOK_ARGUMENTS = Rule("hook-arguments", "The hook specifications: what a plugin may implement.", _HOOKS)
HOOK_SYNCHRONOUS = Rule("hook-synchronous", _DECLARATIVE, _HOOKS)
HOOK_ANSWER = Rule(
    "hook-answer",
    "Every collecting hook returns a mapping of claimed names to frozen declarations; core merges them plugin by "
    "plugin.",
    _HOOKS,
)
HOOK_CHEAP = Rule("hook-cheap", _DECLARATIVE, _HOOKS)
HOOK_REPEATABLE = Rule(
    "hook-repeatable",
    "Called by core once at the agent's start, and again at a reload that touches the plugin.",
    _HOOKS,
)
CONFIG_DEFAULTS = Rule("config-defaults", _CONFIG, _HOOKS)
CONFIG_FROZEN = Rule("config-frozen", _CONFIG, _HOOKS)
CONFIG_UNKNOWN = Rule("config-unknown", _CONFIG, _HOOKS)
MANIFOLD_DECLARED = Rule(
    "manifold-declared",
    "How a worker is declared to the dependency engine: what it needs, how it is started, what it exposes.",
    _MANIFOLD,
)
START_WORKER = Rule("start-worker", "`start` makes the worker and may be async;", _MANIFOLD)
START_DECLARED = Rule("start-declared", "`inputs` are the names that it may ask for.", _MANIFOLD)
START_MISSING = Rule(
    "start-missing",
    "it is called whether or not the inputs are running, asks the context for what it needs, and lets the resulting "
    "`Missing` pass.",
    _MANIFOLD,
)
START_NOTHING = Rule(
    "start-nothing", "With none of its inputs running, a start raises Missing; it needs no fake to be seen doing so."
)
START_CANCELLED = Rule(
    "start-cancelled",
    "A start that is no longer wanted is cancelled, once: it ends within 5 seconds, and cleans up what it has made.",
)
START_KILLED = Rule(
    "start-killed", "A worker that is killed before its code has first run dies cleanly within 5 seconds all the same."
)
KILL_AT_ONCE = Rule("kill-at-once", _KILL, _WORKER)
KILL_SILENT = Rule("kill-silent", _KILL_MORE, _WORKER)
KILL_TWICE = Rule("kill-twice", _KILL_MORE, _WORKER)
KILL_THREAD = Rule("kill-thread", _KILL_MORE, _WORKER)
KILL_DEAD = Rule("kill-dead", _KILL_MORE, _WORKER)
KILL_CLEAN = Rule("kill-clean", "A worker that is killed dies within 5 seconds, at any moment, and without an error.")
KILL_ENGINE = Rule(
    "kill-engine",
    "Under a real engine that is killed before, during or after the start, all dies within 5 seconds and cleanly.",
)
WAIT_MANY = Rule("wait-many", _WAIT, _WORKER)
WAIT_DEAD = Rule("wait-dead", _WAIT, _WORKER)
WAIT_CANCELLED = Rule("wait-cancelled", "Cancelling a waiter never touches the worker.", _WORKER)
ENGINE_BOUNCE = Rule(
    "engine-bounce", "When an input comes up anew, the worker is stopped and comes up again, without an error."
)
LEAK_FREE = Rule(
    "leak-free",
    "50 starts and stops leave no task, thread, file descriptor, child process, mount or loop device behind.",
)
LOOP_FREE = Rule("loop-free", "No callback of a worker holds the loop for more than 100 ms.")
NO_NOISE = Rule("no-noise", "No exception of a worker ends in the loop's exception handler.")
REPORT_JSON = Rule(
    "report-json",
    "Describe the present state, quickly and without side effects; nothing may depend on its shape.",
    _WORKER,
)
OUTPUT_KIND = Rule("output-kind", "`output` exposes the worker to others as a kind.", _MANIFOLD)
OUTPUT_REFUSES = Rule("output-refuses", "An output that is asked for a kind which it does not give raises OutputError.")
WRITES_INSIDE = Rule("writes-inside", "The plugin's own folder: it writes nowhere else without being told to.", _AGENT)
