"""SQL: queries of PostgreSQL, MySQL and SQLite databases, and a trigger on notifications of PostgreSQL."""

from packs.sql import node, postgres_trigger
from packs.sql.database_url import DatabaseUrl
from registry import Registry

EXTENDS = ("agents",)


def setup(registry: Registry) -> None:
    registry.add_nodes(node, postgres_trigger)
    registry.agent_tools["sql"] = "packs.sql.agent_tools:tools"
    registry.add_credential_types(database_url=DatabaseUrl())
