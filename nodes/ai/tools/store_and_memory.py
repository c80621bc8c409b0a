"""The tools with which an agent keeps things: in the workspace's store, and in its own memory."""

from __future__ import annotations

from typing import Any

from agent.definition import ToolSpec
from agent.tools import Tool
from errors import NodeError
from nodes.ai.tools.base import Bench
from nodes.base import Store
from nodes.core.store import MAX_KEY
from nodes.limits import size_of

MOST_VALUE, MOST_LISTED = 100_000, 100
LONGEST_LIFE = 3_660 * 86_400
SHOWN = ("key", "content", "tags", "updated_at")  # of an entry of the memory
MOST_FOUND, MOST_QUERY, MOST_CONTENT, MOST_TAGS = 50, 500, 10_000, 20


def seconds(help: str) -> dict[str, Any]:
    """The schema of a time in seconds."""
    return {"type": "number", "minimum": 1, "maximum": LONGEST_LIFE, "description": help}


def key(help: str) -> dict[str, Any]:
    """The schema of a key."""
    return {"type": "string", "minLength": 1, "maxLength": MAX_KEY, "description": help}


def store(spec: ToolSpec, bench: Bench) -> list[Tool]:
    """The tools `store_get`, `store_list` and, unless the spec forbids to write, `store_set`."""

    def place() -> Store:
        if bench.ctx.store is None:
            raise NodeError("there is no store here", permanent=True)
        return bench.ctx.store

    def get(arguments: dict[str, Any], key: str) -> Any:
        return {"key": arguments["key"], "value": place().get(arguments["key"])}

    def set_(arguments: dict[str, Any], key: str) -> Any:
        size_of(arguments["value"], "value", MOST_VALUE)
        place().set(arguments["key"], arguments["value"], arguments.get("ttl"))
        return {"key": arguments["key"], "kept": True}

    made = [
        bench.tool(
            "store_get",
            "Read a value of the store that all flows of this workspace share; null where there is none.",
            {"key": key("The key.")},
            get,
            required=["key"],
            repeatable=True,
        ),
        bench.tool(
            "store_list",
            f"List the keys and values of the store, by key: the first {MOST_LISTED}.",
            {"prefix": {"type": "string", "maxLength": MAX_KEY, "description": "What the keys begin with."}},
            lambda arguments, key: {"entries": place().list(arguments.get("prefix", ""), MOST_LISTED)},
            repeatable=True,
        ),
    ]
    if not spec.options.get("write", True):
        return made
    properties = {
        "key": key("The key; what was there is replaced."),
        "value": {"description": "What to keep, as JSON."},
        "ttl": seconds("Seconds after which it is gone; without it, never."),
    }
    what = "Keep a value in the store that all flows of this workspace share, for later runs to read."
    return [*made, bench.tool("store_set", what, properties, set_, required=["key", "value"], repeatable=True)]


def memory(spec: ToolSpec, bench: Bench) -> list[Tool]:
    """The tools `memory_search` and `memory_write`."""

    def search(arguments: dict[str, Any], key: str) -> Any:
        found = bench.agents.memory.search(
            bench.agent_id, arguments["query"], session=bench.session, limit=arguments.get("limit", 10)
        )
        return {"found": [{key: entry[key] for key in SHOWN if key in entry} for entry in found]}

    def write(arguments: dict[str, Any], key: str) -> Any:
        entry = bench.agents.memory.write(
            bench.agent_id,
            arguments["key"],
            arguments["content"],
            session=bench.session,
            tags=tuple(arguments.get("tags", ())),
            expires_in=arguments.get("expires_in"),
        )
        return {"key": entry["key"], "kept": True}

    query = {"type": "string", "minLength": 1, "maxLength": MOST_QUERY, "description": "Words to look for."}
    limit = {"type": "integer", "minimum": 1, "maximum": MOST_FOUND, "description": "How many at most; 10 without it."}
    tag = {"type": "string", "minLength": 1, "maxLength": 100}
    content = {
        "type": "string",
        "minLength": 1,
        "maxLength": MOST_CONTENT,
        "description": "What to remember, in words.",
    }
    properties = {
        "key": key("A short name for it, such as user/language; the same name replaces what it stood for."),
        "content": content,
        "tags": {"type": "array", "items": tag, "maxItems": MOST_TAGS, "description": "Words to find it by."},
        "expires_in": seconds("Seconds after which it is forgotten; without it, never."),
    }
    return [
        bench.tool(
            "memory_search",
            "Look up what you have remembered before: the entries in which these words are, best first.",
            {"query": query, "limit": limit},
            search,
            required=["query"],
            repeatable=True,
        ),
        bench.tool(
            "memory_write",
            "Remember something for later: a fact, a decision, a preference. Do not put passwords or keys there.",
            properties,
            write,
            required=["key", "content"],
            repeatable=True,
        ),
    ]
