"""What runs that wait ask people: the same for the page of a signed link and for who is signed in."""

from __future__ import annotations

from typing import Any

from models import Run, Step, Wait, now_ms
from nodes.base import REGISTRY
from parsers.invisible_characters import OF_TEXTS, visible

LONGEST_TEXT = 10_000


def takes_answers(type_: str) -> bool:
    """Whether nodes of this type are answered; of one that is no longer there, nobody knows."""
    node = REGISTRY.get(type_)
    return node is not None and bool(node.answers)


def types_that_ask() -> list[str]:
    """The types of nodes at which a run waits for people as long as it waits: they have a choice."""
    return sorted(type_ for type_, node in REGISTRY.items() if len(node.answers) > 1 and not node.asks)


def text_of(reason: str) -> str:
    """What is to be decided, for people. It may hold what strangers wrote."""
    return visible(reason.removeprefix("approval: ")[:LONGEST_TEXT], but=OF_TEXTS)


def open_questions(run: Run) -> list[dict[str, Any]]:
    """What the run asks at the moment, in the order of its steps; of one that has ended, nothing."""
    if run.finished_at is not None or run.recorded:
        return []
    steps = [step for step in Step.waiting(run.id) if takes_answers(step.node_type)]
    waits = Wait.of(run.id) if steps else {}
    asked = [_question(step, waits.get(step.node_id)) for step in steps]
    return [question for question in asked if question is not None]


def _question(step: Step, wait: Wait | None) -> dict[str, Any] | None:
    """None for what was answered meanwhile, whose time is over, or who waits for something else."""
    node = REGISTRY[step.node_type]
    if wait is None or wait.answered_at is not None or (node.asks and wait.question is None):
        return None
    if wait.wake_at is not None and wait.wake_at <= now_ms():
        return None
    return {
        "node_id": step.node_id,
        "node_name": step.node_name,
        "node_type": step.node_type,
        "text": text_of(wait.reason or ""),
        "answers": list(node.answers),
        "question": wait.question,
        "asked_at": step.started_at,
        "expires_at": wait.wake_at,
    }
