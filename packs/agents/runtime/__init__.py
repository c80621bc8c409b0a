"""Agents: language models that work on a task with tools, within limits, recording every step.

Independent of nodes, tables and HTTP: the caller provides tools, a journal and a connection. The functions here load
the libraries for models at first use.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from packs.agents.runtime.model_choice import Choice, ModelAccess, Models
    from packs.agents.runtime.types import AgentWait, AgentWork, Done


def load_libraries() -> None:
    """Load the libraries, which takes up to several seconds at first use, outside of the agent's time limit."""
    from genai_prices import data  # noqa: F401

    from packs.agents.runtime import loop, model_client  # noqa: F401


def run_agent(work: AgentWork) -> Done | AgentWait:
    """Run the agent from the end of its journal. Raises: NodeError if it fails to answer."""
    from packs.agents.runtime.loop import execute

    return execute(work)


def open_model(choice: Choice, models: Models, access: ModelAccess, end: float) -> AbstractAsyncContextManager[Any]:
    """Return a context manager for a connected model; see `agent.model_client.open_model`."""
    from packs.agents.runtime.model_client import open_model

    return open_model(choice, models, access, end)
