"""Agent node: runs an agent, a language model with tools, within limits, recording each step (agent_turn.py)."""

from __future__ import annotations

from typing import Any

from marshmallow import fields, validate

from errors import NodeError
from fields import Schema
from nodes.base import Context, Node, setting
from nodes.fields import anything, credential, json_schema, text
from packs.agents.definition import restore


class AgentNode(Node):
    """Runs an agent with its tools and returns the answer, as text or data.

    Every step is recorded: after a crash the agent continues where it was. If a tool needs approval, the run waits for
    it.
    """

    type = "agent"
    category = "ai"
    title = "Agent"
    icon = "robot"
    also = ("ai agent", "assistant", "openai", "chatgpt", "gpt", "claude", "bot", "tools")
    pure = False
    slow = True
    suspends = True
    asks = True
    answers = ("approved", "rejected")
    examples = (
        {
            "config": {
                "agent_id": "summarizer",
                "task": "Summarize this in two sentences.",
                "input": "{{ input.text }}",
            },
            "input": {"text": "A long text…"},
            "output": {
                "data": {
                    "headline": "A long text, in short",
                    "summary": "It says…",
                    "key_points": ["It is long."],
                    "decisions": [],
                    "tasks": [],
                },
                "usage": {"requests": 1, "tool_calls": 0, "input_tokens": 420, "output_tokens": 60, "cost": 0.0011},
                "tool_calls": [],
                "agent_run_id": "arun_01K0000000000000000000000",
            },
        },
    )

    class Config(Schema):
        agent_id = text(
            "The id of the agent: researcher, or one of your own",
            most=64,
            literal=True,
            required=True,
            names="agent",
            title="Agent",
        )
        task = text("The task in words: Find out who made this", most=100_000, required=True, lines="", title="Task")
        input = anything("Data for the task, as text or JSON. Default: the node's input", title="Input")
        session = text(
            "The conversation that the task belongs to: {{ input.chat_id }}. Without it, each task is independent",
            most=200,
            title="Session",
        )
        memory = setting(
            fields.Boolean,
            "Include relevant memories in the prompt. Default: the agent's setting",
            literal=True,
            title="Include memory",
        )
        model = text(
            "The model: openai:gpt-5. Default: the agent's or the server's model", most=200, literal=True, title="Model"
        )
        notify = credential(
            "The service that receives approval requests with their links. Default: the agent's setting",
            "service_url",
            title="Notify",
        )
        credentials = setting(
            fields.Dict(keys=fields.String(), values=fields.String(validate=validate.Length(1, 200))),
            'Credentials for tools that have none, and for the model: {"sql": "warehouse", "llm": "our-openai"}',
            literal=True,
            title="Credentials",
        )
        output_schema = json_schema("JSON Schema of the result. Default: the agent's schema", title="Output schema")

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        from packs.agents.nodes.agent_turn import AgentTurn

        agents = ctx.need_agents()
        definition = agents.definition(config["agent_id"])
        record = agents.record(ctx.node_id, ctx.index)
        if record.start is not None:
            definition = restore(record.start["agent"])
        if definition is None:
            raise NodeError(f"there is no agent {config['agent_id']!r}; choose an existing one", permanent=True)
        return AgentTurn(config, config.get("input", input), ctx, agents, record, definition).run()
