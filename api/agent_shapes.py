"""How what agents did is shown: with their steps, and no longer than a list can be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from models import AgentRun, AgentStep, Wait

RUN_FIELDS = (
    "id", "agent_id", "run_id", "node_id", "status", "task", "input", "session", "model", "error_text", "created_at",
    "finished_at", "duration_ms",
)  # fmt: skip
STEP_FIELDS = (
    "seq", "kind", "name", "status", "error_text", "prompt_chars", "input_tokens", "output_tokens", "cost",
    "started_at", "finished_at", "duration_ms",
)  # fmt: skip
IN_LISTS = 1_000  # characters of one value
WHOLE = 200_000


def shown(rows: Sequence[AgentRun], most: int, with_steps: bool = True) -> list[dict[str, Any]]:
    """These runs of agents for the wire, with `steps`; a value of more than `most` characters is cut."""
    AgentRun.tell_ends(rows)
    steps = AgentStep.of([row.id for row in rows]) if rows else {}
    for row in rows:
        AgentStep.tell_ends(row, steps[row.id])
    return [
        _run(row, steps[row.id], most) | ({"steps": _steps(steps[row.id], most)} if with_steps else {}) for row in rows
    ]


def _run(row: AgentRun, steps: Sequence[AgentStep], most: int) -> dict[str, Any]:
    output = {} if row.output is None else orjson.loads(row.output)
    calls = [_step(step, most) for step in steps if step.kind == "tool" and step.status != "refused"]
    return {
        **{name: getattr(row, name) for name in RUN_FIELDS},
        "item_index": None if row.item_index < 0 else row.item_index,
        "text": output.get("text"),
        "data": output.get("data"),
        "tool_calls": calls,
        "usage": _used(steps),
        **_waiting(row),
    }


def _waiting(row: AgentRun) -> dict[str, Any]:
    """What it waits for in its node, and the question that people are to answer there, if any."""
    if row.status != "waiting":
        return {}
    wait = Wait.one("run_id = ? AND node_id = ?", row.run_id, row.node_id)
    return {} if wait is None else {"waiting": wait.reason, "question": wait.question}


def _used(steps: Sequence[AgentStep]) -> dict[str, Any]:
    """What it has used until now, however it ended."""
    asked = [step for step in steps if step.kind == "model" and step.status == "success"]
    return {
        "requests": len(asked),
        "tool_calls": sum(step.kind == "tool" and step.status != "refused" for step in steps),
        "input_tokens": sum(step.input_tokens or 0 for step in asked),
        "output_tokens": sum(step.output_tokens or 0 for step in asked),
        "cost": None if any(step.cost is None for step in asked) else sum(step.cost for step in asked),
    }


def _steps(rows: Sequence[AgentStep], most: int) -> list[dict[str, Any]]:
    return [_step(row, most) for row in rows]


def _step(row: AgentStep, most: int) -> dict[str, Any]:
    common = {name: getattr(row, name) for name in STEP_FIELDS}
    request = None if row.request is None else orjson.loads(row.request)
    result = None if row.result is None else orjson.loads(row.result)
    return common | {"start": _begun, "model": _asked, "tool": _called}[row.kind](request, result, most)


def _begun(request: Any, result: Any, most: int) -> dict[str, Any]:
    size = len(request["prompt"]) + len(request["instructions"]) + sum(map(len, sum(request["history"], [])))
    return {"text": cut(request["prompt"], most), "prompt_chars": size}


def _asked(request: Any, result: Any, most: int) -> dict[str, Any]:
    parts = (result or {}).get("parts", [])
    said = "".join(part["content"] for part in parts if part["part_kind"] == "text")
    calls = [{"name": part["tool_name"], "arguments": _arguments(part["args"])} for part in parts if "args" in part]
    return {
        "text": cut(said, most) or None,
        "tool_calls": [call | {"arguments": cut(call["arguments"], most)} for call in calls],
        "prompt_messages": (request or {}).get("messages"),
    }


def _arguments(given: Any) -> Any:
    """A call's arguments as JSON, which models give as text that may be none."""
    try:
        return orjson.loads(given) if isinstance(given, str) else given
    except ValueError:
        return given


def _called(request: Any, result: Any, most: int) -> dict[str, Any]:
    return {"arguments": cut(request, most), "result": cut(result, most)}


def cut(value: Any, most: int) -> Any:
    """The value, or the beginning of its JSON as text where that is longer than `most` characters."""
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return value if len(text) <= most else f"{text[:most]}… ({len(text)} characters)"
