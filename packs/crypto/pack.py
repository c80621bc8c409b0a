"""Crypto: a node for hashes, signatures, random values and related encodings."""

from packs.crypto import node
from registry import Registry


def setup(registry: Registry) -> None:
    registry.add_nodes(node)
