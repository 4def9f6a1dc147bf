"""An application's options as a document, and a change of them from all that the command line can give."""

from __future__ import annotations

from typing import TYPE_CHECKING

from undercroft_model.applications import get_config, set_config
from undercroft_model.charmrecords import charm_of, need_application
from undercroft_model.charms.values import settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from undercroft_hookspecs.identity import ModelId
    from undercroft_model.options import ConfigValue
    from undercroft_model.transaction import Transaction


async def config_document(tx: Transaction, model: ModelId, name: str) -> dict[str, object]:
    """All options of an application, in the JSON shape of juju's `config`.

    Raises:
        NotFoundError: there is no such application.
    """
    application = await need_application(tx, model, name)
    options = await get_config(tx, model, name)
    source = "user" if application.trust else "default"
    trust = {
        "default": False,
        "description": "Does this application have access to trusted credentials",
        "source": source,
        "type": "bool",
        "value": application.trust,
    }
    return {
        "application": name,
        "application-config": {"trust": trust},
        "charm": application.charm_name,
        "settings": {key: _option(option) for key, option in options.items()},
    }


async def change_config(
    tx: Transaction,
    model: ModelId,
    name: str,
    *,
    values: Mapping[str, str],
    reset: Sequence[str],
    data: bytes | None,
    file: str,
) -> None:
    """Set options from words and from a YAML file, whose values give way to the words; all of it or nothing.

    Raises:
        NotFoundError: there is no such application.
        NotValidError: an unknown option, a value of another type, or a file that is not right.
    """
    application = await need_application(tx, model, name)
    charm = await charm_of(tx, model, application)
    found = settings(charm, data, file, application=name) if data is not None else {}
    await set_config(tx, model, name, {**found, **values}, reset=reset)


def _option(option: ConfigValue) -> dict[str, object]:
    entry: dict[str, object] = {"description": option.description, "source": option.source, "type": option.type}
    if option.default is not None:
        entry["default"] = option.default
    if option.source != "unset":
        entry["value"] = option.value
    return dict(sorted(entry.items()))
