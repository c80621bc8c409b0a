"""Nodes for remote servers with their own protocols: MCP."""
