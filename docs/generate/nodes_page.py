"""docs/nodes.md, generated from the catalog: `python -m docs.generate.nodes_page`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import groupby
from typing import Any

import orjson

from nodes import catalogue
from nodes.base import CATEGORIES

WORDS = {
    "object": "an object",
    "array": "a list",
    "string": "text",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
}
HEAD = """\
# Nodes

Generated from the node types by `make docs`; change them there.

Settings may contain expressions (`{{ … }}`, see [expressions.md](expressions.md)) unless they are marked *as written*.
The output of a node is the input of the next nodes. Every node also has `foreach`, `repeat`, `rate`, `retry`,
`timeout`, `on_error` and `on_interrupt`, see [definition.md](definition.md#a-node). The start of a node that
*has effects* is recorded before it begins; after a crash it is repeated with the same idempotency key. Text in italics
before a colon is the label of a setting in the app, if its description does not repeat it.
Nodes of your own: [writing-a-node.md](writing-a-node.md).

"""


def page() -> str:
    """Return the text of docs/nodes.md."""
    entries = [entry for entry in catalogue() if entry["operations"] is None]  # connectors have pages of their own
    parts = [HEAD]
    for category, members in groupby(entries, key=lambda entry: str(entry["category"])):
        of_it = list(members)
        parts.append(f"## {CATEGORIES[category][0]}\n\n")
        parts.append(" · ".join(f"[{entry['type']}](#{entry['type']})" for entry in of_it) + "\n\n")
        parts.extend("".join(_section(entry)) for entry in of_it)
    return "".join(parts).rstrip() + "\n"


def _section(entry: dict[str, Any]) -> Iterator[str]:
    yield f"### `{entry['type']}`\n\n**{entry['name']}.** {entry['description']}\n\n"
    if remarks := list(_remarks(entry)):
        yield " ".join(remarks) + "\n\n"
    schema = entry["config_schema"]
    if schema["properties"]:
        yield "| setting | meaning | takes |\n|---|---|---|\n"
        yield "".join(_rows(schema)) + "\n"
    for example in entry["examples"]:
        yield _example(example)


def _remarks(entry: dict[str, Any]) -> Iterator[str]:
    if entry["branches"]:
        yield f"Branches: {', '.join(f'`{name}`' for name in entry['branches'])}."
    if not entry["pure"]:
        yield "*Has effects.*"
    if entry["extra"]:
        yield f"Needs an extra: `.venv/bin/python -m pip install -r extras/{entry['extra']}.txt`."


def _rows(schema: dict[str, Any], within: str = "", literal: bool = False) -> Iterator[str]:
    """Yield the rows of the settings; an object is followed by its own settings."""
    for key, field in schema["properties"].items():
        as_written = literal or field.get("x-literal", False)
        yield row(within + key, field | {"x-literal": as_written}, key in schema.get("required", ()))
        if "properties" in field:
            yield from _rows(field, f"{within}{key}.", as_written)


def row(key: str, field: dict[str, Any], required: bool, remark: str | None = None) -> str:
    """Return the row of a table for one setting, by its JSON Schema."""
    takes = [describe_type(field)]
    if field.get("x-credential"):
        takes = [f"a credential: {', '.join(f'`{type_}`' for type_ in field['x-credential'])}"]
    if required:
        takes.append("**required**")
    elif field.get("default") is not None:
        takes.append(f"default `{orjson.dumps(field['default']).decode()}`")
    if field.get("x-literal") and not field.get("x-credential"):
        takes.append("*as written*")
    takes += [remark] if remark else []
    return f"| `{key}` | {_meaning(field)} | {_cell(', '.join(takes))} |\n"


def _meaning(field: dict[str, Any]) -> str:
    """Return the description of a setting, after its label in the app unless that repeats it."""
    label, text = field.get("title", ""), field["description"]
    return _cell(text if label.lower() in text.lower() else f"*{label}*: {text}")


def describe_type(field: dict[str, Any]) -> str:
    """Return the allowed values of a setting in words, by its JSON Schema."""
    if "enum" in field:
        return " \\| ".join(f"`{value}`" for value in field["enum"] if value is not None)
    kind = field.get("type")
    kinds = [kind] if isinstance(kind, str) else [item for item in kind or () if item != "null"]
    text = " or ".join(WORDS[item] for item in kinds) or "anything"
    low, high = field.get("minimum"), field.get("maximum")
    if low is not None or high is not None:
        text += f" from {_plain(low)}" if low is not None else ""
        text += f" to {_plain(high)}" if high is not None else ""
    return text


def _plain(number: float) -> str:
    return str(int(number)) if float(number).is_integer() else str(number)


def _cell(text: str) -> str:
    return text.replace("\n", " ").replace("|", "\\|").replace("\\\\|", "\\|")


def _example(example: dict[str, Any]) -> str:
    shown = {key: example[key] for key in ("config", "input", "branch", "output", "error") if key in example}
    return f"```json\n{orjson.dumps(shown, option=orjson.OPT_INDENT_2).decode()}\n```\n\n"


if __name__ == "__main__":
    sys.stdout.write(page())
