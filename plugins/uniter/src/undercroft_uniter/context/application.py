"""The unit's application as a hook sees it: its config, what there is to be, and the cloud that there is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from undercroft_hookspecs import NotPermittedError
from undercroft_uniter.context.firstread import FirstRead

if TYPE_CHECKING:
    from collections.abc import Mapping

    from undercroft_hookspecs.charm import Scalar
    from undercroft_hookspecs.unit_facades import ApplicationFacade, ConfigFacade


class HookConfig:
    """The part `ConfigContext`."""

    def __init__(self, config: ConfigFacade) -> None:
        self._settings = FirstRead(config.settings)

    async def settings(self) -> Mapping[str, Scalar]:
        """All options, as they were when this hook first asked."""
        return await self._settings.get()


class HookGoalState:
    """The part `GoalStateContext`."""

    def __init__(self, application: ApplicationFacade) -> None:
        self._goal = FirstRead(application.goal_state)

    async def goal_state(self) -> Mapping[str, object]:
        """What there was to be when this hook first asked."""
        return await self._goal.get()


class NoCredential:
    """The part `CredentialContext`, of a machine that no cloud has made."""

    async def credential(self) -> Mapping[str, object]:
        """Raises NotPermittedError."""
        raise NotPermittedError("cannot access cloud credentials: this model is on no cloud")
