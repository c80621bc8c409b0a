"""Memory node: reads and writes the memory of agents."""

from __future__ import annotations

from typing import Any, ClassVar

from marshmallow import fields, validate

from errors import NodeError
from fields import Schema
from nodes.base import Context, Node, setting
from nodes.fields import Text, choice, number, text

MAX_AGENT = 64
MAX_KEY = 200  # also of a session
MAX_CONTENT = 100_000
MAX_TAG, MAX_TAGS = 100, 50
MAX_FOUND = 100
MAX_SECONDS = 3_660 * 86_400


class MemoryNode(Node):
    """Reads and writes the memory of an agent, so that a flow can teach it or use what it has learned."""

    type = "memory"
    category = "ai"
    title = "Memory"
    icon = "brain"
    also = ("remember", "recall")
    pure = False
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
        operation = choice(
            "The operation on the memory",
            {"read": "Read", "search": "Search", "write": "Write", "delete": "Delete"},
            required=True,
            title="Operation",
        )
        agent_id = text(
            "The agent that owns the memory: `mail-triage`",
            most=MAX_AGENT,
            literal=True,
            required=True,
            instead="use a memory node for each agent",
            names="agent",
            title="Agent",
        )
        session = text(
            "The session: `{{ input.chat_id }}`. Empty for entries that all sessions share. A search with a "
            "session finds its entries and the shared ones; a search without a session finds all entries",
            most=MAX_KEY,
            title="Session",
        )
        key = text("The key of the entry; not used by search", most=MAX_KEY, title="Key")
        content = text(
            "The content to save under the key; an object or a list is saved as JSON",
            most=MAX_CONTENT,
            lines="",
            title="Content",
        )
        tags = setting(
            fields.List(Text(validate=validate.Length(1, MAX_TAG)), validate=validate.Length(max=MAX_TAGS)),
            "Additional words that a search finds",
            title="Tags",
        )
        expires_in = number(
            "Seconds until the entry is deleted. Without it, never",
            1,
            MAX_SECONDS,
            literal=False,
            title="Expires after (seconds)",
        )
        query = text(
            "Words to search for. Entries with all words come first, then those with any. Empty: the latest entries",
            most=1_000,
            load_default="",
            title="Search query",
        )
        limit = setting(
            fields.Integer,
            "Maximum number of entries that a search returns",
            load_default=10,
            validate=validate.Range(1, MAX_FOUND),
            title="Max results",
        )

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        operation = config["operation"]
        for name in self.needs.get(operation, ()):
            if not config.get(name):
                raise NodeError(f"{name} is required for the operation {operation}", permanent=True)
        memory, agent_id = ctx.need_agents().memory, config["agent_id"]
        if operation == "search":
            return memory.search(agent_id, config["query"], config.get("session"), config["limit"])
        key, session = config["key"], config.get("session", "")
        if operation == "read":
            return memory.read(agent_id, key, session)
        if operation == "delete":
            return {"deleted": memory.delete(agent_id, key, session)}
        return memory.write(agent_id, key, config["content"], session, config.get("tags", ()), config.get("expires_in"))
