"""SSH: runs commands on other machines, and copies files to and from them."""

from packs.ssh import node
from registry import Registry


def setup(registry: Registry) -> None:
    registry.add_nodes(node)
    registry.add_credential_types(ssh=node.SshCredential())
