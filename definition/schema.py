"""The definition format as JSON Schema (draft 2020-12), in parts that name each other.

The API describes definitions by it, docs/definition.md is made of it, and the checks take their words and bounds from
it. What a schema cannot say, that edges join nodes which exist, say, is checked elsewhere.
"""

from __future__ import annotations

from typing import Any

from .graph import ID, MAX_ID, MAX_NAME

# A part that names another one has `{"$ref": REF + name}`.
REF = "#/components/schemas/"

_ID = {"type": "string", "pattern": f"^{ID.pattern.removesuffix(chr(92) + 'Z')}$", "maxLength": MAX_ID}
_FLOW_ID = {"type": ["string", "null"], "maxLength": MAX_ID}

POSITION: dict[str, Any] = {
    "type": "object",
    "properties": {
        "x": {"type": "number", "description": "Pixels from the left"},
        "y": {"type": "number", "description": "Pixels from the top"},
    },
}

RETRY: dict[str, Any] = {
    "type": "object",
    "properties": {
        "attempts": {
            "type": "integer",
            "minimum": 1,
            "maximum": 20,
            "default": 3,
            "description": "How often the node is tried, the first time included",
        },
        "delay": {
            "type": "number",
            "minimum": 0,
            "maximum": 3600,
            "default": 1,
            "description": "Seconds before the second attempt",
        },
        "backoff": {
            "type": "number",
            "minimum": 1,
            "maximum": 10,
            "default": 2,
            "description": "The factor by which each further delay grows, up to one hour",
        },
    },
    "additionalProperties": False,
}

NODE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": {
            **_ID,
            "description": "The name of the node in edges and expressions, unique in the flow: letters, digits and "
            "`_`; it does not start with a digit",
        },
        "type": {"type": "string", "minLength": 1, "description": "One of the types in [nodes.md](nodes.md)"},
        "name": {
            "type": "string",
            "maxLength": MAX_NAME,
            "description": "The name that people see; without it, the id",
        },
        "config": {
            "type": "object",
            "additionalProperties": {},
            "description": "The settings of the node's type; most may hold [expressions](expressions.md)",
        },
        "foreach": {
            "anyOf": [{"type": "string"}, {"type": "array", "items": {}}, {"type": "null"}],
            "description": "A list, or an expression that gives one: the node is executed once for each item, which "
            "its expressions know as `item` and `index`, and gives the list of its outputs. Not with branches",
        },
        "retry": {
            "anyOf": [{"$ref": f"{REF}WorkflowRetry"}, {"type": "null"}],
            "description": "What to do before the node counts as failed: try again; without it, there is one attempt",
        },
        "timeout": {
            "type": ["number", "null"],
            "minimum": 0.001,
            "maximum": 86_400,
            "description": "Seconds that one attempt may take; without it, only the flow's timeout counts",
        },
        "on_error": {
            "type": "string",
            "enum": ["fail", "continue", "branch"],
            "default": "fail",
            "description": "What happens if the last attempt fails: `fail` ends the run, `continue` hands on "
            '`{"error": text}` as the output, `branch` does so by a branch called `error`',
        },
        "on_interrupt": {
            "type": "string",
            "enum": ["retry", "fail"],
            "default": "retry",
            "description": "What happens if the server stops in the middle of the node: `retry` executes it again, "
            "with the same idempotency key; `fail` ends the run as failed",
        },
        "disabled": {
            "type": "boolean",
            "default": False,
            "description": "If true, the node is not executed and hands its input on; a trigger, or a node with "
            "branches, is skipped",
        },
        "position": {
            "anyOf": [{"$ref": f"{REF}WorkflowPosition"}, {"type": "null"}],
            "description": "Where the editor draws the node; the engine ignores it",
        },
        "notes": {"type": ["string", "null"], "description": "A remark for people; the engine ignores it"},
    },
    "required": ["id", "type"],
    "additionalProperties": False,
}

EDGE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "from": {**_ID, "description": "The id of the node that the edge leaves"},
        "to": {**_ID, "description": "The id of the node that the edge enters"},
        "branch": {
            "type": ["string", "null"],
            "description": "The branch by which it leaves; required if the node has branches, else left out",
        },
        "id": {"description": "Ignored; editors may keep one"},
    },
    "required": ["from", "to"],
    "additionalProperties": False,
}
SHORT_EDGE: dict[str, Any] = {
    "type": "array",
    "items": {"type": "string"},
    "minItems": 2,
    "maxItems": 3,
    "description": 'An edge in short: `["from", "to"]` or `["from", "to", "branch"]`',
}

SETTINGS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "timezone": {
            "type": "string",
            "default": "UTC",
            "description": "The IANA time zone of its schedules, such as Europe/Berlin",
        },
        "timeout": {
            "type": ["number", "null"],
            "minimum": 0.001,
            "maximum": 2_592_000,
            "description": "Seconds that a run may take; without it, what `HEADRACE_RUN_TIMEOUT` says",
        },
        "max_concurrent_runs": {
            "type": "integer",
            "minimum": 0,
            "maximum": 10_000,
            "default": 0,
            "description": "How many runs of the flow may be active at the same time; 0: no limit",
        },
        "overlap": {
            "type": "string",
            "enum": ["queue", "skip"],
            "default": "queue",
            "description": "What happens to a run beyond that limit: `queue` lets it wait, `skip` refuses it",
        },
        "error_workflow_id": {
            **_FLOW_ID,
            "description": "The flow that runs when a run of this one fails; it begins with a node of type `error`",
        },
        "vars": {
            "type": "object",
            "additionalProperties": {},
            "default": {},
            "description": "Values that all expressions of the flow know as `vars.<name>`",
        },
    },
    "additionalProperties": False,
}

DEFINITION: dict[str, Any] = {
    "type": "object",
    "description": "What a flow does: nodes, the edges between them, and settings",
    "properties": {
        "nodes": {
            "type": "array",
            "items": {"$ref": f"{REF}WorkflowNode"},
            "description": "The steps of the flow, in any order; at most `HEADRACE_MAX_NODES`",
        },
        "edges": {
            "type": "array",
            "items": {"anyOf": [{"$ref": f"{REF}WorkflowEdge"}, {"$ref": f"{REF}WorkflowShortEdge"}]},
            "description": "How the nodes follow each other: no cycle, and no edge twice",
        },
        "settings": {
            "anyOf": [{"$ref": f"{REF}WorkflowSettings"}, {"type": "null"}],
            "description": "What holds for the flow as a whole",
        },
    },
    "additionalProperties": False,
}

COMPONENTS: dict[str, dict[str, Any]] = {
    "WorkflowDefinition": DEFINITION,
    "WorkflowNode": NODE,
    "WorkflowRetry": RETRY,
    "WorkflowPosition": POSITION,
    "WorkflowEdge": EDGE,
    "WorkflowShortEdge": SHORT_EDGE,
    "WorkflowSettings": SETTINGS,
}


def keys_of(schema: dict[str, Any]) -> tuple[str, ...]:
    """Return the names of the properties of an object."""
    return tuple(schema["properties"])


def words_of(schema: dict[str, Any], key: str) -> tuple[str, ...]:
    """Return the words that a property may be."""
    return tuple(schema["properties"][key]["enum"])


def bounds_of(schema: dict[str, Any], key: str) -> tuple[float, float]:
    """Return the least and the largest number that a property may be."""
    field = schema["properties"][key]
    return field["minimum"], field["maximum"]
