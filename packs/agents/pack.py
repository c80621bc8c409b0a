"""Agents: language models that work on tasks with tools, and nodes that ask language models."""

from packs.agents.model_choice import LlmCredential
from packs.agents.nodes import agent, llm, memory
from registry import Registry


def setup(registry: Registry) -> None:
    registry.add_nodes(llm, agent, memory)
    registry.add_credential_types(llm=LlmCredential())
    registry.add_api(*(f"packs.agents.api:{name}" for name in ("blueprint", "run_blueprint", "memory_blueprint")))
    registry.agents = "packs.agents.services:AgentServices"
    registry.tasks["agent"] = "packs.agents.agent_runs:AgentTask"
    registry.referrers.append("packs.agents.agent_store:list_referrers")
    registry.names.append("packs.agents.agent_store:find_name")
