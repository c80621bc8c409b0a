"""Code checks: syntax errors in the code of a definition's nodes, found while it is edited. Nothing is executed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import definition as definitions
from errors import Issue
from nodes.base import REGISTRY
from nodes.data.python_sandbox import Sandbox
from nodes.fields import is_literal

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
