"""Agent runs as JSON, with their steps and limited in size.

Models and tools return values of any shape, so everything becomes JSON text here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

from api.http.json_io import check_depth
from errors import BadInput
from models import AgentRun, AgentStep, Wait
from packs.agents import agent_runs

RUN_FIELDS = (
    "id", "agent_id", "run_id", "node_id", "status", "session", "model", "created_at", "finished_at", "duration_ms",
    "duration_us",
)  # fmt: skip
STEP_FIELDS = (
    "seq", "kind", "name", "status", "prompt_chars", "input_tokens", "output_tokens", "cost", "started_at",
    "finished_at", "duration_ms", "duration_us",
)  # fmt: skip
MIN_CHARACTERS = 200
MAX_NAME = 200


class SizeLimits(NamedTuple):
    """Size limits: characters of one value, steps of one run, and approximate characters of all of these steps."""

    value: int
    steps: int
    all: int

    def per_value(self, count: int) -> int:
        """Return the limit in characters of one value if there are `count` steps."""
        return min(self.value, max(MIN_CHARACTERS, self.all // max(1, count)))


LIST_LIMITS = SizeLimits(1_000, 100, 100_000)
RUN_LIMITS = SizeLimits(2_000_000, 4_000, 8_000_000)
MAX_PAGE = 4_000_000  # approximate characters of a list


def make_page(rows: Sequence[AgentRun]) -> list[dict[str, Any]]:
    """Return the first of these runs with their `steps`: all runs, or as many as fit into a response."""
    agent_runs.tell_ends(rows)
    found: list[dict[str, Any]] = []
    left = MAX_PAGE
    for row in rows:
        made = _show(row, LIST_LIMITS)
        found.append(made)
        parts = (made, *made["steps"], *made["tool_calls"])
        # Texts count as they are, other values as 20 characters.
        left -= sum(len(value) if isinstance(value, str) else 20 for part in parts for value in part.values())
        if left < 0:
            break
    return found


def show_run(row: AgentRun) -> dict[str, Any]:
    """Return one run with all of its `steps`; only very long values are cut."""
    agent_runs.tell_ends([row])
    return _show(row, RUN_LIMITS)


def _show(row: AgentRun, limits: SizeLimits) -> dict[str, Any]:
    total = agent_runs.count_steps(row.id)
    limit = limits.per_value(min(total, limits.steps))
    rows = list(agent_runs.first_steps(row.id, limits.steps))
    agent_runs.tell_ends_of_steps(row, rows)
    steps = [_show_step(step, limit) for step in rows]
    output = {} if row.output is None else orjson.loads(row.output)
    return {
        **{name: getattr(row, name) for name in RUN_FIELDS},
        "item_index": None if row.item_index < 0 else row.item_index,
        "task": _cut(row.task, limits.value),
        "input": _cut_json(row.input, limits.value),
        "text": _cut(output.get("text"), limits.value),
        "data": None if output.get("data") is None else _to_json(output["data"], limits.value),
        "error_text": _cut(row.error_text, limits.value),
        "tool_calls": [step for step in steps if step["kind"] == "tool" and step["status"] != "refused"],
        "usage": agent_runs.usage(row.id),
        "steps": steps,
        "more_steps": max(0, total - len(steps)),
        **_describe_wait(row),
    }


def _describe_wait(row: AgentRun) -> dict[str, Any]:
    """Return the reason why its node waits, and the open question, if any."""
    if row.status != "waiting":
        return {}
    wait = Wait.one("run_id = ? AND node_id = ?", row.run_id, row.node_id)
    return {} if wait is None else {"waiting": wait.reason, "question": wait.question}


# Steps


def _show_step(row: AgentStep, limit: int) -> dict[str, Any]:
    # A call that awaits approval is never cut: no one should approve arguments that they cannot see.
    limit = RUN_LIMITS.value if row.status == "asking" else limit
    common = {name: getattr(row, name) for name in STEP_FIELDS}
    kind = {"start": _show_start, "model": _show_request, "tool": _show_call}[row.kind]
    return common | {"error_text": _cut(row.error_text, limit)} | kind(row, limit)


def _show_start(row: AgentStep, limit: int) -> dict[str, Any]:
    start = orjson.loads(row.request or "null")
    size = len(start["prompt"]) + len(start["instructions"]) + sum(map(len, sum(start["history"], [])))
    return {"text": _cut(start["prompt"], limit), "prompt_chars": size}


def _show_request(row: AgentStep, limit: int) -> dict[str, Any]:
    parts = [] if row.result is None else orjson.loads(row.result)["parts"]
    texts = "".join(part["content"] for part in parts if part["part_kind"] == "text")
    calls = [part for part in parts if "args" in part]
    each = limit // max(1, len(calls))
    return {
        "text": _cut(texts, limit) or None,
        "tool_calls": orjson.dumps(
            [{"name": _cut(part["tool_name"], MAX_NAME)} | _show_arguments(part["args"], each) for part in calls]
        ).decode(),
        "prompt_messages": None if row.request is None else orjson.loads(row.request).get("messages"),
    }


def _show_arguments(given: Any, limit: int) -> dict[str, Any]:
    """Return a call's arguments as JSON. A model's text may be malformed or too deeply nested: then it stays text."""
    try:
        found = orjson.loads(given) if isinstance(given, str) else given
        check_depth(found, "arguments")
    except (ValueError, BadInput):
        found = given if isinstance(given, str) else orjson.dumps(given).decode()
    return {"arguments": orjson.Fragment(_to_json(found, limit))}


def _show_call(row: AgentStep, limit: int) -> dict[str, Any]:
    return {"arguments": _cut_json(row.request, limit), "result": _cut_json(row.result, limit)}


# Values


def _cut(value: str | None, limit: int) -> str | None:
    """Return the text, or its beginning."""
    return value if value is None or len(value) <= limit else f"{value[:limit]}… ({len(value):,} characters)"


def _to_json(value: Any, limit: int) -> str:
    """Return the value as JSON text, or its beginning."""
    return str(_cut_json(orjson.dumps(value).decode(), limit))


def _cut_json(written: str | None, limit: int) -> str | None:
    """Return the JSON text, or its beginning as a JSON string."""
    if written is None or len(written) <= limit:
        return written
    return orjson.dumps(_cut(written, limit)).decode()
