"""The tools of servers that speak the Model Context Protocol, as tools of an agent."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson

import json_schema
from agent.definition import ToolSpec
from agent.tools import Tool
from errors import NodeError
from nodes.ai.tools.base import CALL_SECONDS, MOST_DESCRIPTION, MOST_NAME, Bench
from nodes.base import check_installed
from nodes.credentials.keyring import Credential
from nodes.limits import size_of
from nodes.remote.mcp import Mcp, ask, host_of, result_of
from nodes.sql.params import texts
from parsers.invisible_characters import OF_TEXTS

MOST_TOOLS, MOST_PAGES, MOST_PREFIX = 100, 20, 30
MOST_LISTED = 1_000  # of one server, before those that an agent has are chosen
LIST_SECONDS = 30.0
MOST_SCHEMA = 32 * 1024  # bytes of JSON
MOST_IN_ALL = 500_000  # characters of what a server says of its tools
SERVERS = "mcp"  # under which they are in the listings, by the name of the credential
UNFIT = re.compile(r"[^a-zA-Z0-9_-]+")


def tools(spec: ToolSpec, bench: Bench) -> list[Tool]:
    """A tool for each of a server, or for those that `tools` names."""
    check_installed(Mcp)
    name = bench.need_credential(spec, "of the type mcp, with the server's address")
    found = bench.ctx.credential(name, "mcp")
    servers = bench.listings.setdefault(SERVERS, {})
    if name not in servers:
        servers[name] = _listed(found, bench)
    listed = _chosen(servers[name], spec.options.get("tools"), found)
    if len(listed) > MOST_TOOLS:
        bench.ctx.log("warning", f"of the {len(listed)} tools of {found.name}, the first {MOST_TOOLS} are there")
    return [_tool(entry, found, bench) for entry in listed[:MOST_TOOLS]]


def _listed(found: Credential, bench: Bench) -> list[dict[str, Any]]:
    """`{name, description, input_schema, read_only}` of each tool that the server has and that an agent can have."""

    async def question(client: Any) -> list[Any]:
        all_: list[Any] = []
        cursor = None
        for _ in range(MOST_PAGES):
            page = await client.list_tools(cursor=cursor)
            all_ += page.tools
            cursor = page.next_cursor
            if not cursor or len(all_) > MOST_LISTED:
                break
        return all_[:MOST_LISTED]

    end = time.monotonic() + bench.ctx.seconds_left(LIST_SECONDS)
    entries = list(_fit(ask(found, bench.ctx, end, question), end, found, bench))
    keyring = bench.ctx.keyring
    return entries if keyring is None else keyring.clean_data(entries)


def _fit(listed: Iterable[Any], end: float, found: Credential, bench: Bench) -> Iterator[dict[str, Any]]:
    room = MOST_IN_ALL
    for tool in listed:
        if time.monotonic() > end:
            raise NodeError(f"the tools of {host_of(found)} cannot be looked through in time")
        problem = problem_of(tool.input_schema) or _problem_of_name(tool.name)
        if problem:
            bench.ctx.log("warning", f"the tool {tool.name[:100]!r} of {found.name} is left out: {problem}")
            continue
        room -= len(orjson.dumps(tool.input_schema)) + len(tool.name)
        if room < 0:
            text = f"{host_of(found)} says more than {MOST_IN_ALL:,} characters of its tools; the rest is left out"
            bench.ctx.log("warning", text)
            return
        hints = tool.annotations
        yield {
            "name": tool.name,
            "description": _shown(tool.description or tool.title or ""),
            "input_schema": tool.input_schema,
            "read_only": bool(hints and hints.read_only_hint is True),
        }


def _shown(text: str) -> str:
    """A description without what nobody sees, such as letters that only a model would read."""
    shown = (letter if letter.isprintable() or letter in OF_TEXTS else " " for letter in text[:MOST_DESCRIPTION])
    return "".join(shown)


def problem_of(schema: Any) -> str:
    """Why this is no schema for the arguments of a tool; empty where it is one."""
    if not isinstance(schema, dict) or schema.get("type") != "object":
        return "its schema is of no object"
    try:
        size_of(schema, "its schema", MOST_SCHEMA)
        if len(orjson.dumps(schema)) > MOST_SCHEMA:
            return f"its schema has more than {MOST_SCHEMA:,} bytes"
        json_schema.check(schema)
        return ""
    except (NodeError, TypeError, ValueError) as error:
        return str(error)[: json_schema.MAX_ISSUE_TEXT]


def _problem_of_name(name: str) -> str:
    return "" if 0 < len(name) <= 200 else "its name must have 1 to 200 characters"


def _chosen(
    listed: Sequence[dict[str, Any]], wanted: Sequence[str] | None, found: Credential
) -> Sequence[dict[str, Any]]:
    if wanted is None:
        return listed
    by_name = {entry["name"]: entry for entry in listed}
    missing = [name for name in wanted if name not in by_name]
    if missing:
        there = ", ".join(by_name)[:500] or "none"
        raise NodeError(
            f"the tool mcp: {found.name} has no tool {missing[0]!r} that could be used; there are {there}", True
        )
    return [by_name[name] for name in dict.fromkeys(wanted)]


def name_of(credential: str, tool: str) -> str:
    """The name that a tool of this credential's server has for the model."""
    prefix = UNFIT.sub("_", credential.lower()).strip("_-")[:MOST_PREFIX] or "mcp"
    name = f"{prefix}_{UNFIT.sub('_', tool)}"
    if len(name) <= MOST_NAME:
        return name
    # What is cut off may be all that two names differ in.
    return f"{name[: MOST_NAME - 9]}_{hashlib.sha256(tool.encode()).hexdigest()[:8]}"


def _tool(entry: Mapping[str, Any], found: Credential, bench: Bench) -> Tool:
    name = entry["name"]

    def call(arguments: dict[str, Any], key: str) -> Any:
        ctx = bench.ctx
        if ctx.keyring is not None:
            ctx.keyring.check_host(host_of(found), texts([arguments]))

        async def question(client: Any) -> Any:
            return await client.call_tool(name, arguments)

        end = time.monotonic() + ctx.seconds_left(CALL_SECONDS)
        return _without_bytes(result_of(ask(found, ctx, end, question), name))

    description = entry["description"] or f"The tool {name} of {found.name}."
    shown = bench.aliases[name] = name_of(found.name, name)
    return bench.foreign_tool(shown, description, entry["input_schema"], call, repeatable=entry["read_only"])


def _without_bytes(result: Any) -> Any:
    """The result with no pictures or sounds in it, which are text without sense to a model, but how large they are."""
    if isinstance(result, list):
        return [_without_bytes(block) for block in result]
    if not isinstance(result, dict) or result.get("type") not in ("image", "audio") or "data" not in result:
        return result
    return {**result, "data": f"({len(str(result['data'])):,} characters of base64, not shown)"}
