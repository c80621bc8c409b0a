"""The node type of a connector, made from its file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

from marshmallow import Schema

from nodes.base import Context, Node
from packs.connectors.inputs import make_schema


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
        from packs.connectors.exchange import ConnectorExchange

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
