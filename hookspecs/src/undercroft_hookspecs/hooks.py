"""The hook specifications: what a plugin may implement.

Hooks are synchronous, cheap and declarative; a coroutine function is refused when the plugin is registered. Core calls
each plugin on its own: what one raises is reported against that plugin, which is then `broken`, and hides nobody else's
answer. Two plugins that claim one name: the later by entry-point name is `broken` and contributes nothing; the message
names both.

Every collecting hook returns a mapping of claimed names to frozen declarations; core merges them plugin by plugin.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
import pluggy

if TYPE_CHECKING:
    from undercroft_hookspecs.agent import Agent, UnitAgent
    from undercroft_hookspecs.hook_tools import HookTool
    from undercroft_hookspecs.manifold import Manifold
    from undercroft_hookspecs.metrics import MetricSender
    from undercroft_hookspecs.storage import StorageProvider
    from undercroft_hookspecs.worker import Event

hookspec = pluggy.HookspecMarker("undercroft")
hookimpl = pluggy.HookimplMarker("undercroft")


class Hooks(Protocol):
    """Every hook that there is."""

    @hookspec
    def undercroft_config(self) -> type[msgspec.Struct]:
        """The struct of the plugin's config section `[plugins.<name>]`.

        Called by core when the plugin is loaded, and at each reload. The struct is frozen, refuses unknown fields, and
        every field has a default. An error, or a struct that breaks these rules, makes the plugin `broken`.
        """
        ...

    @hookspec
    def undercroft_manifolds(self, agent: Agent) -> Mapping[str, Manifold]:
        """The manifolds that the plugin adds to the top engine.

        Called by core once at the agent's start, and again at a reload that touches the plugin. An error makes the
        plugin `broken`: it contributes nothing, and the agent runs.
        """
        ...

    @hookspec
    def undercroft_unit_manifolds(self, unit: UnitAgent) -> Mapping[str, Manifold]:
        """The manifolds that the plugin adds to one unit's engine.

        Called by core at load with a specimen unit (`specimen/0` of the model with UUID zero), and then at each start
        of a unit's engine; names and inputs may not depend on the unit. An error at load makes the plugin `broken`; an
        error for one unit is logged, and that unit goes without this plugin's manifolds.
        """
        ...

    @hookspec
    def undercroft_storage_providers(self, agent: Agent) -> Mapping[str, StorageProvider[Any]]:
        """The kinds of storage that the plugin can provision, by provider name.

        Called by whoever collects it (the storage provisioner) at its start. An error makes the plugin `broken`.
        """
        ...

    @hookspec
    def undercroft_metric_senders(self, agent: Agent) -> Mapping[str, MetricSender]:
        """The destinations that metric batches can be sent to, by sender name.

        Called by whoever collects it (the metric sender) at its start. An error makes the plugin `broken`.
        """
        ...

    @hookspec
    def undercroft_hook_tools(self, unit: UnitAgent) -> Mapping[str, HookTool]:
        """The hook tools that the plugin adds, by command name.

        Called by whoever collects it (the uniter) once per start of a unit. An error makes the plugin `broken`.
        """
        ...

    @hookspec
    def undercroft_check(self, agent: Agent) -> Sequence[str]:
        """What this host lacks for the plugin to work: one sentence with its remedy each.

        Called by `undercroft check` and the like, never by a running agent. An error is shown in place of the
        sentences.
        """
        ...

    @hookspec
    def undercroft_worker_event(self, event: Event) -> None:
        """Observe a transition of a worker.

        Called by core on the loop, at every event of the top engine and the unit engines. Errors are logged and
        dropped.
        """
        ...
