"""The context of restricted hooks, which are run beside the unit's others: `collect-metrics`, `meter-status-changed`.

They may write to the log, read the config, and learn the unit's addresses; nothing that they could change is theirs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from undercroft_hookspecs.hook_tools import ConfigContext, LogContext, NetworkContext
from undercroft_uniter.context.application import HookConfig
from undercroft_uniter.context.context import CharmContext
from undercroft_uniter.context.log import HookLog
from undercroft_uniter.context.network import HookNetwork
from undercroft_uniter.jujuc.server import new_context_id

if TYPE_CHECKING:
    from undercroft_hookspecs.unit_facades import ConfigFacade, NetworkFacade
    from undercroft_uniter.seams import UnitLog


def restricted_context(
    unit: str, hook: str, *, log: UnitLog, config: ConfigFacade, network: NetworkFacade
) -> CharmContext:
    """A context for one run of a restricted hook."""
    return CharmContext(
        id=new_context_id(unit, hook),
        unit=unit,
        hook=hook,
        parts={LogContext: HookLog(log), ConfigContext: HookConfig(config), NetworkContext: HookNetwork(network)},
    )
