"""Table tools: rows of the workspace's tables."""

from __future__ import annotations

from typing import Any

from errors import NodeError
from nodes.base import Tables
from nodes.limits import size_of
from packs.agents.definition import ToolSpec
from packs.agents.runtime.types import Tool
from packs.agents.tools.base import ToolContext, text
from packs.tables.node import OPERATORS, read_where

MAX_ROWS, MAX_VALUES = 100, 100_000
NAME = {"table": text("The name of the table.", 100)}
VALUES = {"type": "object", "description": "Values by the names of columns. Dates are ISO 8601 text."}
WHERE = {
    "type": "object",
    "description": 'Conditions by the names of columns: {"status": "open"} or {"total": {"gte": 100}}. Operators: '
    + ", ".join(OPERATORS),
}


def tools(spec: ToolSpec, tool_ctx: ToolContext) -> list[Tool]:
    """Return the tools `list_tables`, `table_rows` and, unless the spec is read-only, those that write rows."""

    def tables() -> Tables:
        if tool_ctx.ctx.store is None:
            raise NodeError("tables are not available here", permanent=True)
        return tool_ctx.ctx.store.tables

    def describe(arguments: dict[str, Any], key: str) -> Any:
        return {"tables": tables().describe()}

    def rows(arguments: dict[str, Any], key: str) -> Any:
        where = read_where(arguments.get("where"))
        limit = arguments.get("limit", 20)
        found = tables().select(arguments["table"], where, arguments.get("sort", ""), limit)
        return {"rows": found, "matching": tables().count(arguments["table"], where)}

    def insert(arguments: dict[str, Any], key: str) -> Any:
        return {"rows": tables().insert(arguments["table"], [_values(arguments)], key)}

    def upsert(arguments: dict[str, Any], key: str) -> Any:
        return {"rows": tables().upsert(arguments["table"], [_values(arguments)], arguments["column"], key)}

    def update(arguments: dict[str, Any], key: str) -> Any:
        where = read_where(arguments["where"])
        return {"updated": tables().update(arguments["table"], where, _values(arguments), key)}

    made = [
        tool_ctx.tool(
            "list_tables", "List the tables of this workspace with their columns.", {}, describe, repeatable=True
        )
    ]
    properties = {
        **NAME,
        "where": WHERE,
        "sort": text("The column to sort by; with a minus before it, the largest first.", 100),
        "limit": {"type": "integer", "minimum": 1, "maximum": MAX_ROWS, "description": "Default: 20."},
    }
    what = "Read rows of a table, and the number of all rows that match."
    made.append(tool_ctx.tool("table_rows", what, properties, rows, required=["table"], repeatable=True))
    if not spec.options.get("write", True):
        return made
    what = "Add a row to a table."
    written = {**NAME, "values": VALUES}
    made.append(tool_ctx.tool("table_insert", what, written, insert, required=["table", "values"], repeatable=True))
    what = "Update the row with the same value in a column, or add a row if there is none."
    properties = {**written, "column": text("The column by which a present row is found.", 100)}
    made.append(tool_ctx.tool("table_upsert", what, properties, upsert, required=[*properties], repeatable=True))
    what = "Set values of all rows that match."
    properties = {**written, "where": WHERE}
    made.append(tool_ctx.tool("table_update", what, properties, update, required=[*properties], repeatable=True))
    return made


def _values(arguments: dict[str, Any]) -> dict[str, Any]:
    size_of(arguments["values"], "values", MAX_VALUES)
    values: dict[str, Any] = arguments["values"]
    return values
