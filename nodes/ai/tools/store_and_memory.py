"""Store and memory tools: the workspace's store, and the agent's own memory."""

from __future__ import annotations

from typing import Any

from agent.definition import ToolSpec
from agent.tools import Tool
from errors import NodeError
from nodes.ai.tools.base import ToolContext
from nodes.base import Store
from nodes.core.store import MAX_KEY
from nodes.limits import size_of

MAX_VALUE, MAX_LISTED = 100_000, 100
MAX_EXPIRY = 3_660 * 86_400
SHOWN = ("key", "content", "tags", "updated_at")  # of a memory
MAX_FOUND, MAX_QUERY, MAX_CONTENT, MAX_TAGS = 50, 500, 10_000, 20


def seconds(help: str) -> dict[str, Any]:
    """Return the schema of a time in seconds."""
    return {"type": "number", "minimum": 1, "maximum": MAX_EXPIRY, "description": help}


def key(help: str) -> dict[str, Any]:
    """Return the schema of a key."""
    return {"type": "string", "minLength": 1, "maxLength": MAX_KEY, "description": help}


def store(spec: ToolSpec, tool_ctx: ToolContext) -> list[Tool]:
    """Return the tools `store_get`, `store_list` and, unless the spec is read-only, `store_set`."""

    def place() -> Store:
        if tool_ctx.ctx.store is None:
            raise NodeError("the store is not available here", permanent=True)
        return tool_ctx.ctx.store

    def get(arguments: dict[str, Any], key: str) -> Any:
        return {"key": arguments["key"], "value": place().get(arguments["key"])}

    def set_(arguments: dict[str, Any], key: str) -> Any:
        size_of(arguments["value"], "value", MAX_VALUE)
        place().set(arguments["key"], arguments["value"], arguments.get("ttl"))
        return {"key": arguments["key"], "kept": True}

    made = [
        tool_ctx.tool(
            "store_get",
            "Read a value of the store shared by all flows of this workspace; null if there is none.",
            {"key": key("The key.")},
            get,
            required=["key"],
            repeatable=True,
        ),
        tool_ctx.tool(
            "store_list",
            f"List the first {MAX_LISTED} keys and values of the store, sorted by key.",
            {"prefix": {"type": "string", "maxLength": MAX_KEY, "description": "The prefix of the keys."}},
            lambda arguments, key: {"entries": place().list(arguments.get("prefix", ""), MAX_LISTED)},
            repeatable=True,
        ),
    ]
    if not spec.options.get("write", True):
        return made
    properties = {
        "key": key("The key; an existing value is replaced."),
        "value": {"description": "The value to store, as JSON."},
        "ttl": seconds("Seconds until the value is deleted. Default: never."),
    }
    what = "Store a value for later runs, in the store shared by all flows of this workspace."
    return [*made, tool_ctx.tool("store_set", what, properties, set_, required=["key", "value"], repeatable=True)]


def memory(spec: ToolSpec, tool_ctx: ToolContext) -> list[Tool]:
    """Return the tools `memory_search` and `memory_write`."""

    def search(arguments: dict[str, Any], key: str) -> Any:
        found = tool_ctx.agents.memory.search(
            tool_ctx.agent_id, arguments["query"], session=tool_ctx.session, limit=arguments.get("limit", 10)
        )
        return {"found": [{key: entry[key] for key in SHOWN if key in entry} for entry in found]}

    def write(arguments: dict[str, Any], key: str) -> Any:
        entry = tool_ctx.agents.memory.write(
            tool_ctx.agent_id,
            arguments["key"],
            arguments["content"],
            session=tool_ctx.session,
            tags=tuple(arguments.get("tags", ())),
            expires_in=arguments.get("expires_in"),
        )
        return {"key": entry["key"], "kept": True}

    query = {"type": "string", "minLength": 1, "maxLength": MAX_QUERY, "description": "Words to search for."}
    limit = {"type": "integer", "minimum": 1, "maximum": MAX_FOUND, "description": "Maximum number. Default: 10."}
    tag = {"type": "string", "minLength": 1, "maxLength": 100}
    content = {
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_CONTENT,
        "description": "The text to remember.",
    }
    properties = {
        "key": key("A short name, such as user/language; an existing memory of this name is replaced."),
        "content": content,
        "tags": {"type": "array", "items": tag, "maxItems": MAX_TAGS, "description": "Additional words to find it by."},
        "expires_in": seconds("Seconds until the memory is deleted. Default: never."),
    }
    return [
        tool_ctx.tool(
            "memory_search",
            "Search your memories from before: those with these words, best matches first.",
            {"query": query, "limit": limit},
            search,
            required=["query"],
            repeatable=True,
        ),
        tool_ctx.tool(
            "memory_write",
            "Remember something for later: a fact, a decision, a preference. Do not put passwords or keys there.",
            properties,
            write,
            required=["key", "content"],
            repeatable=True,
        ),
    ]
