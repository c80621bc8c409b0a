"""Reference pages of the documentation: what the catalog says of nodes, credentials, the definition and settings.

docs/ has the part of each page that people write; the server adds the rest when it shows the page.
`python -m packs.reference.reference FOLDER` writes all of docs/ into a folder, with these pages complete.
"""

from __future__ import annotations

import importlib
import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

import config
from definition.schema import COMPONENTS, REF
from nodes import catalogue
from nodes.base import CATEGORIES
from nodes.credentials.types import TYPES, CredentialType
from nodes.credentials.types import catalogue as list_credential_types
from packs.reference.definition_examples import EXAMPLES
from registry import registry

# Tables and sentences of Markdown are one line each.
# ruff: noqa: E501

# A type's values in words.
WORDS = {
    "object": "an object",
    "array": "a list",
    "string": "text",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
}
# Parts of the definition by the name of their schema: heading and introduction.
TITLES = {
    "WorkflowDefinition": ("The definition", "The fields of a definition."),
    "WorkflowNode": (
        "A node",
        "The fields of every node, whatever its type; the fields of `config` are in [nodes.md](nodes.md).",
    ),
    "WorkflowRetry": (
        "`retry`",
        "Delays are random between half of the given time and all of it, so that many runs do not retry at once. "
        "An error that a further attempt cannot fix, such as a 404, is not retried.",
    ),
    "WorkflowRepeat": (
        "`repeat`",
        "Each round is a step on record. A pause holds no thread once the pauses of the node take more than 5 seconds together, except those under half a "
        "second; it goes on after a restart. "
        "`retry` applies to each round.",
    ),
    "WorkflowRate": (
        "`rate`",
        "The server counts the calls of all its processes and machines. A call that must wait takes its turn at once and waits for it; "
        "a wait of more than 5 seconds holds no thread. After a quiet time, all `calls` may start at once.",
    ),
    "WorkflowDebounce": (
        "`debounce`",
        "Each call is answered when it is on record, with the id of the run that will have it, which waits meanwhile. "
        "A webhook must respond immediately. Entries and messages that a trigger finds itself are collected in the same way.",
    ),
    "WorkflowPosition": ("`position`", "The position of a node in the editor."),
    "WorkflowEdge": (
        "An edge",
        "A node starts when all its predecessors have ended or were skipped. Its input is the output of its predecessor, or, "
        "with several predecessors, an object of their outputs by node id. A node without predecessors gets the input of the run.",
    ),
    "WorkflowShortEdge": ("An edge as a list", ""),
    "WorkflowSettings": (
        "`settings`",
        "Settings of the whole flow. [runs.md](runs.md) describes limits and error flows.",
    ),
    "WorkflowNote": (
        "A note",
        "Text on the canvas for readers of the flow. Runs do not read notes. For a remark on one node, use its own `notes`.",
    ),
    "WorkflowGroup": (
        "A group",
        "A named frame around nodes, which the editor can fold into one card. It follows its nodes, so it has no position. "
        "It is part of the definition, not of a browser, so that everybody sees the flow as its author arranged it, in every version.",
    ),
}


def list_pages() -> list[str]:
    """Return the names of the pages that packs write, without a file in docs/."""
    return [name for writer in _list_writers() for name in writer.list_pages()]


def complete(name: str, text: str) -> str:
    """Return a page as Markdown: its written part with the part from the catalog."""
    made = PAGES[name](text) if name in PAGES else text
    for writer in _list_writers():
        made = writer.complete(name, made)
    return made


def _list_writers() -> list[Any]:
    """Return the modules of `registry.reference_pages`. Each has functions `list_pages` and `complete`, as this one."""
    return [importlib.import_module(name) for name in registry.reference_pages]


def make_anchor(heading: str, seen: dict[str, int]) -> str:
    """Return the anchor of a heading in GitHub's format: a repeated text gets a number."""
    anchor = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
    seen[anchor] = number = seen.get(anchor, -1) + 1
    return f"{anchor}-{number}" if number else anchor


