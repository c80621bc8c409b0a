"""Polls: triggers that look for new entries of a source, or listen to one, and a run for each entry."""

from packs.polls import node
from packs.polls.keeper import Polls
from registry import Registry


def setup(registry: Registry) -> None:
    registry.add_nodes(node)
    registry.polls = Polls()
