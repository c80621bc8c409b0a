"""Notion: properties as plain values, text as blocks."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

from errors import LimitExceeded, NodeError
from nodes.fields import text_of
from packs.connectors.operation import ConnectorExchange

ID = re.compile(r"[0-9a-f]{32}")
MAX_LINK = 1_000
MAX_RICH_TEXT = 2_000  # characters of one piece of text
MAX_BLOCKS = 100  # of one request

Properties = dict[str, Any]


def create_database_page(x: ConnectorExchange) -> Any:
    """Add a page to a database. Return the page."""
    id_ = _source_of(x, _database(x))
    kinds = x.read(x.send("GET", f"/data_sources/{id_}"))["properties"]
    body = {"parent": {"data_source_id": id_}, "properties": _shape_all(x.inputs["properties"], kinds), **_icon(x)}
    return _create(x, body)


def create_page(x: ConnectorExchange) -> dict[str, Any]:
    """Add a page below another. Return `{"id", "url"}`."""
    title = {"title": {"title": _rich(x.inputs["title"])}}
    made = _create(x, {"parent": {"page_id": _id(x, "parent")}, "properties": title, **_icon(x)})
    return {"id": made["id"], "url": made.get("url")}


def _create(x: ConnectorExchange, body: dict[str, Any]) -> Any:
    blocks = _blocks(x)
    if blocks:
        body["children"] = blocks[:MAX_BLOCKS]
    made = x.read(x.send("POST", "/pages", body=body, part=":create"))
    _append(x, made["id"], blocks[MAX_BLOCKS:])
    return _show(x, made)


def update_page(x: ConnectorExchange) -> Any:
    """Change properties of a page. Return the page."""
    path = f"/pages/{_id(x, 'page')}"
    kinds = x.read(x.send("GET", path))["properties"]
    body = {"properties": _shape_all(x.inputs["properties"], kinds), **_icon(x)}
    return _show(x, x.read(x.send("PATCH", path, body=body)))


def get_page(x: ConnectorExchange) -> Any:
    """Return a page, with its text if wanted."""
    id_ = _id(x, "page")
    found = _show(x, x.read(x.send("GET", f"/pages/{id_}")))
    if x.inputs.get("text"):
        found["text"] = "\n".join(_text_of_block(block) for block in _all_blocks(x, id_))
    return found


def archive_page(x: ConnectorExchange) -> dict[str, Any]:
    """Move a page to the trash. Return `{"id", "archived"}`."""
    found = x.read(x.send("PATCH", f"/pages/{_id(x, 'page')}", body={"in_trash": True}))
    return {"id": found["id"], "archived": found.get("in_trash")}


def query_database(x: ConnectorExchange) -> list[Any]:
    """Return the pages of a database that match."""
    given = x.inputs
    conditions = [given["filter"]] if "filter" in given else []
    if "changed_after" in given:
        time = {"timestamp": "last_edited_time", "last_edited_time": {"on_or_after": given["changed_after"]}}
        conditions.append(time)
    body: dict[str, Any] = {}
    if conditions:
        body["filter"] = conditions[0] if len(conditions) == 1 else {"and": conditions}
    if "sorts" in given:
        body["sorts"] = given["sorts"]
    id_ = _source_of(x, _database(x))
    return [_show(x, page) for page in x.items("POST", f"/data_sources/{id_}/query", body=body, result="results")]


def get_database(x: ConnectorExchange) -> Any:
    """Return a database, with the properties of its data source."""
    found = _database(x)
    source = x.read(x.send("GET", f"/data_sources/{_source_of(x, found)}"))
    return {**found, "properties": source["properties"]}


def list_properties(x: ConnectorExchange) -> list[Any]:
    """Return the properties of a database's data source, with their types and choices."""
    found = x.read(x.send("GET", f"/data_sources/{_source_of(x, _database(x))}"))["properties"]
    return [{**told, "name": name} for name, told in found.items()][: x.config["max_items"]]


def list_sources(x: ConnectorExchange) -> Any:
    """Return the data sources of a database, each `{"id", "name"}`."""
    return _database(x)["data_sources"]


