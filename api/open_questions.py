"""Open questions of waiting runs, for the page of a signed link and for members."""

from __future__ import annotations

from typing import Any

from models import Run, Step, Wait, now_ms
from nodes.base import REGISTRY
from parsers.invisible_characters import OF_TEXTS, visible

MAX_TEXT = 10_000


def accepts_answers(type_: str) -> bool:
    """Return True if nodes of this type accept answers; False for an unknown type."""
    node = REGISTRY.get(type_)
    return node is not None and bool(node.answers)


def list_asking_types() -> list[str]:
    """Return the node types whose waits are always for people: they offer a choice."""
    return sorted(type_ for type_, node in REGISTRY.items() if len(node.answers) > 1 and not node.asks)


def format_reason(reason: str) -> str:
    """Return the question as people see it, with invisible characters shown: strangers may have written it."""
    return visible(reason.removeprefix("approval: ")[:MAX_TEXT], but=OF_TEXTS)


def list_open_questions(run: Run) -> list[dict[str, Any]]:
    """Return the open questions of the run in step order; none for a finished run."""
    if run.finished_at is not None or run.recorded:
        return []
    steps = [step for step in Step.waiting(run.id) if accepts_answers(step.node_type)]
    waits = Wait.of(run.id) if steps else {}
    asked = [_show_question(step, waits.get(step.node_id)) for step in steps]
    return [question for question in asked if question is not None]


def _show_question(step: Step, wait: Wait | None) -> dict[str, Any] | None:
    """Return the open question of a step; None if it was answered, has expired or waits for something else."""
    node = REGISTRY[step.node_type]
    if wait is None or wait.answered_at is not None or (node.asks and wait.question is None):
        return None
    if wait.wake_at is not None and wait.wake_at <= now_ms():
        return None
    return {
        "node_id": step.node_id,
        "node_name": step.node_name,
        "node_type": step.node_type,
        "text": format_reason(wait.reason or ""),
        "answers": list(node.answers),
        "question": wait.question,
        "asked_at": step.started_at,
        "expires_at": wait.wake_at,
    }
