"""Query parameters: a route takes those of its argument schemas, and `workspace_id`.

A parameter that the route does not know is refused: else a misspelt filter would answer everything. A parameter that is
given empty counts as not given, since forms send all of theirs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from flask import current_app, request
from marshmallow import Schema
from werkzeug.datastructures import MultiDict

from definition.messages import meant
from errors import BadInput, Issue

EVERYWHERE = ("workspace_id",)  # see auth.py
MAX_SHOWN = 64  # characters of a name in an error
REMEMBERED = 256  # query strings that were right, each of no more than the 4 KB of the first line of a request
MAX_TOLD = 5  # unknown names in an error
# Metadata of a field whose empty value means something: the session without a name, say.
EMPTY_COUNTS = "allowEmptyValue"


def mark(view: Any, schema: Schema) -> None:
    """Add the fields of the schema to the query parameters that the view takes."""
    names = (field.data_key or name for name, field in schema.fields.items())
    view.query_names = (*names_of(view), *names)


def names_of(view: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names of the query parameters that the view takes."""
    names: tuple[str, ...] = getattr(view, "query_names", EVERYWHERE)
    return names


def check() -> None:
    """Refuse query parameters that the view of this request does not take.

    Raises: BadInput with an issue for each, which names the nearest known name, or else all known names.
    """
    raw = request.query_string
    if raw:
        _check(current_app.view_functions[str(request.endpoint)], raw)


@lru_cache(REMEMBERED)
def _check(view: Callable[..., Any], raw: bytes) -> None:
    known = names_of(view)
    unknown = [name for name in request.args if name not in known][:MAX_TOLD]
    if unknown:
        issues = [Issue(name[:MAX_SHOWN], _problem(name, known)) for name in unknown]
        raise BadInput("; ".join(issue.message for issue in issues), issues)


def _problem(name: str, known: tuple[str, ...]) -> str:
    nearest = meant(name, known) or f"; this address takes {', '.join(sorted(known))}"
    return f"unknown query parameter {name[:MAX_SHOWN]!r}{nearest}"


def given(sent: MultiDict[str, str], schema: Schema) -> MultiDict[str, str]:
    """Return the parameters without the empty ones, but for those whose empty value means something."""
    counts = {field.data_key or name for name, field in schema.fields.items() if field.metadata.get(EMPTY_COUNTS)}
    return MultiDict((name, value) for name, value in sent.items(multi=True) if value or name in counts)
