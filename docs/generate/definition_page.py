"""docs/definition.md, generated from the schema of the definition format: `python -m docs.generate.definition_page`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import orjson

from definition.examples import EXAMPLES
from definition.node_graph import MAX_ID, MAX_NAME
from definition.schema import COMPONENTS, REF
from docs.generate.nodes_page import row

# Tables and sentences of Markdown are one line each.
# ruff: noqa: E501

HEAD = f"""\
# The definition of a flow

Generated from the schema by `make docs`; change it there.

A flow is a JSON object: nodes, the edges between them, settings, and notes and groups for readers. The editor shows it under *JSON*; the API takes
it as `definition` (an object) or `definition_json` (text). Its schema is `WorkflowDefinition` in `GET /api/openapi.json`. Only the `id` and the `type` of each node are required.

```json
{{
  "nodes": [
    {{"id": "start", "type": "manual"}},
    {{"id": "large", "type": "if", "config": {{"condition": "{{{{ input.sum > 100 }}}}"}}}},
    {{"id": "ask", "type": "approval", "name": "Ask the boss", "config": {{"message": "Pay {{{{ input.sum }}}}?"}}}}
  ],
  "edges": [["start", "large"], ["large", "ask", "true"]],
  "settings": {{"timezone": "Europe/Berlin", "timeout": 600}}
}}
```

Checks of the server:

| rule | a draft | an active flow, a run |
|---|---|---|
| ids are names of letters, digits and `_`, unique, of at most {MAX_ID} characters | checked | checked |
| edges connect existing nodes, without duplicates and cycles | checked | checked |
| types, config, branches and expressions are valid; no key is unknown; names have up to {MAX_NAME} characters | | checked |
| notes and groups are complete, their ids are unique, and groups contain existing nodes | checked | checked |
| the definition has at most `HEADRACE_MAX_DEFINITION_BYTES` bytes and `HEADRACE_MAX_NODES` nodes | checked | checked |

Each error is a 400 that names the node, edge or field; `POST /api/workflows/validate` and `python
workflow_server.py validate` report all of them at once.

"""
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


def page() -> str:
    """Return the text of docs/definition.md."""
    return HEAD + "".join(part for name in COMPONENTS for part in _part(name)).rstrip() + "\n"


def _part(name: str) -> Iterator[str]:
    title, about = TITLES[name]
    schema = COMPONENTS[name]
    yield f"## {title}\n\n" + (f"{about}\n\n" if about else "")
    if name == "WorkflowShortEdge":
        yield f"{schema['description']}.\n\n{_example(EXAMPLES[name][''])}"
        return
    yield "| field | meaning | takes |\n|---|---|---|\n"
    for key, field in schema["properties"].items():
        remark = f"at most {field['maxLength']} characters" if "maxLength" in field else None
        yield row(key, {"description": "", **_simple(field)}, key in schema.get("required", ()), remark)
    yield "\n"
    for key in schema["properties"]:
        yield f"### `{key}`\n\n{_example(EXAMPLES[name][key])}"


def _simple(field: dict[str, Any]) -> dict[str, Any]:
    """Return the field for a table: several shapes become their types."""
    if "anyOf" not in field:
        return field
    types = [
        COMPONENTS[shape["$ref"].removeprefix(REF)]["type"] if "$ref" in shape else shape["type"]
        for shape in field["anyOf"]
    ]
    return {**field, "type": types}


def _example(example: dict[str, Any]) -> str:
    text = f"```json\n{format_definition(example['definition'])}\n```\n\n"
    said = [f"{key} `{orjson.dumps(example[key]).decode()}`" for key in ("input", "output", "error") if key in example]
    return text + (f"With the {' a run has the '.join(said)}.\n\n" if len(said) > 1 else "")


def format_definition(definition: dict[str, Any]) -> str:
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


if __name__ == "__main__":
    sys.stdout.write(page())
