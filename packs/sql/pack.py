"""SQL: queries of PostgreSQL, MySQL and SQLite databases, and a trigger on notifications of PostgreSQL."""

from packs.sql import node
from registry import Registry

NEEDS = ("polls",)
EXTENDS = ("agents",)


def setup(registry: Registry) -> None:
    registry.add_nodes(node)
    registry.agent_tools["sql"] = "packs.sql.agent_tools:tools"
    registry.add_credential_types(database_url=node.DatabaseUrl())
