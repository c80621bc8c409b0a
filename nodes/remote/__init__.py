"""Nodes for remote servers with their own protocols: SSH, MQTT, feeds, MCP."""
