"""MCP tools: the tools of Model Context Protocol servers, as tools of an agent."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

from errors import NodeError, TimedOut
from fields import OF_TEXTS
from nodes.base import check_installed
from nodes.credentials.keyring import DecryptedCredential
from nodes.fields import texts
from nodes.limits import size_of
from packs.agents.definition import ToolSpec
from packs.agents.runtime.types import Tool
from packs.agents.tools.base import CALL_SECONDS, MAX_DESCRIPTION, MAX_NAME, ToolContext
from packs.mcp.node import McpNode, ask, get_result, host_of
from parsers.json_schema import MAX_ISSUE_TEXT, check

MAX_TOOLS, MAX_LIST_PAGES, MAX_PREFIX = 100, 20, 30
MAX_LISTED = 1_000  # tools of one server, before selecting the agent's
LIST_SECONDS = 30.0
MAX_SCHEMA = 32 * 1024  # bytes of JSON
MAX_TOTAL = 500_000  # characters of a server's descriptions and schemas
SERVERS = "mcp"  # key in the listings, for lists by credential name
UNSAFE_CHARACTERS = re.compile(r"[^a-zA-Z0-9_-]+")


def tools(spec: ToolSpec, tool_ctx: ToolContext) -> list[Tool]:
    """Return a tool for each tool of a server, or for those in `tools`."""
    check_installed(McpNode)
    name = tool_ctx.need_credential(spec, "of the type mcp, with the server's URL")
    found = tool_ctx.ctx.credential(name, "mcp")
    servers = tool_ctx.listings.setdefault(SERVERS, {})
    if name not in servers:
        servers[name] = _list_tools(found, tool_ctx)
    wanted = spec.options.get("tools")
    listed = servers[name]
    if wanted is not None:
        by_name = {entry["name"]: entry for entry in listed}
        if missing := [tool for tool in wanted if tool not in by_name]:
            there = ", ".join(by_name)[:500] or "none"
            text = f"the tool mcp: {found.name} has no usable tool {missing[0]!r}; usable tools: {there}"
            raise NodeError(text, permanent=True)
        listed = [by_name[tool] for tool in dict.fromkeys(wanted)]
    if len(listed) > MAX_TOOLS:
        tool_ctx.ctx.log("warning", f"{found.name} has {len(listed)} tools; only the first {MAX_TOOLS} are available")
    return [_tool(entry, found, tool_ctx) for entry in listed[:MAX_TOOLS]]


def _list_tools(found: DecryptedCredential, tool_ctx: ToolContext) -> list[dict[str, Any]]:
    """Return `{name, description, input_schema, read_only}` of each usable tool of the server."""

    async def question(client: Any) -> list[Any]:
        all_: list[Any] = []
        cursor = None
        for _ in range(MAX_LIST_PAGES):
            page = await client.list_tools(cursor=cursor)
            all_ += page.tools
            cursor = page.next_cursor
            if not cursor or len(all_) > MAX_LISTED:
                break
        return all_[:MAX_LISTED]

    end = time.monotonic() + tool_ctx.ctx.seconds_left(LIST_SECONDS)
    entries = list(_filter_usable(ask(found, tool_ctx.ctx, end, question), end, found, tool_ctx))
    keyring = tool_ctx.ctx.keyring
    return entries if keyring is None else keyring.clean_data(entries)


def _filter_usable(
    listed: Iterable[Any], end: float, found: DecryptedCredential, tool_ctx: ToolContext
) -> Iterator[dict[str, Any]]:
    room = MAX_TOTAL
    for tool in listed:
        if time.monotonic() > end:
            raise TimedOut(f"the tools of {host_of(found)} could not be checked in time")
        problem = describe_problem(tool.input_schema)
        if not problem and not 0 < len(tool.name) <= 200:
            problem = "its name must have 1 to 200 characters"
        if problem:
            tool_ctx.ctx.log("warning", f"the tool {tool.name[:100]!r} of {found.name} is left out: {problem}")
            continue
        room -= len(orjson.dumps(tool.input_schema)) + len(tool.name)
        if room < 0:
            text = f"the tools of {host_of(found)} have more than {MAX_TOTAL:,} characters; the rest is left out"
            tool_ctx.ctx.log("warning", text)
            return
        hints, description = tool.annotations, (tool.description or tool.title or "")[:MAX_DESCRIPTION]
        yield {
            "name": tool.name,
            # Without invisible characters, which only a model would read.
            "description": "".join(one if one.isprintable() or one in OF_TEXTS else " " for one in description),
            "input_schema": tool.input_schema,
            "read_only": bool(hints and hints.read_only_hint is True),
        }


def describe_problem(schema: Any) -> str:
    """Return why this is not a valid argument schema; empty if it is."""
    if not isinstance(schema, dict) or schema.get("type") != "object":
        return "its schema must have the type object"
    try:
        size_of(schema, "its schema", MAX_SCHEMA)
        if len(orjson.dumps(schema)) > MAX_SCHEMA:
            return f"its schema has more than {MAX_SCHEMA:,} bytes"
        check(schema)
        return ""
    except (NodeError, TypeError, ValueError) as error:
        return str(error)[:MAX_ISSUE_TEXT]


def name_of(credential: str, tool: str) -> str:
    """Return the model's name of a tool of this credential's server."""
    prefix = UNSAFE_CHARACTERS.sub("_", credential.lower()).strip("_-")[:MAX_PREFIX] or "mcp"
    name = f"{prefix}_{UNSAFE_CHARACTERS.sub('_', tool)}"
    if len(name) <= MAX_NAME:
        return name
    # Add a hash: two long names may differ only in the part cut off.
    return f"{name[: MAX_NAME - 9]}_{hashlib.sha256(tool.encode()).hexdigest()[:8]}"


def _tool(entry: Mapping[str, Any], found: DecryptedCredential, tool_ctx: ToolContext) -> Tool:
    name = entry["name"]

    def call(arguments: dict[str, Any], key: str) -> Any:
        ctx = tool_ctx.ctx
        ctx.check_secrets(host_of(found), texts([arguments]))

        async def question(client: Any) -> Any:
            return await client.call_tool(name, arguments)

        end = time.monotonic() + ctx.seconds_left(CALL_SECONDS)
        return _without_bytes(get_result(ask(found, ctx, end, question), name))

    description = entry["description"] or f"The tool {name} of {found.name}."
    shown = tool_ctx.aliases[name] = name_of(found.name, name)
    return tool_ctx.foreign_tool(shown, description, entry["input_schema"], call, repeatable=entry["read_only"])


def _without_bytes(result: Any) -> Any:
    """Replace pictures and sounds, which are meaningless text to a model, by their size."""
    if isinstance(result, list):
        return [_without_bytes(block) for block in result]
    if not isinstance(result, dict) or result.get("type") not in ("image", "audio") or "data" not in result:
        return result
    return {**result, "data": f"({len(str(result['data'])):,} characters of base64, not shown)"}
