"""Templates of connectors: flows with their nodes and triggers, a file in `templates/` for each goal.

A file has a list, named after its category, of what `api.catalogue.read_templates` returns. To keep it short, this
module adds what follows from the nodes:

- `edges`: without them, each node follows the one before
- the accounts: a node without one gets a credential with the name of its service, and `credentials` lists them
- `sample_input` of an app trigger, from its `event` and `body`

`choose` has the settings, by node, that every user chooses: a sheet, a channel. `trial` is a test
(tests/packs/connectors/test_connector_templates.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson

from packs.connectors import connector_files
from packs.connectors.app_triggers import app_trigger
from packs.connectors.inputs import POLL, list_credential_types

FOLDER = Path(__file__).parent / "templates"


def read() -> list[dict[str, Any]]:
    """Return all templates, complete."""
    return [
        _complete(template, path.stem)
        for path in sorted(FOLDER.glob("*.json"))
        for template in orjson.loads(path.read_bytes())
    ]


def _complete(template: dict[str, Any], category: str) -> dict[str, Any]:
    definition = template["definition"]
    nodes = definition["nodes"]
    follow = pairwise(node["id"] for node in nodes)
    definition.setdefault("edges", [{"from": before, "to": after} for before, after in follow])
    credentials: dict[str, dict[str, str]] = {}
    for node in nodes:
        config = node.setdefault("config", {})
        for key, name, type_ in _list_accounts(node["type"]):
            kept = credentials.setdefault(config.setdefault(key, name), {"type": type_, "for": node["name"]})
            kept["for"] = kept["for"] if node["name"] in kept["for"] else f"{kept['for']}, {node['name']}"
    listed = [{"name": name, **more} for name, more in credentials.items()]
    added = {"tags": [], "needs": [], "category": category, "credentials": listed}
    return {**added, **template, **_make_sample(template, nodes[0])}


def _list_accounts(type_: str) -> Iterator[tuple[str, str, str]]:
    """Yield the settings of a node of this type that name a credential: setting, its usual name, preferred type."""
    if type_ in app_trigger.types():
        preset = app_trigger.read(type_)
        register = preset.get("register", {})
        if register:
            yield "account", preset["name"], register["account"][0]
        if preset["verify"]["kind"] != "path" and (not register or register.get("needs_credential")):
            yield "credential", f"{preset['name']} signing secret", app_trigger.SECRET_TYPES[0]
    elif (service := type_.removesuffix(POLL)) in connector_files.types():
        connector = connector_files.read(service)
        for credential_type in list_credential_types(connector)[:1]:
            yield "credential", connector["name"], credential_type


def _make_sample(template: Mapping[str, Any], trigger: Mapping[str, Any]) -> dict[str, Any]:
    sample = template["sample_input"]
    if trigger["type"] not in app_trigger.types():
        return {}
    path = f"{trigger['type'].removesuffix(app_trigger.SUFFIX)}/{template['id']}"
    return {"sample_input": {"method": "POST", "path": path, "query": {}, "headers": {}, **sample}}
