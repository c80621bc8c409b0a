"""Agents: language models that work on a task with tools, within limits, recording every step.

Independent of nodes, tables and HTTP: the caller provides tools, a journal and a connection. The libraries for models
are loaded at first use.
"""
