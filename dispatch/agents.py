"""What a run lends to agents and to the nodes that serve them (`nodes.base.Agents`)."""

from __future__ import annotations

from .memory import Memory


class AgentServices:
    """What agents have of the workspace of one run."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
