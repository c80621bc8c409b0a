"""The shapes of agent definitions on the wire (see schemas.py).

What comes in is only described here: agent/definition.py checks it, with one list of everything that is wrong.
"""

from __future__ import annotations

from typing import Any

from marshmallow import INCLUDE, fields, pre_load

from agent import definition as agents
from schema_fields import Cursor, Out, Shape, Time
from schemas import Detail, PageArgs

READ_ONLY = {"builtin", "created_at", "needs_credentials", "updated_at", "warnings"}
TEXTS = {"type": "array", "items": {"type": "string"}, "maxItems": agents.MAX_LISTED}
TYPES = {"type": "string", "enum": list(agents.KINDS)}
TOOL = {
    "type": "object",
    "required": ["type"],
    "properties": {
        "type": TYPES,
        "approval": {
            "oneOf": [{"type": "boolean"}, TEXTS],
            "description": "Whether a person must agree to each call, or to those of which of its tools",
        },
        "credential": {"type": "string", "description": "http, sql, mcp: the name of one"},
        "hosts": {
            **TEXTS,
            "description": "http: where it may go, `*.example.com` for all below; else wherever nodes may",
        },
        "methods": {"type": "array", "items": {"enum": list(agents.METHODS)}, "description": "http: GET without it"},
        "write": {"type": "boolean", "description": "store: whether it may set values"},
        "workflows": {**TEXTS, "description": "run_flow: the ids of the flows; without it, all that can be called"},
        "tools": {**TEXTS, "description": "mcp: the names of the server's tools; without it, all"},
    },
}
LIMITS = {
    "type": "object",
    "properties": {
        "steps": {"type": "integer", "minimum": 1, "maximum": agents.MAX_STEPS, "description": "Requests to the model"},
        "tokens": {"type": "integer", "minimum": 1, "maximum": agents.MAX_TOKENS, "description": "In and out, in all"},
        "seconds": {"type": "number", "minimum": 1, "maximum": agents.MAX_SECONDS},
        "cost": {"type": ["number", "null"], "maximum": agents.MAX_COST, "description": "US dollars"},
    },
}
APPROVAL = {
    "type": "object",
    "properties": {
        "notify": {"type": ["string", "null"], "description": "The service_url credential that is told"},
        "timeout": {"type": ["number", "null"], "minimum": 1, "maximum": agents.MAX_WAIT, "description": "Seconds"},
    },
}


def _described(type_: str, most: int = 0, told: str = "", required: bool = False) -> fields.Raw:
    """A field that is described, and checked elsewhere; null is none, unless it is required."""
    shape: dict[str, Any] = {"type": type_}
    shape |= {"maxLength": most} if most else {}
    shape |= {"description": told} if told else {}
    return fields.Raw(required=required, allow_none=not required, metadata=shape)


class AgentIn(Shape):
    """An agent that was read can be sent back: what only the server sets is passed over."""

    class Meta:
        unknown = INCLUDE  # here: the check of the definition says what may have been meant
        description = "An agent's definition. A key that is not here is refused."

    read_only = READ_ONLY
    id = _described("string", agents.MAX_ID, "a-z, 0-9 and single dashes; made of the name where it is left out")
    name = _described("string", agents.MAX_NAME, required=True)
    description = _described("string", agents.MAX_DESCRIPTION)
    instructions = _described("string", agents.MAX_INSTRUCTIONS, required=True)
    model = _described("string", agents.MAX_NAME, "provider:name; null: the server's")
    credential = _described("string", agents.MAX_NAME, "The name of an llm credential")
    tools = fields.Raw(
        allow_none=True,
        metadata={"type": "array", "items": {"oneOf": [TYPES, TOOL]}, "maxItems": agents.MAX_TOOLS},
    )
    memory = _described("boolean", told="Whether it is told what it remembers")
    output_schema = _described("object", told="The JSON Schema of an object; null: it answers text")
    limits = fields.Raw(allow_none=True, metadata=LIMITS)
    approval = fields.Raw(allow_none=True, metadata=APPROVAL)

    @pre_load
    def drop_read_only(self, data: Any, **kwargs: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {key: value for key, value in data.items() if key not in self.read_only}


class AgentChange(AgentIn):
    """The whole definition anew."""

    read_only = READ_ONLY - {"updated_at"}
    updated_at = Time(
        load_default=None,
        allow_none=True,
        metadata={"description": "When the agent was last changed that the change is based on; null: whenever"},
    )


class NameCursor(Cursor):
    """Where a page of agents begins: the id before it."""

    inside = agents.ID


class AgentArgs(PageArgs):
    cursor = NameCursor(load_default=None)


class AgentOut(Out):
    id = fields.String(required=True)
    name = fields.String(required=True)
    description = fields.String(required=True)
    instructions = fields.String(required=True)
    model = fields.String(required=True, allow_none=True)
    credential = fields.String(required=True, allow_none=True)
    tools = fields.List(fields.Dict(), required=True)
    memory = fields.Boolean(required=True)
    output_schema = fields.Dict(required=True, allow_none=True)
    limits = fields.Dict(required=True)
    approval = fields.Dict(required=True, allow_none=True)
    builtin = fields.Boolean(required=True, metadata={"description": "Whether it came with the server"})
    needs_credentials = fields.List(
        fields.String(),
        required=True,
        metadata={"description": "The types of its tools for which whoever runs it has to name a credential"},
    )
    created_at = Time(required=True, allow_none=True)
    updated_at = Time(required=True, allow_none=True)


class SavedAgentOut(AgentOut):
    """An agent that was just written."""

    warnings = fields.List(
        fields.Nested(Detail), metadata={"description": "Where there are any: a credential that is missing, say"}
    )
