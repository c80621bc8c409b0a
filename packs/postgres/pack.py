"""PostgreSQL: the database of servers on several machines, and the move of all data from SQLite to it."""

from registry import Registry

NEEDS = ("moving",)  # which reads and writes the rows of all tables


def setup(registry: Registry) -> None:
    registry.parts["postgres"] = "packs.postgres.engine"
    registry.parts["postgres.transactions"] = "packs.postgres.transactions"
    registry.commands.append("packs.postgres.commands")
