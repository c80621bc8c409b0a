"""Query parameters: a route accepts those of its argument schemas, and `workspace_id`.

Unknown parameters are refused: otherwise a misspelt filter would return everything. An empty parameter counts as not
given, since forms send all of their fields.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

from flask import current_app, request
from marshmallow import Schema
from werkzeug.datastructures import MultiDict

from definition.messages import suggest
from errors import BadInput, Issue

ALWAYS_ALLOWED = ("workspace_id",)  # see auth.py
MAX_SHOWN = 64  # characters of a name in an error
MAX_CACHED = 256  # valid query strings, each at most the 4 KB of a request line
MAX_LISTED = 5  # unknown names in an error
# Metadata of a field whose empty value has a meaning, such as the session without a name.
EMPTY_COUNTS = "allowEmptyValue"

View = TypeVar("View", bound=Callable[..., Any])


def mark(view: Any, schema: Schema) -> None:
    """Add the fields of the schema to the query parameters that the view accepts."""
    names = (field.data_key or name for name, field in schema.fields.items())
    view.query_names = (*get_names(view), *names)


def get_names(view: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names of the query parameters that the view accepts."""
    names: tuple[str, ...] = getattr(view, "query_names", ALWAYS_ALLOWED)
    return names


def ignore(view: View) -> View:
    """Mark a view as one without parameters that accepts any: probes add numbers that no cache knows."""
    view.ignores_query = True
    return view


def check() -> None:
    """Check that the view of this request accepts all of its query parameters.

    Raises: BadInput with an issue for each unknown one, which names the nearest known name, else all known names.
    """
    raw = request.query_string
    if raw:
        view = current_app.view_functions[str(request.endpoint)]
        if not getattr(view, "ignores_query", False):
            _check(view, raw)


@lru_cache(MAX_CACHED)
def _check(view: Callable[..., Any], raw: bytes) -> None:
    known = get_names(view)
    unknown = [name for name in request.args if name not in known][:MAX_LISTED]
    if unknown:
        others = f"; this address accepts {', '.join(sorted(known))}"
        issues = [
            Issue(name[:MAX_SHOWN], f"unknown query parameter {name[:MAX_SHOWN]!r}{suggest(name, known) or others}")
            for name in unknown
        ]
        raise BadInput("; ".join(issue.message for issue in issues), issues)


def drop_empty(sent: MultiDict[str, str], schema: Schema) -> MultiDict[str, str]:
    """Return the parameters without the empty ones, except those whose empty value has a meaning."""
    counts = {field.data_key or name for name, field in schema.fields.items() if field.metadata.get(EMPTY_COUNTS)}
    return MultiDict((name, value) for name, value in sent.items(multi=True) if value or name in counts)
