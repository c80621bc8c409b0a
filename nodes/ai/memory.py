"""The node that reads and writes what agents remember."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from marshmallow import Schema, fields, validate

from errors import NodeError
from nodes.base import Context, Memory, Node, setting
from nodes.fields import Number, Text, choice, text

MAX_AGENT = 64
MAX_KEY = 200  # of a session too
MAX_CONTENT = 100_000
MAX_TAG, MAX_TAGS = 100, 50
MAX_FOUND = 100
LONGEST = 3_660 * 86_400  # seconds


def _read(memory: Memory, config: dict[str, Any]) -> Any:
    return memory.read(config["agent_id"], config["key"], config.get("session", ""))


def _search(memory: Memory, config: dict[str, Any]) -> Any:
    return memory.search(config["agent_id"], config["query"], config.get("session"), config["limit"])


def _write(memory: Memory, config: dict[str, Any]) -> Any:
    names = config["agent_id"], config["key"], config["content"], config.get("session", "")
    return memory.write(*names, config.get("tags", ()), config.get("expires_in"))


def _delete(memory: Memory, config: dict[str, Any]) -> Any:
    return {"deleted": memory.delete(config["agent_id"], config["key"], config.get("session", ""))}


class MemoryNode(Node):
    """Reads and writes what an agent remembers, so that a flow can teach it something or use what it has learned."""

    type = "memory"
    category = "ai"
    title = "Memory"
    icon = "brain"
    also = ("remember", "recall")
    pure = False
    operations: ClassVar[dict[str, Callable[[Memory, dict[str, Any]], Any]]] = {
        "read": _read,
        "search": _search,
        "write": _write,
        "delete": _delete,
    }
    needs: ClassVar[dict[str, tuple[str, ...]]] = {"read": ("key",), "write": ("key", "content"), "delete": ("key",)}
    examples = (
        {
            "config": {
                "operation": "write",
                "agent_id": "mail-triage",
                "key": "customer/{{ input.email }}",
                "content": "{{ input.name }} wants invoices as PDF",
                "tags": ["customer"],
            },
            "input": {"email": "ada@example.com", "name": "Ada"},
            "output": {
                "id": "mem_01K0T3M9Q8Z4W6X2Y5V7B1N3C5",
                "agent_id": "mail-triage",
                "session": "",
                "key": "customer/ada@example.com",
                "content": "Ada wants invoices as PDF",
                "tags": ["customer"],
                "expires_at": None,
                "created_at": "2026-03-01T08:00:00.000Z",
                "updated_at": "2026-03-01T08:00:00.000Z",
            },
        },
        {
            "config": {"operation": "delete", "agent_id": "mail-triage", "key": "customer/ada@example.com"},
            "output": {"deleted": True},
        },
    )

    class Config(Schema):
        operation = choice("What to do", ("read", "search", "write", "delete"), required=True)
        agent_id = text(
            "The agent whose memory it is, such as `mail-triage`",
            most=MAX_AGENT,
            literal=True,
            required=True,
            instead="use a memory node for each agent",
            names="agent",
        )
        session = text(
            "The session, such as `{{ input.chat_id }}`; empty: what all its sessions share; a search without it looks "
            "into all sessions, with it into that one and what all share",
            most=MAX_KEY,
        )
        key = text("The key; not for search", most=MAX_KEY)
        content = text(
            "What to remember under the key; an object or a list is kept as JSON", most=MAX_CONTENT, lines=""
        )
        tags = setting(
            fields.List(Text(validate=validate.Length(1, MAX_TAG)), validate=validate.Length(max=MAX_TAGS)),
            "Words that a search finds it by too",
        )
        expires_in = setting(
            Number,
            "Seconds after which it is forgotten; without it, never",
            validate=validate.Range(1, LONGEST),
        )
        query = text(
            "What to look for: entries with all of the words, else those with any, best first; without it, the latest",
            most=1_000,
            load_default="",
        )
        limit = setting(
            fields.Integer,
            "How many entries a search gives at most",
            load_default=10,
            validate=validate.Range(1, MAX_FOUND),
        )

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        operation = config["operation"]
        for name in self.needs.get(operation, ()):
            if not config.get(name):
                raise NodeError(f"{name} is required to {operation}", permanent=True)
        return self.operations[operation](ctx.need_agents().memory, config)
