"""Fixtures that execute one node."""

from node_contexts import *  # noqa: F403
