"""Store node: keeps values between runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from errors import NodeError
from fields import Schema
from nodes.base import Context, Node, Store
from nodes.fields import anything, choice, labels_of, number, text

MAX_KEY = 200
# Bytes of a value as JSON that the API and the tools of agents accept. Nodes may store larger ones.
MAX_VALUE = 100_000


def _set(store: Store, key: str, config: dict[str, Any]) -> Any:
    store.set(key, config.get("value"), config.get("ttl"))
    return config.get("value")


def _increment(store: Store, key: str, config: dict[str, Any]) -> Any:
    by = config.get("value", 1)
    if isinstance(by, bool) or not isinstance(by, int | float):
        raise NodeError("value must be a number for increment", permanent=True)
    try:
        return store.increment(key, by, config.get("ttl"))
    except TypeError:
        raise NodeError(f"the value under {key!r} is not a number; delete it or set a number", permanent=True) from None


# Label and function of each operation.
OPERATIONS: dict[str, tuple[str, Callable[[Store, str, dict[str, Any]], Any]]] = {
    "get": ("Get", lambda store, key, config: store.get(key)),
    "set": ("Set", _set),
    "delete": ("Delete", lambda store, key, config: {"deleted": store.delete(key)}),
    "increment": ("Increment", _increment),
    "list": ("List keys", lambda store, key, config: store.list(key)),
}


class StoreNode(Node):
    """Stores values for later runs by key, shared by all flows of the workspace."""

    type = "store"
    category = "storage"
    icon = "archive"
    also = ("key value", "data table", "cache", "counter", "static data", "remember", "save")
    pure = False
    examples = (
        {
            "config": {"operation": "increment", "key": "visits/{{ input.page }}"},
            "input": {"page": "home"},
            "output": 1,
        },
    )

    class Config(Schema):
        operation = choice("The operation on the key", labels_of(OPERATIONS), required=True, title="Operation")
        key = text("The key. For list: the prefix of the keys", most=MAX_KEY, title="Key", names="store_key")
        value = anything("The value to store. For increment: the number to add. Default: 1", title="Value")
        ttl = number(
            "Seconds until the value is deleted. Without it, never", 1, 3_660 * 86_400, title="Expires after (seconds)"
        )

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        if ctx.store is None:
            raise NodeError("the store is not available here", permanent=True)
        operation, key = config["operation"], config.get("key", "")
        if not key and operation != "list":
            raise NodeError(f"key is required for the operation {operation}", permanent=True)
        return OPERATIONS[operation][1](ctx.store, key, config)
