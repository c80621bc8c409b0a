"""Nodes for remote servers with their own protocols: SSH, MQTT, feeds, MCP.

A new node, such as one for Redis, is a module here, and is listed in `FAMILIES` of `nodes/__init__.py`.
"""
