"""The node types of a connector, made from its file: its operations, and a trigger for each new entry of its lists."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, ClassVar

from marshmallow import Schema

from nodes.base import Context, Node, Polled
from nodes.core.triggers import TriggerNode
from nodes.fields import flag, number
from packs.connectors.inputs import POLL, make_schema
from packs.connectors.operation import ConnectorExchange
from packs.polls.node import Entries, make_polled


class ConnectorNode(Node):
    """Calls one of a service's operations. Base of the node types of connectors."""

    category = "integration"
    pure = False
    connector: ClassVar[Mapping[str, Any]]

    @cached_property
    def operations(self) -> dict[str, Mapping[str, Any]]:
        """Return the operations by id."""
        return {operation["id"]: operation for operation in self.connector["operations"]}

    @property
    def service_type(self) -> str:
        """Return the type of the connector itself, for its trigger too."""
        return self.type

    @cached_property
    def _schemas(self) -> dict[str | None, Schema]:
        return {}

    @property
    def offered(self) -> Sequence[Mapping[str, Any]]:
        """Return the operations that people choose from."""
        found: Sequence[Mapping[str, Any]] = self.connector["operations"]
        return found

    def schema(self, config: Mapping[str, Any]) -> Schema:
        given = config.get("operation")
        id_ = given if isinstance(given, str) and given in self.operations else None
        if id_ not in self._schemas:
            self._schemas[id_] = self.make_schema(self.operations[id_] if id_ else None)
        return self._schemas[id_]

    def make_schema(self, operation: Mapping[str, Any] | None) -> Schema:
        """Return the schema of a config with this operation, or with none."""
        return make_schema(self.connector, operation)

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        return ConnectorExchange(self.type, self.connector, self.operations[config["operation"]], config, ctx).result()


def make(type_: str, connector: Mapping[str, Any]) -> ConnectorNode:
    """Return the node type of a connector. It is not in the registry, which finds it by the library."""
    values = {
        "__doc__": connector["description"],
        "__module__": __name__,
        "connector": connector,
        "title": connector["name"],
        "also": tuple(connector.get("also", ())),
        "examples": (make_example(connector["operations"][0]),),
        "Config": type(make_schema(connector, None)),
    }
    cls: type[ConnectorNode] = type(f"Connector_{type_}", (ConnectorNode,), values)
    cls.type = type_  # not in `values`, which would register the class
    return cls()


def make_example(operation: Mapping[str, Any]) -> dict[str, Any]:
    """Return the example of an operation as the catalog shows those of other nodes."""
    told = operation.get("example") or {"config": {}, "output": None}
    return {"config": {"operation": operation["id"], **told["config"]}, "output": told["output"]}


# Entries that a poll reads: of a list that begins with the newest, and of one in which a new entry may be anywhere.
MOST, WHOLE = 500, 10_000
DEFAULT_SECONDS = 300.0