def _database(x: ConnectorExchange) -> Any:
    return x.read(x.send("GET", f"/databases/{_id(x, 'database')}"))


def _source_of(x: ConnectorExchange, database: Mapping[str, Any]) -> str:
    """Return the id of the data source that is meant: the one of this id or name, or else the only one.

    Raises: NodeError if there are several, or none of this name.
    """
    sources, wanted = database["data_sources"], x.inputs.get("source")
    found = [each for each in sources if wanted in (None, each["id"], each["name"])]
    if len(found) != 1:
        names = ", ".join(each["name"] for each in sources)[:300]
        raise NodeError(f"source: choose one of the database's data sources: {names}", permanent=True)
    return str(found[0]["id"])


def list_blocks(x: ConnectorExchange) -> list[Any]:
    """Return the blocks of a page or a block."""
    return x.items("GET", f"/blocks/{_id(x, 'block')}/children", result="results")


def append_blocks(x: ConnectorExchange) -> list[Any]:
    """Add text or blocks at the end. Return the new blocks."""
    blocks = _blocks(x)
    if not blocks:
        raise NodeError("text: give a text, or blocks", permanent=True)
    return _append(x, _id(x, "block"), blocks)


def _append(x: ConnectorExchange, id_: str, blocks: list[Any]) -> list[Any]:
    made: list[Any] = []
    for at in range(0, len(blocks), MAX_BLOCKS):
        body = {"children": blocks[at : at + MAX_BLOCKS]}
        made += x.read(x.send("PATCH", f"/blocks/{id_}/children", body=body, part=f":{at}"))["results"]
    return made


def _all_blocks(x: ConnectorExchange, id_: str) -> list[Any]:
    found: list[Any] = []
    query: dict[str, Any] = {"page_size": MAX_BLOCKS}
    while True:
        x.ctx.pause(0)
        page = x.read(x.send("GET", f"/blocks/{id_}/children", query=query))
        found += page["results"]
        if not page.get("has_more") or len(found) > 50 * MAX_BLOCKS:
            return found
        query["start_cursor"] = page["next_cursor"]


def _id(x: ConnectorExchange, name: str) -> str:
    """Return the id in an input: the id itself, or the last in a link."""
    given = x.inputs[name].strip()
    if len(given) > MAX_LINK:
        raise LimitExceeded(f"{name}: is too long for an id or a link")
    found = ID.findall(given.partition("?")[0].replace("-", "").lower())
    if not found:
        raise NodeError(f"{name}: {given[:100]!r} is neither an id nor a link of Notion", permanent=True)
    id_ = found[-1]
    return "-".join((id_[:8], id_[8:12], id_[12:16], id_[16:20], id_[20:]))


# Values to properties


def _shape_all(given: Properties, kinds: Mapping[str, Any]) -> Properties:
    """Return the properties as Notion takes them; values that have that shape already stay."""
    shaped = {}
    for name, value in given.items():
        if name not in kinds:
            known = ", ".join(kinds)[:300]
            raise NodeError(f"properties: there is no {name!r}; there are {known}", permanent=True)
        kind = kinds[name]["type"]
        if isinstance(value, dict) and kind in value:
            shaped[name] = value
        elif kind in SHAPES:
            shaped[name] = {kind: SHAPES[kind](value)}
        else:
            raise NodeError(f"properties: {name!r} is of the kind {kind}, which cannot be set", permanent=True)
    return shaped


def _rich(value: Any) -> list[dict[str, Any]]:
    text = "" if value is None else text_of(value)
    pieces = [text[at : at + MAX_RICH_TEXT] for at in range(0, len(text), MAX_RICH_TEXT)]
    return [{"type": "text", "text": {"content": piece}} for piece in pieces]


def _number(value: Any) -> Any:
    if value in (None, ""):
        return None
    try:
        return value if isinstance(value, int | float) and not isinstance(value, bool) else float(text_of(value))
    except ValueError:
        raise NodeError(f"properties: {text_of(value)[:50]!r} is not a number", permanent=True) from None


def _named(value: Any) -> Any:
    return None if value in (None, "") else {"name": text_of(value)}


