"""Values of an input that a form offers, read from the service by one of the connector's list operations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError

from errors import NodeError
from nodes.base import Context
from nodes.data.jmespath_query import search
from nodes.fields import text_of
from packs.connectors.exchange import ConnectorExchange
from packs.connectors.inputs import make_schema
from packs.connectors.node import ConnectorNode

MAX_OPTIONS = 500
MAX_LABEL = 200


def list_options(
    node: ConnectorNode, operation_id: str, name: str, config: Mapping[str, Any], ctx: Context
) -> tuple[list[dict[str, str]], bool]:
    """Return the values `{"value", "label"}` offered for the input `name`, and whether there are more.

    `config` is the node's, as far as it is filled in. Raises: NodeError if the service refuses, or a setting that the
    list needs is missing.
    """
    operation = node.operations.get(operation_id)
    told = {**node.connector.get("inputs", {}), **(operation or {}).get("inputs", {})}.get(name, {}).get("options")
    if told is None:
        raise NodeError(f"there are no values to choose from for {name!r}", permanent=True)
    given = {theirs: _value(ours, config) for theirs, ours in told.get("inputs", {}).items()}
    asked = {
        "operation": told["operation"], "max_items": MAX_OPTIONS,
        **{key: config[key] for key in ("credential", "address") if config.get(key)},
        **{key: config[key] for key in node.connector.get("inputs", {}) if config.get(key)},
        **{key: value for key, value in given.items() if value is not None},
    }  # fmt: skip
    found = _run(node, asked, ctx)
    items = found if isinstance(found, list) else []
    return [_show(told, item) for item in items if search(told["value"], item) is not None], len(items) >= MAX_OPTIONS


def _value(ours: Any, config: Mapping[str, Any]) -> Any:
    """Return the value of the list's input: that of the setting of this name, or a constant in an object."""
    return ours["constant"] if isinstance(ours, dict) and "constant" in ours else config.get(str(ours))


def _run(node: ConnectorNode, asked: dict[str, Any], ctx: Context) -> Any:
    # Not the node's own schema: a trigger has fewer operations than its connector.
    operation = node.operations[asked["operation"]]
    schema = make_schema(node.connector, operation)
    try:
        loaded = schema.load({key: value for key, value in asked.items() if key in schema.fields})
    except ValidationError as error:
        missing = ", ".join(str(schema.fields[key].metadata.get("title", key)) for key in error.normalized_messages())
        raise NodeError(f"Fill in first: {missing}", permanent=True) from None
    return ConnectorExchange(node.service_type, node.connector, operation, loaded, ctx).result()


def _show(told: Mapping[str, Any], item: Any) -> dict[str, str]:
    value = text_of(search(told["value"], item)).removeprefix(told.get("prefix", ""))
    label = search(told["label"], item) if "label" in told else None
    return {"value": value, "label": (text_of(label) if label not in (None, "") else value)[:MAX_LABEL]}
