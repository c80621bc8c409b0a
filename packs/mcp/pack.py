"""MCP: a node and tools of agents that call Model Context Protocol servers, and Headrace as such a server at /mcp."""

from packs.mcp import node
from packs.mcp.node import McpCredential
from registry import Registry

EXTENDS = ("agents",)


def setup(registry: Registry) -> None:
    registry.add_nodes(node)
    registry.agent_tools["mcp"] = "packs.mcp.agent_tools:tools"
    registry.add_credential_types(mcp=McpCredential())
    registry.pages.append("packs.mcp.endpoint:install")