class ConnectorPoll(ConnectorNode, TriggerNode):
    """Starts a run for each new entry of one of a service's lists."""

    category = "trigger"
    pure = True
    trigger = True
    polls = True

    @property
    def service_type(self) -> str:
        return self.type.removesuffix(POLL)

    @property
    def offered(self) -> Sequence[Mapping[str, Any]]:
        found: Sequence[Mapping[str, Any]] = narrow(self.connector)["operations"]
        return found

    def make_schema(self, operation: Mapping[str, Any] | None) -> Schema:
        made = make_schema(narrow(self.connector), operation)
        own = {name: field for name, field in type(made)._declared_fields.items() if name != "max_items"}
        own["operation"].metadata = {
            **own["operation"].metadata,
            "title": "Event",
            "description": "The event that starts a run",
        }
        own |= {
            "every": number(
                "Seconds between two polls", 10, 366 * 86_400, literal=True, load_default=DEFAULT_SECONDS,
                title="Interval (seconds)",
            ),
            "backlog": flag(
                "Also start runs for entries that exist at the first poll", False, title="Include existing entries"
            ),
            "updates": flag("Also start a run when an entry changes", False, title="Include updates"),
        }  # fmt: skip
        return Schema.from_dict(own, name=self.title)(unknown=made.unknown)

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        return input

    def poll(self, config: dict[str, Any], state: Any, ctx: Context) -> Polled:
        operation = self.operations[config["operation"]]
        told = operation["poll"]
        since = told.get("since")
        before = state if isinstance(state, dict) else {}
        # Of a list that is asked for newer entries, the oldest first, each poll reads the next ones. The first poll has
        # to reach the newest, unless older ones start runs, too: otherwise they would start runs in the next polls.
        goes_on = since is not None and (config["backlog"] or before.get("since") is not None)
        order = told.get("order")
        most = MOST if order == "newest_first" or (order == "oldest_first" and goes_on) else WHOLE
        given = {**config, "max_items": most}
        given |= {name: value for name, value in told.get("inputs", {}).items() if config.get(name) in NOT_GIVEN}
        if since and given.get(since["input"]) is None and before.get("since") is not None:
            given[since["input"]] = _limit_age(before["since"], since.get("days"), ctx.now_ms())
        # A service that honours idempotency keys would answer each poll like the first one.
        ctx = dataclasses.replace(ctx, idempotency_key=f"{ctx.idempotency_key}:{ctx.now_ms()}")
        found = ConnectorExchange(self.service_type, self.connector, operation, given, ctx).result()
        how = Entries(told["key"], since and since["value"], order == "newest_first", config["updates"])
        items = found if isinstance(found, list) else []
        return make_polled(items, how, before, len(items) < most and since is None)


NOT_GIVEN: tuple[Any, ...] = (None, "", [], {})


def _limit_age(since: Any, days: int | None, now_ms: int) -> Any:
    """Return a time in ISO format, or the one of so many days ago if that is later.

    Nothing is missed: the polls in between saw what is older.
    """
    if days is None:
        return since
    oldest = datetime.fromtimestamp(now_ms / 1000, UTC) - timedelta(days=days)
    try:
        return since if datetime.fromisoformat(since) > oldest else f"{oldest:%Y-%m-%dT%H:%M:%SZ}"
    except (TypeError, ValueError):  # not a time, or one without a zone
        return since


def describe_poll(told: Mapping[str, Any]) -> str:
    """Return the limits of a list as a trigger, in sentences; empty if the trigger finds all new entries."""
    found = [told["note"]] if "note" in told else []
    if "since" in told and told.get("order") != "newest_first":
        found.append(f"The first poll reads at most {WHOLE:,} entries.")
    elif told.get("order") != "newest_first":
        found.append(f"Each poll reads the whole list, at most {WHOLE:,} entries.")
    return " ".join(found)


def narrow(connector: Mapping[str, Any]) -> dict[str, Any]:
    """Return the connector with only the operations that can be polled, named by what they find.

    Its `sources` are all operations, which offer values for inputs.
    """
    events = []
    for each in connector["operations"]:
        if told := each.get("poll"):
            description = f"{each['description']} {describe_poll(told)}".rstrip()
            events.append({**each, "name": told.get("title", each["name"]), "description": description})
    return {**connector, "operations": events, "sources": connector["operations"]}


def make_trigger(type_: str, connector: Mapping[str, Any]) -> ConnectorPoll | None:
    """Return the trigger of a connector, of the type `<its type>_poll`; None if none of its lists can be polled."""
    few = narrow(connector)
    if not few["operations"]:
        return None
    first = few["operations"][0]
    shown = make_example(first)
    entry = shown["output"][0] if isinstance(shown["output"], list) and shown["output"] else shown["output"]
    values = {
        "__doc__": f"Starts a run for each new entry of a list in {connector['name']}, with the entry as input.",
        "__module__": __name__,
        "connector": connector,
        "title": f"New in {connector['name']}",
        "also": (*connector.get("also", ()), "poll", "watch", "trigger"),
        "examples": ({"config": shown["config"], "input": entry, "output": entry},),
        "Config": type(make_schema(few, None)),
    }
    cls: type[ConnectorPoll] = type(f"Poll_{type_}", (ConnectorPoll,), values)
    cls.type = type_
    return cls()
