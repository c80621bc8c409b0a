"""Open questions of waiting runs, for the page of a signed link and for members, and answers to them as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from api.http.json_io import get_dispatcher
from database.base import now_ms
from database.queries import steps as step_queries
from database.queries import waits
from database.queries import waits as wait_queries
from definition import PlannedNode
from errors import BadInput, Conflict, DefinitionError, Issue, NodeError
from fields import OF_TEXTS, visible
from models import Run, Step, Wait
from nodes.base import REGISTRY
from nodes.core.waits import complete, find_issues, get_max_bytes, list_missing_files, make_schema

MAX_TEXT = 10_000
NO_FORM: dict[str, Any] = {"form": None, "has_files": False, "files": []}
ENGINES_OWN = ("pause", "loop", "item_pause")  # kinds of waits that nobody can answer


def accepts_answers(type_: str) -> bool:
    """Return True if nodes of this type accept answers; False for an unknown type."""
    node = REGISTRY.get(type_)
    return node is not None and bool(node.answers)


def list_asking_types() -> list[str]:
    """Return the node types whose waits are always for people: they offer a choice."""
    return sorted(type_ for type_, node in REGISTRY.items() if len(node.answers) > 1 and not node.asks)


def format_reason(reason: str) -> str:
    """Return the question as people see it, with invisible characters shown: strangers may have written it."""
    return visible(reason.removeprefix("approval: ").removeprefix("form: ")[:MAX_TEXT], but=OF_TEXTS)


def list_open_questions(run: Run) -> list[dict[str, Any]]:
    """Return the open questions of the run in step order; none for a finished run."""
    if run.finished_at is not None or run.recorded:
        return []
    steps = [step for step in step_queries.waiting(run.id) if accepts_answers(step.node_type)]
    waits = wait_queries.of(run.id) if steps else {}
    asked = [_show_question(step, waits.get(step_queries.place_of(step))) for step in steps]
    return [question | _show_form(run, question) for question in asked if question is not None]


def _show_form(run: Run, question: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON Schema of the answers for which a node with fields asks, without files, which a page takes."""
    if "fields" not in REGISTRY[question["node_type"]].Config._declared_fields:
        return NO_FORM
    try:
        planned = get_dispatcher().resources.plan_of_run(run).by_id.get(waits.node_of(question["node_id"]))
    except (Conflict, DefinitionError, FileNotFoundError):
        return NO_FORM
    items = None if planned is None else planned.config.static.get("fields")
    if not items:
        return NO_FORM
    asked = [item for item in items if item["kind"] == "file"]  # with their limits, for a page that takes files
    most = get_dispatcher().resources.files_of(run.workspace_id).max_bytes if asked else 0
    files = [
        {
            "name": item["name"],
            "title": item.get("title") or item["name"],
            "help": item.get("help") or "",
            "required": bool(item.get("required")),
            "max": int(item.get("max", 1)),
            "max_bytes": get_max_bytes(item, most),
            "accept": list(item.get("accept", ())),
        }
        for item in asked
    ]
    return {"form": make_schema(items), "has_files": bool(files), "files": files}


def _show_question(step: Step, wait: Wait | None) -> dict[str, Any] | None:
    """Return the open question of a step; None if it was answered, has expired or waits for something else."""
    node = REGISTRY[step.node_type]
    if wait is None or wait.answered_at is not None or (node.asks and wait.question is None):
        return None
    if wait.kind in ENGINES_OWN:
        return None
    if wait.wake_at is not None and wait.wake_at <= now_ms():
        return None
    return {
        "node_id": step_queries.place_of(step),
        "item_index": step.item_index,
        "node_name": step.node_name if step.item_index is None else f"{step.node_name} #{step.item_index + 1}",
        "node_type": step.node_type,
        "text": format_reason(wait.reason or ""),
        "answers": list(node.answers),
        "question": wait.question,
        "asked_at": step.started_at,
        "expires_at": wait.wake_at,
    }


# Answers as JSON


def check_answer(node: PlannedNode, comment: Any, body: Any) -> dict[str, Any]:
    """Return the answer to a node with fields, from the JSON of a member or of another system.

    JSON has no files, so it cannot answer a node with a required file field.
    Raises: BadInput if the answers do not match the fields.
    """
    missing = list_missing_files(node.config.static["fields"], ())
    files = [Issue(f"body.{name}", f"{text} Files need multipart/form-data.") for name, text in missing.items()]
    refuse([*find_answer_issues(node, body), *files])
    return {"comment": comment, "fields": complete(node.config.static["fields"], body or {})}


def find_answer_issues(node: PlannedNode, answers: Any) -> list[Issue]:
    """Return the issues of answers given as JSON."""
    try:
        issues = find_issues(node.config.static["fields"], {} if answers is None else answers)
    except NodeError as error:
        raise BadInput(f"body: {error.message}") from None
    return [Issue(f"body.{issue['path']}".rstrip("."), issue["message"]) for issue in issues]


def refuse(found: list[Issue]) -> None:
    """Raises: BadInput if there are issues."""
    if found:
        raise BadInput("; ".join(map(str, found[:5])), found)
