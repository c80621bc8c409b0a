"""Moving: archives of all data of a server, with which it moves to another machine or another kind of database."""

from registry import Registry


def setup(registry: Registry) -> None:
    registry.parts["moving"] = "packs.moving.commands"
