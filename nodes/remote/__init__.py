"""Nodes that talk to other servers by their own protocols: SSH, MQTT, feeds, MCP."""
