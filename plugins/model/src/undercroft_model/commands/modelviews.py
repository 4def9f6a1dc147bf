"""Models and their settings as documents and tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from undercroft_model.commands.columns import columns
from undercroft_model.document import CLOUD, CONTROLLER, JUJU_VERSION, model_status
from undercroft_model.modelconfig import model_settings
from undercroft_model.models import list_models, model_id
from undercroft_model.showunit import NO_CONTROLLER
from undercroft_model.tables import MACHINES, UNITS

if TYPE_CHECKING:
    from undercroft_hookspecs.state import Model
    from undercroft_model.operator import Operator


async def list_document(operator: Operator) -> dict[str, object]:
    """All models, in the JSON shape of juju's `models`."""
    current = await operator.desk_if_any()
    found = []
    for model in await list_models(operator.store):
        machines = await operator.store.list(MACHINES.of(model_id(model)).prefix)
        units = await operator.store.list(UNITS.of(model_id(model)).prefix)
        found.append(_entry(model, len(machines.entries), len(units.entries)))
    document: dict[str, object] = {"models": found}
    if current is not None:
        document["current-model"] = current.record.name
    return document


def _entry(model: Model, machines: int, units: int) -> dict[str, object]:
    return {
        "name": f"{model.owner}/{model.name}",
        "short-name": model.name,
        "model-uuid": model.uuid,
        "model-type": "iaas",
        "controller-uuid": str(NO_CONTROLLER),
        "controller-name": CONTROLLER,
        "is-controller": False,
        "owner": model.owner,
        "cloud": CLOUD,
        "region": CLOUD,
        "type": "manual",
        "life": str(model.life),
        "status": model_status(model),
        "users": {model.owner: {"access": "admin", "last-connection": "never connected"}},
        "agent-version": JUJU_VERSION,
        "machine-count": machines,
        "unit-count": units,
    }


def list_table(document: Mapping[str, object]) -> str:
    """The same for people."""
    rows = []
    for model in cast("list[dict[str, dict[str, str]]]", document["models"]):
        name = str(model["short-name"])
        mark = "*" if name == document.get("current-model") else ""
        status = model["status"]["current"]
        rows.append(
            (name + mark, str(model["machine-count"]), str(model["unit-count"]), status, str(model["model-uuid"]))
        )
    return f"Controller: {CONTROLLER}\n\n" + columns(("Model", "Machines", "Units", "Status", "UUID"), rows)


def settings_document(model: Model) -> dict[str, object]:
    """A model's settings, in the JSON shape of juju's `model-config`."""
    found: dict[str, object] = {"agent-version": {"Value": JUJU_VERSION, "Source": "model"}}
    for key, setting in model_settings(model).items():
        found[key] = {"Value": setting.value, "Source": setting.source}
    return dict(sorted(found.items()))


def settings_table(document: Mapping[str, object]) -> str:
    """The same for people."""
    rows = []
    for key, setting in cast("Mapping[str, Mapping[str, object]]", document).items():
        value = setting["Value"]
        shown = str(value).lower() if isinstance(value, bool) else str(value)
        rows.append((key, str(setting["Source"]), shown or '""'))
    return columns(("Attribute", "From", "Value"), rows)
