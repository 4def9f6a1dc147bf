"""The unit's application as a hook sees it: its config, what there is to be, and its cloud."""

from __future__ import annotations

from typing import TYPE_CHECKING

from undercroft_hookspecs import NotPermittedError
from undercroft_uniter.context.firstread import FirstRead

if TYPE_CHECKING:
    from collections.abc import Mapping

    from undercroft_hookspecs.charm import Scalar
    from undercroft_hookspecs.unit_facades import ApplicationFacade, ConfigFacade

_CLOUD = "localhost"


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


class HookCredential:
    """The part `CredentialContext`, of machines that no cloud has made and that no credential opens.

    Charms that are trusted get that in the form that they know: of Juju's cloud for machines of one's own.
    """

    def __init__(self, application: ApplicationFacade) -> None:
        self._application = application

    async def credential(self) -> Mapping[str, object]:
        """The cloud and its credential. Raises NotPermittedError."""
        if not (await self._application.application()).trust:
            raise NotPermittedError("cannot access cloud credentials: the application is not trusted")
        credential = {"auth-type": "empty", "attrs": {}, "redacted": []}
        return {"type": "manual", "name": _CLOUD, "region": _CLOUD, "credential": credential}
