"""How what agents did is shown: with their steps, and no longer than an answer can be.

What a model or a tool said can be of any shape, so all of it goes out as JSON text that is made here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import orjson

from api.http.json_io import check_depth
from errors import BadInput
from models import AgentRun, AgentStep, Wait

RUN_FIELDS = (
    "id", "agent_id", "run_id", "node_id", "status", "session", "model", "created_at", "finished_at", "duration_ms",
    "duration_us",
)  # fmt: skip
STEP_FIELDS = (
    "seq", "kind", "name", "status", "prompt_chars", "input_tokens", "output_tokens", "cost", "started_at",
    "finished_at", "duration_ms", "duration_us",
)  # fmt: skip
LEAST = 200
LONGEST_NAME = 200


class Room(NamedTuple):
    """How much is shown: characters of one value, steps of one run, and characters of all of these steps, about."""

    value: int
    steps: int
    all: int

    def for_each(self, count: int) -> int:
        """Characters of one value where there are so many steps."""
        return min(self.value, max(LEAST, self.all // max(1, count)))


IN_LISTS = Room(1_000, 100, 100_000)
WHOLE = Room(2_000_000, 4_000, 8_000_000)
MOST_IN_PAGE = 4_000_000  # characters of a list, about


def page(rows: Sequence[AgentRun]) -> list[dict[str, Any]]:
    """The first of these for a list, with `steps`: all, or as many as fit into an answer."""
    AgentRun.tell_ends(rows)
    found: list[dict[str, Any]] = []
    left = MOST_IN_PAGE
    for row in rows:
        made = _shown(row, IN_LISTS)
        found.append(made)
        left -= sum(_size(part) for part in (made, *made["steps"], *made["tool_calls"]))
        if left < 0:
            break
    return found


def shown(row: AgentRun) -> dict[str, Any]:
    """All of one, with `steps`; only what is very long is cut."""
    AgentRun.tell_ends([row])
    return _shown(row, WHOLE)


def _shown(row: AgentRun, room: Room) -> dict[str, Any]:
    total = AgentStep.count_of(row.id)
    most = room.for_each(min(total, room.steps))
    kept = list(AgentStep.first(row.id, room.steps))
    AgentStep.tell_ends(row, kept)
    steps = [_step(step, most) for step in kept]
    output = {} if row.output is None else orjson.loads(row.output)
    return {
        **{name: getattr(row, name) for name in RUN_FIELDS},
        "item_index": None if row.item_index < 0 else row.item_index,
        "task": _text(row.task, room.value),
        "input": _json_text(row.input, room.value),
        "text": _text(output.get("text"), room.value),
        "data": None if output.get("data") is None else _json(output["data"], room.value),
        "error_text": _text(row.error_text, room.value),
        "tool_calls": [step for step in steps if step["kind"] == "tool" and step["status"] != "refused"],
        "usage": AgentStep.used(row.id),
        "steps": steps,
        "more_steps": max(0, total - len(steps)),
        **_waiting(row),
    }


def _waiting(row: AgentRun) -> dict[str, Any]:
    """What it waits for in its node, and the question that people are to answer there, if any."""
    if row.status != "waiting":
        return {}
    wait = Wait.one("run_id = ? AND node_id = ?", row.run_id, row.node_id)
    return {} if wait is None else {"waiting": wait.reason, "question": wait.question}


# Steps


def _step(row: AgentStep, most: int) -> dict[str, Any]:
    # A call that people are asked about is never cut: what is left out of it would be agreed to unseen.
    most = WHOLE.value if row.status == "asking" else most
    common = {name: getattr(row, name) for name in STEP_FIELDS}
    kind = {"start": _begun, "model": _asked, "tool": _called}[row.kind]
    return common | {"error_text": _text(row.error_text, most)} | kind(row, most)


def _begun(row: AgentStep, most: int) -> dict[str, Any]:
    start = orjson.loads(row.request or "null")
    size = len(start["prompt"]) + len(start["instructions"]) + sum(map(len, sum(start["history"], [])))
    return {"text": _text(start["prompt"], most), "prompt_chars": size}


def _asked(row: AgentStep, most: int) -> dict[str, Any]:
    parts = [] if row.result is None else orjson.loads(row.result)["parts"]
    said = "".join(part["content"] for part in parts if part["part_kind"] == "text")
    calls = [part for part in parts if "args" in part]
    each = most // max(1, len(calls))
    return {
        "text": _text(said, most) or None,
        "tool_calls": _json_of(
            {"name": _text(part["tool_name"], LONGEST_NAME)} | _arguments(part["args"], each) for part in calls
        ),
        "prompt_messages": None if row.request is None else orjson.loads(row.request).get("messages"),
    }


def _arguments(given: Any, most: int) -> dict[str, Any]:
    """A call's arguments as JSON. Models give them as text, which may be none, or nested too deeply to be of use."""
    try:
        found = orjson.loads(given) if isinstance(given, str) else given
        check_depth(found, "arguments")
    except (ValueError, BadInput):
        found = given if isinstance(given, str) else orjson.dumps(given).decode()
    return {"arguments": orjson.Fragment(_json(found, most))}


def _called(row: AgentStep, most: int) -> dict[str, Any]:
    return {"arguments": _json_text(row.request, most), "result": _json_text(row.result, most)}


# Values


def _text(value: str | None, most: int) -> str | None:
    """The text, or its beginning."""
    return value if value is None or len(value) <= most else f"{value[:most]}… ({len(value):,} characters)"


def _json(value: Any, most: int) -> str:
    """The value as JSON text."""
    return str(_json_text(orjson.dumps(value).decode(), most))


def _json_text(written: str | None, most: int) -> str | None:
    """The JSON text, or its beginning as the JSON of a text."""
    if written is None or len(written) <= most:
        return written
    return orjson.dumps(_text(written, most)).decode()


def _json_of(items: Iterable[dict[str, Any]]) -> str:
    return orjson.dumps(list(items)).decode()


def _size(part: dict[str, Any]) -> int:
    """About how many characters it is written with: its texts, and what else there is."""
    return sum(len(value) if isinstance(value, str) else 20 for value in part.values())
