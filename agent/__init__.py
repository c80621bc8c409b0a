"""Agents: language models that work on a task with tools, within limits, each step on record.

Nothing here knows of nodes, tables or HTTP of ours: whoever runs an agent lends it tools, a journal and a connection.
The libraries that speak to models are loaded at their first use.
"""
