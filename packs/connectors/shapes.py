"""Shapes of requests: where the inputs of an operation go, as its file tells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from errors import NodeError
from nodes.data.jmespath_query import search
from nodes.fields import kind_of, text_of

QUERY_METHODS = {"GET", "DELETE", "HEAD"}
MAX_DEPTH = 20


class Placed(NamedTuple):
    """The inputs of a request by their place."""

    query: dict[str, Any]
    headers: dict[str, str]
    body: dict[str, Any]
    files: dict[str, Any]


def place_inputs(
    told: Mapping[str, Any], inputs: Mapping[str, Any], path: str, method: str, body_type: str = "json"
) -> Placed:
    """Return the given inputs by their place. `path` is that of the operation, with names in braces."""
    placed = Placed({}, {}, {}, {})
    for name, value in inputs.items():
        how = told[name]
        place = how.get("in") or _default_place(name, how, path, method)
        theirs = how.get("name", name)
        if place == "query":
            _put_query(placed.query, theirs, value, how.get("style"), name)
        elif place == "header":
            placed.headers[theirs] = text_of(value)
        elif place == "file":
            placed.files[theirs] = value
        elif place == "body":
            put(placed.body, theirs, _as_text(value, how) if body_type in ("form", "multipart") else value, name)
    return placed


def _put_query(query: dict[str, Any], name: str, value: Any, style: str | None, key: str) -> None:
    """Put a value into the query; without a name, merge an object into it."""
    if not name:
        put(query, "", value, key)
        return
    theirs, listed = name_list(name, value, style)
    query[theirs] = listed


def _as_text(value: Any, how: Mapping[str, Any]) -> Any:
    """Return a value as a form has it: data of any shape is JSON there."""
    is_data = how.get("type") in ("object", "items", "any") and isinstance(value, dict | list)
    return text_of(value) if is_data and how.get("name") != "" else value


def _default_place(name: str, how: Mapping[str, Any], path: str, method: str) -> str:
    if f"{{{name}}}" in path or f"{{+{name}}}" in path:
        return "path"
    if how.get("type") == "file":
        return "file"
    return "query" if method in QUERY_METHODS else "body"


def name_list(name: str, value: Any, style: str | None) -> tuple[str, Any]:
    """Return the name and the value of a query parameter, a list as `style` says: repeat, comma or brackets."""
    if not isinstance(value, list) or style in (None, "repeat"):
        return name, value
    if style == "comma":
        return name, ",".join(map(text_of, value))
    return f"{name}[]", value


def put(body: dict[str, Any], name: str, value: Any, key: str) -> None:
    """Put a value into the body under its dotted name; without a name, merge an object into it.

    Raises: NodeError, naming the input `key`, if it is not an object.
    """
    if not name:
        if not isinstance(value, dict):
            raise NodeError(f"{key}: must be an object, but is {kind_of(value)}", permanent=True)
        body.update(value)
        return
    *above, last = name.split(".")
    for step in above:
        body = body.setdefault(step, {})
    if isinstance(value, dict) and isinstance(body.get(last), dict):
        body[last].update(value)
    else:
        body[last] = value


def fill_body(query: str, inputs: Mapping[str, Any]) -> Any:
    """Return the body that a JMESPath query makes of the inputs, without the nulls of inputs that are not given.

    A null within the value of an input stays.
    """
    own = set(_containers(inputs, 0))
    return _without_nulls(search(query, dict(inputs)), own)


def _containers(value: Any, depth: int) -> Iterator[int]:
    """Yield the ids of the lists and objects in the inputs: their nulls were given."""
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    for part in parts:
        if isinstance(part, dict | list) and depth < MAX_DEPTH:
            yield id(part)
            yield from _containers(part, depth + 1)


def _without_nulls(value: Any, own: set[int]) -> Any:
    if id(value) in own:
        return value
    if isinstance(value, dict):
        kept = {key: _without_nulls(item, own) for key, item in value.items() if item is not None}
        return {key: item for key, item in kept.items() if item != {} or value[key] == {}}
    if isinstance(value, list):
        return [_without_nulls(item, own) for item in value if item is not None]
    return value


def flatten_form(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a form with nested values in brackets: `a[b]=c`, `a[0]=x`. Booleans are written as true and false."""
    return dict(_flatten(body, "", 0))


def _flatten(value: Any, name: str, depth: int) -> Iterator[tuple[str, Any]]:
    if depth > MAX_DEPTH:
        raise NodeError("the body is nested too deeply for a form", permanent=True)
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flatten(item, f"{name}[{key}]" if name else str(key), depth + 1)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _flatten(item, f"{name}[{index}]", depth + 1)
    else:
        yield name, value
