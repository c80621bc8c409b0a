"""S3: objects of an S3-compatible store, and large values of runs in such a store."""

from packs.s3 import node
from registry import Registry


def setup(registry: Registry) -> None:
    registry.add_nodes(node)
    registry.add_credential_types(s3=node.S3Credential())
    registry.value_store = "packs.s3.value_store"
