"""The shapes of what agents are asked, of what they did and of what they remember, on the wire (see schemas.py)."""

from __future__ import annotations

from marshmallow import fields, validate

from schema_fields import PRECISE, Json, Milliseconds, Out, Shape, Strict, Time, Whole, choice, text
from schemas import PageArgs

# Given empty, it is not left out: it means what was written without a session.
SESSION = {
    "allowEmptyValue": True,
    "description": "One session; empty: the entries without a session; left out: all",
}


class TaskIn(Strict):
    agent_id = text(64, required=True)
    task = text(100_000, required=True)
    input = fields.Raw(load_default=None, allow_none=True, metadata={"description": "What the task is about: data"})
    session = text(200, 0, load_default=None, allow_none=True)
    memory = fields.Boolean(
        load_default=None, allow_none=True, metadata={"description": "Whether to recall; else as the agent says"}
    )
    model = text(200, load_default=None, allow_none=True, metadata={"description": "Such as openai:gpt-5"})
    credentials = fields.Dict(
        keys=text(64),
        values=text(200),
        load_default=dict,
        validate=validate.Length(max=20),
        metadata={"description": "By type of tool, for those that name none; `llm` is the model's"},
    )
    wait = fields.Float(load_default=30.0, validate=validate.Range(0, 60), metadata={"description": "Seconds"})


class UsageOut(Out):
    requests = fields.Integer(required=True)
    tool_calls = fields.Integer(required=True)
    input_tokens = fields.Integer(required=True)
    output_tokens = fields.Integer(required=True)
    cost = fields.Float(required=True, allow_none=True, metadata={"description": "US dollars; null: not known"})


class AgentStepOut(Out):
    """One thing that an agent did: `start`, a request to the `model`, or the call of a `tool`."""

    seq = fields.Integer(required=True)
    kind = choice(("start", "model", "tool"), required=True)
    name = fields.String(required=True)
    status = choice(("running", "success", "failed", "refused", "asking", "waiting"), required=True)
    arguments = Json(allow_none=True, metadata={"description": "Of a tool"})
    result = Json(allow_none=True, metadata={"description": "Of a tool: what the model is told"})
    text = fields.String(allow_none=True, metadata={"description": "What the model says; of the start its prompt"})
    tool_calls = Json(allow_none=True, metadata={"description": "What the model calls: `[{name, arguments}]`"})
    error_text = fields.String(required=True, allow_none=True)
    prompt_chars = fields.Integer(allow_none=True)
    prompt_messages = fields.Integer(allow_none=True)
    input_tokens = fields.Integer(allow_none=True)
    output_tokens = fields.Integer(allow_none=True)
    cost = fields.Float(allow_none=True)
    started_at = Time(required=True)
    finished_at = Time(required=True, allow_none=True)
    duration_ms = Milliseconds(required=True, allow_none=True)
    duration_us = fields.Integer(required=True, allow_none=True, metadata=PRECISE)


class ToolCallOut(Out):
    name = fields.String(required=True)
    arguments = Json(required=True, allow_none=True)
    status = fields.String(required=True)
    error_text = fields.String(required=True, allow_none=True)


class AgentRunOut(Out):
    id = fields.String(required=True)
    agent_id = fields.String(required=True)
    run_id = fields.String(required=True, metadata={"description": "The run whose step it is"})
    node_id = fields.String(required=True)
    item_index = fields.Integer(allow_none=True)
    status = choice(("pending", "running", "waiting", "success", "failed"), required=True)
    task = fields.String(required=True)
    input = Json(allow_none=True)
    session = fields.String(allow_none=True)
    model = fields.String(allow_none=True)
    text = fields.String(allow_none=True)
    data = Json(allow_none=True, metadata={"description": "The answer of an agent with an output_schema"})
    tool_calls = fields.List(fields.Nested(ToolCallOut), required=True)
    usage = fields.Nested(UsageOut, required=True)
    error_text = fields.String(required=True, allow_none=True)
    waiting = fields.String(allow_none=True, metadata={"description": "What it waits for"})
    question = fields.String(
        allow_none=True, metadata={"description": "What to answer by POST /api/runs/:id/resume, to this question alone"}
    )
    created_at = Time(required=True)
    finished_at = Time(required=True, allow_none=True)
    duration_ms = Milliseconds(required=True, allow_none=True)
    duration_us = fields.Integer(required=True, allow_none=True, metadata=PRECISE)


class AgentLogOut(AgentRunOut):
    steps = fields.List(fields.Nested(AgentStepOut), required=True)
    more_steps = fields.Integer(required=True, metadata={"description": "How many are left out, in a list"})


class AgentRunArgs(Shape):
    wait = fields.Float(load_default=0.0, validate=validate.Range(0, 60), metadata={"description": "Seconds"})


class AgentLogArgs(PageArgs):
    agent_id = text(64, load_default=None)
    session = text(200, 0, load_default=None, metadata=SESSION)
    limit = Whole(load_default=20, validate=validate.Range(1, 100))


class MemoryIn(Strict):
    agent_id = text(64, required=True)
    key = text(200, required=True)
    content = text(100_000, 0, required=True)
    session = text(200, 0, load_default="", allow_none=True)
    tags = fields.List(text(100), load_default=list, validate=validate.Length(max=50))
    expires_in = fields.Integer(
        strict=True,
        load_default=None,
        allow_none=True,
        validate=validate.Range(1, 3_660 * 86_400),
        metadata={"description": "Seconds after which it is forgotten; without it, never"},
    )


class MemoryArgs(PageArgs):
    agent_id = text(64, load_default=None)
    session = text(200, 0, load_default=None, metadata=SESSION)
    search = text(200, 0, is_kept=False, load_default=None)


class ForgetArgs(Shape):
    agent_id = text(64, required=True)
    session = text(200, 0, load_default=None, metadata=SESSION)


class ForgottenOut(Out):
    deleted = fields.Integer(required=True, metadata={"description": "How many entries there were"})


class MemoryOut(Out):
    id = fields.String(required=True)
    agent_id = fields.String(required=True)
    session = fields.String(required=True)
    key = fields.String(required=True)
    content = fields.String(required=True)
    tags = Json(required=True)
    expires_at = Time(required=True, allow_none=True)
    created_at = Time(required=True)
    updated_at = Time(required=True)