def _each(shape: Callable[[Any], Any]) -> Callable[[Any], list[Any]]:
    def all_of(value: Any) -> list[Any]:
        values = value if isinstance(value, list) else text_of(value).split(",") if value not in (None, "") else []
        return [shape(each.strip() if isinstance(each, str) else each) for each in values]

    return all_of


def _date(value: Any) -> Any:
    if value in (None, ""):
        return None
    if isinstance(value, list):
        start, end = [_moment(each) for each in (*value, None)][:2]
        return {"start": start, **({"end": end} if end else {})}
    return value if isinstance(value, dict) else {"start": _moment(value)}


def _moment(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date | datetime) else value


def _plain(value: Any) -> Any:
    return None if value in (None, "") else text_of(value)


def _file(value: Any) -> dict[str, Any]:
    url = text_of(value)
    return {"name": url.rpartition("/")[2][:100] or "file", "type": "external", "external": {"url": url}}


SHAPES: dict[str, Callable[[Any], Any]] = {
    "title": _rich,
    "rich_text": _rich,
    "number": _number,
    "select": _named,
    "status": _named,
    "multi_select": _each(lambda value: {"name": text_of(value)}),
    "date": _date,
    "people": _each(lambda value: {"object": "user", "id": text_of(value)}),
    "relation": _each(lambda value: {"id": text_of(value)}),
    "files": _each(_file),
    "checkbox": lambda value: value if isinstance(value, bool) else text_of(value).lower() in ("true", "yes", "1"),
    "url": _plain,
    "email": _plain,
    "phone_number": _plain,
}


# Properties to values


def _show(x: ConnectorExchange, page: dict[str, Any]) -> dict[str, Any]:
    """Return a page with plain values, unless the setting says as Notion has it."""
    if not x.inputs.get("simple"):
        return page
    kept = ("id", "url", "created_time", "last_edited_time")
    values = {name: flatten(value) for name, value in page.get("properties", {}).items()}
    return {**{key: page[key] for key in kept if key in page}, "properties": values}


def flatten(value: Mapping[str, Any]) -> Any:
    """Return the plain value of a property, of a formula or a rollup."""
    kind = value.get("type", "")
    found = value.get(kind)
    if kind in ("title", "rich_text"):
        return "".join(piece.get("plain_text", "") for piece in found or [])
    if kind in ("select", "status"):
        return found and found.get("name")
    if kind == "multi_select":
        return [each.get("name") for each in found or []]
    if kind == "date":
        return found and (found["start"] if not found.get("end") else [found["start"], found["end"]])
    if kind in ("people", "relation"):
        return [each.get("name") or each.get("id") for each in found or []]
    if kind in ("created_by", "last_edited_by"):
        return found and (found.get("name") or found.get("id"))
    if kind == "files":
        return [(each.get("file") or each.get("external") or {}).get("url") for each in found or []]
    if kind == "unique_id":
        return found and "-".join(str(part) for part in (found.get("prefix"), found.get("number")) if part is not None)
    if kind == "array":
        return [flatten(each) for each in found or []]
    return flatten(found) if kind in ("formula", "rollup") and found else found


# Blocks


def _icon(x: ConnectorExchange) -> dict[str, Any]:
    icon = x.inputs.get("icon")
    if not icon:
        return {}
    if icon.startswith("https://"):
        return {"icon": {"type": "external", "external": {"url": icon}}}
    return {"icon": {"type": "emoji", "emoji": icon}}


def _blocks(x: ConnectorExchange) -> list[Any]:
    """Return the blocks of the settings: a paragraph for each line of the text, and those given."""
    lines = x.inputs["text"].splitlines() if "text" in x.inputs and isinstance(x.inputs["text"], str) else []
    paragraphs = [{"object": "block", "type": "paragraph", "paragraph": {"rich_text": _rich(line)}} for line in lines]
    return [*paragraphs, *x.inputs.get("blocks", [])]


def _text_of_block(block: Mapping[str, Any]) -> str:
    content = block.get(block.get("type", ""), {})
    return "".join(piece.get("plain_text", "") for piece in content.get("rich_text", []))
