"""References of flows to credentials and other flows: warnings for unusable ones, and the callers of a flow."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import Any

import orjson

import definition as definitions
from database.queries import workflows
from errors import Conflict, Issue
from models import Workflow
from nodes.base import REGISTRY
from nodes.data.python_sandbox import Sandbox
from nodes.fields import is_literal
from registry import registry
from security import credentials

from .resources import FindCredential

MAX_NAMED = 5  # callers in a message
MAX_WARNINGS = 1_000
MAX_ID = 64  # characters of an id in a message


def warnings_of(definition: Any, workspace_id: str, find_credential: FindCredential) -> list[Issue]:
    """Return a warning for each credential and each flow that the definition names but cannot use."""
    calls = definitions.find_workflows(definition)
    flows = {flow.id: flow for flow in workflows.of_ids(sorted({use.name for use in calls}), brief=True)}
    own = {id_: flow for id_, flow in flows.items() if flow.workspace_id == workspace_id}
    wrong = (
        Issue(use.path, text, use.node_id, "warning")
        for use in calls
        if (text := _problem(use, own.get(use.name))) is not None
    )
    return [*credentials.find_warnings(definition, workspace_id, find_credential), *islice(wrong, MAX_WARNINGS)]


def _problem(use: definitions.Use, flow: Workflow | None) -> str | None:
    if flow is None:
        return f"there is no flow {use.name[:MAX_ID]!r} in this workspace"
    if use.path == definitions.ERROR_FLOW:
        told = f"the flow {flow.name!r} is not active, so that no run of it starts when a run fails"
        return None if flow.status == "active" else told
    return f"the flow {flow.name!r} is archived and cannot be called" if flow.status == "archived" else None


def warned(flow: Workflow, find_credential: FindCredential) -> Workflow:
    """Return the flow just saved, with `warnings` added if there are any."""
    if found := warnings_of(orjson.loads(flow.definition_json), flow.workspace_id, find_credential):
        flow.warnings = found  # type: ignore[attr-defined]
    return flow


def check_uncalled(flow: Workflow) -> None:
    """Check that neither another active flow nor an agent calls the flow.

    A flow activated at the same moment is missed; its runs then fail at the calling node with an error that says why.

    Raises: Conflict with the names of callers.
    """
    callers = list(islice(_callers(flow), MAX_NAMED + 1))
    if callers:
        named = ", ".join(callers[:MAX_NAMED]) + (" and others" if len(callers) > MAX_NAMED else "")
        raise Conflict(f"The flow cannot be deleted while it is called by {named}")


def _callers(flow: Workflow) -> Iterator[str]:
    for id_, name, text in workflows.active_with(flow.workspace_id, [flow.id]):
        if id_ != flow.id and any(use.name == flow.id for use in definitions.find_workflows(orjson.loads(text))):
            yield f"the active flow {name!r}"
    for referrer in registry.list_referrers(flow.workspace_id):
        if flow.id in referrer.flows:
            yield f"the {referrer.type} {referrer.name!r}"


# Code checks: syntax errors in the code of a definition's nodes, found while it is edited. Nothing is executed.

MAX_SECONDS = 2.0  # for all code of a definition
MAX_ISSUES = 20


def find_code_issues(definition: Any, sandbox: Sandbox) -> list[Issue]:
    """Return a warning for each Python source that does not compile, with the line in its message."""
    end = time.monotonic() + MAX_SECONDS
    issues: list[Issue] = []
    for path, node_id, source in _python_sources(definition):
        if time.monotonic() > end or len(issues) >= MAX_ISSUES:
            break
        if (message := _check(sandbox, source)) is not None:
            issues.append(Issue(path, message, node_id, "warning"))
    return issues


@lru_cache(64)
def _check(sandbox: Sandbox, source: str) -> str | None:
    return sandbox.check(source)


def _python_sources(definition: Any) -> Iterator[tuple[str, str | None, str]]:
    """Yield the path, node id and text of each setting that is Python by its schema."""
    nodes = definition.get("nodes") if isinstance(definition, dict) else None
    for place, raw in enumerate(nodes if isinstance(nodes, list) else ()):
        node = REGISTRY.get(str(raw.get("type"))) if isinstance(raw, dict) else None
        config = raw.get("config") if node is not None else None
        if node is None or not isinstance(config, dict):
            continue
        for key, field_ in definitions.get_schema(node, raw).fields.items():
            source = config.get(key)
            if field_.metadata.get("x-language") == "python" and is_literal(field_) and isinstance(source, str):
                id_ = raw.get("id")
                yield f"nodes[{place}].config.{key}", id_ if isinstance(id_, str) else None, source
