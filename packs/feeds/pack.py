"""Feeds: reads RSS and Atom feeds, and starts a run for each new entry."""

from packs.feeds import node
from registry import Registry

NEEDS = ("polls",)


def setup(registry: Registry) -> None:
    registry.add_nodes(node)
