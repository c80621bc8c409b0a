"""Schema of the definition format, as JSON Schema (draft 2020-12) in parts that refer to each other.

The API description and docs/definition.md are generated from it, and validation takes its enums and bounds from it.
Rules beyond JSON Schema, for example that edges join existing nodes, are checked in the other modules.
"""

from __future__ import annotations

from typing import Any

from .node_graph import ID, MAX_ID, MAX_NAME

# Prefix of a reference to another part: `{"$ref": REF + name}`.
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
            "description": "Maximum number of attempts, including the first",
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
            "description": "Factor by which each further delay grows, up to one hour",
        },
    },
    "additionalProperties": False,
}

NODE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": {
            **_ID,
            "description": "Name of the node in edges and expressions, unique in the flow: letters, digits and "
            "`_`, not starting with a digit",
        },
        "type": {"type": "string", "minLength": 1, "description": "Node type, one of those in [nodes.md](nodes.md)"},
        "name": {
            "type": "string",
            "maxLength": MAX_NAME,
            "description": "Display name; default: the id",
        },
        "config": {
            "type": "object",
            "additionalProperties": {},
            "description": "Settings of the node type; most accept [expressions](expressions.md)",
        },
        "foreach": {
            "anyOf": [{"type": "string"}, {"type": "array", "items": {}}, {"type": "null"}],
            "description": "List, or an expression that returns one: the node runs once for each item, available to "
            "expressions as `item` and `index`, and returns the list of outputs. Not for nodes with branches",
        },
        "retry": {
            "anyOf": [{"$ref": f"{REF}WorkflowRetry"}, {"type": "null"}],
            "description": "Retry policy of the node; default: one attempt",
        },
        "timeout": {
            "type": ["number", "null"],
            "minimum": 0.001,
            "maximum": 86_400,
            "description": "Timeout of one attempt in seconds; default: only the flow's timeout applies",
        },
        "on_error": {
            "type": "string",
            "enum": ["fail", "continue", "branch"],
            "default": "fail",
            "description": "Action if the last attempt fails: `fail` ends the run, `continue` outputs "
            '`{"error": text}`, `branch` outputs it to the branch `error`',
        },
        "on_interrupt": {
            "type": "string",
            "enum": ["retry", "fail"],
            "default": "retry",
            "description": "Action if the server stops while the node runs: `retry` executes it again "
            "with the same idempotency key; `fail` ends the run as failed",
        },
        "disabled": {
            "type": "boolean",
            "default": False,
            "description": "If true, the node is not executed and its input passes through; a trigger, or a node with "
            "branches, is skipped",
        },
        "position": {
            "anyOf": [{"$ref": f"{REF}WorkflowPosition"}, {"type": "null"}],
            "description": "Position in the editor; the engine ignores it",
        },
        "notes": {"type": ["string", "null"], "description": "Comment for readers; the engine ignores it"},
    },
    "required": ["id", "type"],
    "additionalProperties": False,
}

EDGE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "from": {**_ID, "description": "Id of the source node"},
        "to": {**_ID, "description": "Id of the target node"},
        "branch": {
            "type": ["string", "null"],
            "description": "Branch of the source node; required if it has branches, otherwise omitted",
        },
        "id": {"description": "Ignored; an editor may store its own id"},
    },
    "required": ["from", "to"],
    "additionalProperties": False,
}
SHORT_EDGE: dict[str, Any] = {
    "type": "array",
    "items": {"type": "string"},
    "minItems": 2,
    "maxItems": 3,
    "description": 'Short form of an edge: `["from", "to"]` or `["from", "to", "branch"]`',
}

SETTINGS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "timezone": {
            "type": "string",
            "default": "UTC",
            "description": "IANA time zone of the flow's schedules, such as Europe/Berlin",
        },
        "timeout": {
            "type": ["number", "null"],
            "minimum": 0.001,
            "maximum": 2_592_000,
            "description": "Run timeout in seconds; default: `HEADRACE_RUN_TIMEOUT`",
        },
        "max_concurrent_runs": {
            "type": "integer",
            "minimum": 0,
            "maximum": 10_000,
            "default": 0,
            "description": "Maximum number of concurrent runs; 0: no limit",
        },
        "overlap": {
            "type": "string",
            "enum": ["queue", "skip"],
            "default": "queue",
            "description": "Action if that limit is reached: `queue` lets the new run wait, `skip` rejects it",
        },
        "error_workflow_id": {
            **_FLOW_ID,
            "description": "Id of the flow to run when a run of this one fails; its trigger must be of type `error`",
        },
        "vars": {
            "type": "object",
            "additionalProperties": {},
            "default": {},
            "description": "Constants, available to all expressions of the flow as `vars.<name>`",
        },
    },
    "additionalProperties": False,
}

DEFINITION: dict[str, Any] = {
    "type": "object",
    "description": "Definition of a flow: nodes, the edges between them, and settings",
    "properties": {
        "nodes": {
            "type": "array",
            "items": {"$ref": f"{REF}WorkflowNode"},
            "description": "Steps of the flow, in any order; at most `HEADRACE_MAX_NODES`",
        },
        "edges": {
            "type": "array",
            "items": {"anyOf": [{"$ref": f"{REF}WorkflowEdge"}, {"$ref": f"{REF}WorkflowShortEdge"}]},
            "description": "Connections between nodes, without cycles and duplicates",
        },
        "settings": {
            "anyOf": [{"$ref": f"{REF}WorkflowSettings"}, {"type": "null"}],
            "description": "Settings of the flow as a whole",
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


def get_keys(schema: dict[str, Any]) -> tuple[str, ...]:
    """Return the property names of an object schema."""
    return tuple(schema["properties"])


def get_enum(schema: dict[str, Any], key: str) -> tuple[str, ...]:
    """Return the enum values of a property."""
    return tuple(schema["properties"][key]["enum"])


def get_bounds(schema: dict[str, Any], key: str) -> tuple[float, float]:
    """Return the minimum and maximum of a numeric property."""
    field = schema["properties"][key]
    return field["minimum"], field["maximum"]
