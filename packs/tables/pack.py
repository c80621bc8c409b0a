"""Tables: rows of a workspace that its flows share, with a node, pages, CSV files and tools of agents."""

from packs.tables import node
from packs.tables.queries import undo_interrupted
from registry import Registry

EXTENDS = ("agents",)
UNDO_SECONDS = 30


def setup(registry: Registry) -> None:
    registry.add_nodes(node)
    registry.add_api("packs.tables.api:blueprint", "packs.tables.api:csv_blueprint")
    registry.tables = "packs.tables.queries:WorkspaceTables"
    registry.agent_tools["tables"] = "packs.tables.agent_tools:tools"
    registry.add_job(undo_interrupted, UNDO_SECONDS, everywhere=True)
