"""Store and memory tools: the workspace's store, and the agent's own memory."""

from __future__ import annotations

from typing import Any

from errors import NodeError
from nodes.base import Store
from nodes.core.store import MAX_KEY, MAX_VALUE
from nodes.limits import size_of
from packs.agents.definition import ToolSpec
from packs.agents.runtime.tools import Tool
from packs.agents.tools.base import ToolContext, text

MAX_LISTED = 100
MAX_EXPIRY = 3_660 * 86_400
SHOWN = ("key", "content", "tags", "updated_at")  # of a memory
MAX_FOUND, MAX_QUERY, MAX_CONTENT, MAX_TAGS = 50, 500, 10_000, 20


def seconds(help: str) -> dict[str, Any]:
    """Return the schema of a time in seconds."""
    return {"type": "number", "minimum": 1, "maximum": MAX_EXPIRY, "description": help}


def store(spec: ToolSpec, tool_ctx: ToolContext) -> list[Tool]:
    """Return the tools `store_get`, `store_list` and, unless the spec is read-only, `store_set`."""

    def place() -> Store:
        if tool_ctx.ctx.store is None:
            raise NodeError("the store is not available here", permanent=True)
        return tool_ctx.ctx.store

    def get(arguments: dict[str, Any], key: str) -> Any:
        return {"key": arguments["key"], "value": place().get(arguments["key"])}

    def list_(arguments: dict[str, Any], key: str) -> Any:
        return {"entries": place().list(arguments.get("prefix", ""), MAX_LISTED)}

    def set_(arguments: dict[str, Any], key: str) -> Any:
        size_of(arguments["value"], "value", MAX_VALUE)
        place().set(arguments["key"], arguments["value"], arguments.get("ttl"))
        return {"key": arguments["key"], "kept": True}

    what = "Read a value of the store shared by all flows of this workspace; null if there is none."
    one = {"key": text("The key.", MAX_KEY)}
    made = [tool_ctx.tool("store_get", what, one, get, required=["key"], repeatable=True)]
    what = f"List the first {MAX_LISTED} keys and values of the store, sorted by key."
    prefix = {"prefix": text("The prefix of the keys.", MAX_KEY, least=0)}
    made.append(tool_ctx.tool("store_list", what, prefix, list_, repeatable=True))
    if spec.options.get("write", True):
        what = "Store a value for later runs, in the store shared by all flows of this workspace."
        properties = {
            "key": text("The key; an existing value is replaced.", MAX_KEY),
            "value": {"description": "The value to store, as JSON."},
            "ttl": seconds("Seconds until the value is deleted. Default: never."),
        }
        made.append(tool_ctx.tool("store_set", what, properties, set_, required=["key", "value"], repeatable=True))
    return made


def memory(spec: ToolSpec, tool_ctx: ToolContext) -> list[Tool]:
    """Return the tools `memory_search` and `memory_write`."""

    def search(arguments: dict[str, Any], key: str) -> Any:
        found = tool_ctx.agents.memory.search(
            tool_ctx.agent_id, arguments["query"], session=tool_ctx.session, limit=arguments.get("limit", 10)
        )
        return {"found": [{key: entry[key] for key in SHOWN if key in entry} for entry in found]}

    def write(arguments: dict[str, Any], key: str) -> Any:
        tags, expires_in = tuple(arguments.get("tags", ())), arguments.get("expires_in")
        entry = tool_ctx.agents.memory.write(
            tool_ctx.agent_id, arguments["key"], arguments["content"], tool_ctx.session, tags, expires_in
        )
        return {"key": entry["key"], "kept": True}

    what = "Search your memories from before: those with these words, best matches first."
    limit = {"type": "integer", "minimum": 1, "maximum": MAX_FOUND, "description": "Maximum number. Default: 10."}
    properties = {"query": text("Words to search for.", MAX_QUERY), "limit": limit}
    made = [tool_ctx.tool("memory_search", what, properties, search, required=["query"], repeatable=True)]
    what = "Remember something for later: a fact, a decision, a preference. Do not put passwords or keys there."
    tag = {"type": "string", "minLength": 1, "maxLength": 100}
    properties = {
        "key": text("A short name, such as user/language; an existing memory of this name is replaced.", MAX_KEY),
        "content": text("The text to remember.", MAX_CONTENT),
        "tags": {"type": "array", "items": tag, "maxItems": MAX_TAGS, "description": "Additional words to find it by."},
        "expires_in": seconds("Seconds until the memory is deleted. Default: never."),
    }
    return [*made, tool_ctx.tool("memory_write", what, properties, write, required=["key", "content"], repeatable=True)]
