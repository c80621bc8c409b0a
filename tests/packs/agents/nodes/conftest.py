"""Fixtures that execute one node: see tests/support/node_contexts.py."""

from node_contexts import client, run  # noqa: F401