def _complete_nodes(text: str) -> str:
    """Add its node types to each family. Everybody may read the page, so a team's own types are not on it."""
    entries = [entry for entry in catalogue() if entry["operations"] is None and not entry["own"]]
    text = link_rows(text, {entry["type"]: f"#{entry['type']}" for entry in entries})
    parts = re.split(r"^(?=## (.+)$)", text, flags=re.MULTILINE)
    made = [parts[0]]
    for title, part in zip(parts[1::2], parts[2::2], strict=True):
        members = (entry for entry in entries if CATEGORIES[entry["category"]][0] == title)
        made += [part.rstrip() + "\n\n", *("".join(_describe_node(entry)) for entry in members)]
    return "".join(made).rstrip() + "\n"


def _complete_credentials(text: str) -> str:
    entries = list_credential_types()
    text = link_rows(text, {entry["type"]: f"#{entry['type']}" for entry in entries})
    return f"{text}\n{''.join(map(_describe_credential, entries))}".rstrip() + "\n"


def link_rows(text: str, targets: Mapping[str, str]) -> str:
    """Return the text with a link on each type at the beginning of a table's row."""

    def link(found: re.Match[str]) -> str:
        return f"| [{found[1]}]({targets[found[2]]}) |" if found[2] in targets else found[0]

    return re.sub(r"^\| (`(\w+)`) \|", link, text, flags=re.MULTILINE)


PAGES: dict[str, Callable[[str], str]] = {
    "nodes": _complete_nodes,
    "credential-types": _complete_credentials,
    "definition": lambda text: (
        f"{text}\n{''.join(part for name in COMPONENTS for part in _describe_part(name))}".rstrip() + "\n"
    ),
    "settings": lambda text: f"{text}\n{config.settings_table()}",
}

# Nodes


def _describe_node(entry: dict[str, Any]) -> Iterator[str]:
    yield f"### `{entry['type']}`\n\n**{entry['name']}.** {entry['description']}\n\n"
    remarks = []
    if entry["branches"]:
        remarks.append(f"Branches: {', '.join(f'`{name}`' for name in entry['branches'])}.")
    if not entry["pure"]:
        remarks.append("*Has effects.*")
    if entry["extra"]:
        remarks.append(f"Needs an extra: `.venv/bin/python -m pip install -r packs/{entry['extra']}/requirements.txt`.")
    if remarks:
        yield " ".join(remarks) + "\n\n"
    schema = entry["config_schema"]
    if schema["properties"]:
        yield "| setting | meaning | takes |\n|---|---|---|\n"
        yield "".join(_list_settings(schema)) + "\n"
    for example in entry["examples"]:
        parts = {key: example[key] for key in ("config", "input", "branch", "output", "error") if key in example}
        yield f"```json\n{orjson.dumps(parts, option=orjson.OPT_INDENT_2).decode()}\n```\n\n"


def _list_settings(schema: dict[str, Any], within: str = "", literal: bool = False) -> Iterator[str]:
    """Yield the rows of the settings; an object is followed by its own settings."""
    for key, field in schema["properties"].items():
        as_written = literal or field.get("x-literal", False)
        yield _row(within + key, field | {"x-literal": as_written}, key in schema.get("required", ()))
        if "properties" in field:
            yield from _list_settings(field, f"{within}{key}.", as_written)


def _row(key: str, field: dict[str, Any], required: bool, remark: str | None = None) -> str:
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
    # The description follows the setting's label in the app unless it repeats that.
    label, text = field.get("title", ""), field["description"]
    meaning = text if label.lower() in text.lower() else f"*{label}*: {text}"
    return f"| `{key}` | {_cell(meaning)} | {_cell(', '.join(takes))} |\n"


def describe_type(field: dict[str, Any]) -> str:
    """Return the allowed values of a setting in words, by its JSON Schema."""
    if "enum" in field:
        return " \\| ".join(f"`{value}`" for value in field["enum"] if value is not None)
    kind = field.get("type")
    kinds = [kind] if isinstance(kind, str) else [item for item in kind or () if item != "null"]
    text = " or ".join(WORDS[item] for item in kinds) or "anything"
    low, high = field.get("minimum"), field.get("maximum")
    if low is not None or high is not None:
        text += f" from {_number(low)}" if low is not None else ""
        text += f" to {_number(high)}" if high is not None else ""
    return text


