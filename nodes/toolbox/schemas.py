"""JSON Schemas that others wrote (servers of tools, authors of flows), and arguments that are to follow them.

What can make a validator slow or large is done in a process of its own; a plain schema is checked here, which is quick.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson

from errors import NodeError
from json_schemas import MAX_ISSUE_TEXT, MAX_LOOKED_AT, issues_of, path_of, validator_of
from nodes.bounds import size_of
from reading import Reader, Unreadable, read_apart

MOST_SCHEMA = 32 * 1024  # bytes of JSON
SECONDS = 5.0
# Keywords whose cost has no bound in the schema's size: they lead elsewhere in it, or to a machine for a pattern.
COSTLY = {
    *("$ref", "$dynamicRef", "$recursiveRef", "pattern", "patternProperties", "format"),
    *("unevaluatedProperties", "unevaluatedItems"),
}


def is_plain(schema: Any) -> bool:
    """Whether checking data takes time in proportion to the schema and the data: no costly word is a key in it."""
    todo = [schema]
    while todo:
        part = todo.pop()
        if isinstance(part, dict):
            if not COSTLY.isdisjoint(part):
                return False
            todo += part.values()
        elif isinstance(part, list):
            todo += part
    return True


def problem_of(schema: Any, reader: Reader) -> str:
    """Why this is no schema for the arguments of a tool; empty where it is one."""
    if not isinstance(schema, dict) or schema.get("type") != "object":
        return "its schema is of no object"
    try:
        size_of(schema, "its schema", MOST_SCHEMA)
        if len(orjson.dumps(schema)) > MOST_SCHEMA:
            return f"its schema has more than {MOST_SCHEMA:,} bytes"
        if is_plain(schema):
            validator_of(schema)
            return ""
        return str(reader.read({"schema": schema}, b"", SECONDS)[0].get("problem", ""))[:MAX_ISSUE_TEXT]
    except (NodeError, TypeError, ValueError) as error:
        return str(error)[:MAX_ISSUE_TEXT]


def issues(
    schema: Mapping[str, Any], data: Any, clean: Callable[[str], str] = str, what: str = "arguments"
) -> Iterator[str]:
    """What the schema finds wrong with the data, each in a line; NodeError where that cannot be found out."""
    try:
        found = issues_of(schema, data, clean) if is_plain(schema) else _issues_apart(schema, data, clean, what)
    except (ValueError, TypeError) as error:
        raise NodeError(f"the {what} cannot be checked: {error}", permanent=True) from None
    for issue in found:
        yield f"{issue['path'] or what}: {issue['message']}"


def _issues_apart(schema: Mapping[str, Any], data: Any, clean: Callable[[str], str], what: str) -> list[dict[str, str]]:
    try:
        found = read_apart("schema", {"schema": schema}, orjson.dumps(data), SECONDS)
    except Unreadable as error:
        raise NodeError(f"the {what} cannot be checked by the schema: {error.message}", True) from None
    if "problem" in found:
        raise NodeError(f"the {what} cannot be checked by the schema: {clean(found['problem'])}", True)
    return [
        {"path": path_of(issue["path"]), "message": clean(issue["message"][:MAX_LOOKED_AT])[:MAX_ISSUE_TEXT]}
        for issue in found["issues"]
    ]