def _number(number: float) -> str:
    return str(int(number)) if float(number).is_integer() else str(number)


def _cell(text: str) -> str:
    return text.replace("\n", " ").replace("|", "\\|").replace("\\\\|", "\\|")


# Types of credential


def _describe_credential(entry: dict[str, Any]) -> str:
    kind, schema = TYPES[entry["type"]], entry["schema"]
    rows = "".join(
        _row(name, field, name in schema.get("required", ()), "*secret*" if field.get("x-secret") else None)
        for name, field in schema["properties"].items()
    )
    has_own = any("hosts" in vars(cls) for cls in type(kind).__mro__ if cls is not CredentialType)
    names_one = "host" in kind.fields or kind.url_field or has_own
    hosts = "Bound to the host in its values." if names_one else "Bound to the hosts that you name; by default to none."
    if kind.main:
        value = f"`secrets.<name>` is its `{kind.main}`."
    else:
        first = next(name for name, field in schema["properties"].items() if field.get("x-secret"))
        value = f"`secrets.<name>` is an object of all values: `secrets.<name>.{first}`."
    about = f"**{entry['name']}.** {entry['description']}\n\n{hosts} {value}"
    return f"## `{entry['type']}`\n\n{about}\n\n| value | meaning | takes |\n|---|---|---|\n{rows}\n"


# The definition


def _describe_part(name: str) -> Iterator[str]:
    title, about = TITLES[name]
    schema = COMPONENTS[name]
    yield f"## {title}\n\n" + (f"{about}\n\n" if about else "")
    if name == "WorkflowShortEdge":
        yield f"{schema['description']}.\n\n{_show_flow(EXAMPLES[name][''])}"
        return
    yield "| field | meaning | takes |\n|---|---|---|\n"
    for key, field in schema["properties"].items():
        remark = f"at most {field['maxLength']} characters" if "maxLength" in field else None
        yield _row(key, {"description": "", **_list_types(field)}, key in schema.get("required", ()), remark)
    yield "\n"
    for key in schema["properties"]:
        yield f"### `{key}`\n\n{_show_flow(EXAMPLES[name][key])}"


def _list_types(field: dict[str, Any]) -> dict[str, Any]:
    """Return the field for a table: several shapes become their types."""
    if "anyOf" not in field:
        return field
    types = [
        COMPONENTS[shape["$ref"].removeprefix(REF)]["type"] if "$ref" in shape else shape["type"]
        for shape in field["anyOf"]
    ]
    return {**field, "type": types}


def _show_flow(example: dict[str, Any]) -> str:
    text = f"```json\n{_format_definition(example['definition'])}\n```\n\n"
    said = [f"{key} `{orjson.dumps(example[key]).decode()}`" for key in ("input", "output", "error") if key in example]
    return text + (f"With the {' a run has the '.join(said)}.\n\n" if len(said) > 1 else "")


def _format_definition(definition: dict[str, Any]) -> str:
    """Return the definition as people write one: a line for each node and each edge."""
    parts = []
    for key, value in definition.items():
        lines = (
            [f"    {json.dumps(item, ensure_ascii=False)}" for item in value]
            if isinstance(value, list) and value
            else []
        )
        whole = "[\n" + ",\n".join(lines) + "\n  ]" if lines else json.dumps(value, ensure_ascii=False)
        parts.append(f'  "{key}": {whole}')
    return "{\n" + ",\n".join(parts) + "\n}"


def write(docs: Path, folder: Path) -> None:
    """Write the documentation into a folder, with complete pages."""
    shutil.copytree(docs, folder, dirs_exist_ok=True)
    written = [path.stem for path in docs.glob("*.md")]
    for name in (*written, *list_pages()):
        target = folder / f"{name}.md"
        target.parent.mkdir(exist_ok=True)
        target.write_text(
            complete(name, target.read_text(encoding="utf-8") if name in written else ""), encoding="utf-8"
        )


if __name__ == "__main__":
    registry.load()
    write(Path(__file__).parents[2] / "docs", Path(sys.argv[1]))
