"""Saved filters: filters of a list that a user has given a name, in a workspace. Nobody else sees them."""

from __future__ import annotations

from typing import Any

import orjson
from marshmallow.validate import Length

import fields
from api.http.auth import get_user, get_workspace_id, require_role
from api.http.json_io import Resource
from api.http.paging import SliceArgs, listed, slice_of
from database.queries import saved_filters
from errors import NotFound
from fields import Json, Out, Strict, Time, choice, text
from models import SavedFilter

blueprint = Resource("saved_filters", "Saved filters of lists")
PAGES = ("runs", "flows")
MAX_FILTERS = 20
QUERY = {"type": "object", "additionalProperties": {"type": "string"}}


def make_query_field(**options: Any) -> fields.Dict:
    """Return the field for the values of filters by name, all text."""
    return fields.Dict(
        keys=text(40),
        values=text(300, 0, is_stored=False),
        validate=Length(1, MAX_FILTERS),
        help="The values of the filters by name, as in the address of the page",
        **options,
    )


class SavedFilterOut(Out):
    id = fields.String()
    page = choice(PAGES)
    name = fields.String()
    query = Json(metadata=QUERY, help="The values of the filters by name")
    created_at = Time()


class SavedFilterIn(Strict):
    page = choice(PAGES, load_default="runs")
    name = text(100, required=True)
    query = make_query_field(required=True)


class SavedFilterChange(Strict):
    name = text(100)
    query = make_query_field()


class SavedFilterArgs(SliceArgs):
    page = choice(PAGES, load_default="runs")


@blueprint.get("/saved-filters")
@require_role("viewer", only_database=True)
@blueprint.arguments(SavedFilterArgs, location="query")
@blueprint.response(200, listed(SavedFilterOut))
def list_own(args: dict[str, Any]) -> Any:
    """List your saved filters for a page of the app in this workspace, by name."""
    return slice_of(saved_filters.of(get_workspace_id(), get_user().id, args["page"]), args)


@blueprint.post("/saved-filters")
@require_role("viewer")
@blueprint.arguments(SavedFilterIn)
@blueprint.response(201, SavedFilterOut)
def create(body: dict[str, Any]) -> Any:
    """Save filters under a name. 409 if you have a filter of this name, or too many."""
    values = {"page": body["page"], "name": body["name"].strip(), "query": orjson.dumps(body["query"]).decode()}
    return saved_filters.save_new(workspace_id=get_workspace_id(), user_id=get_user().id, **values)


@blueprint.patch("/saved-filters/<filter_id>")
@require_role("viewer")
@blueprint.arguments(SavedFilterChange)
@blueprint.response(200, SavedFilterOut)
def change(body: dict[str, Any], filter_id: str) -> Any:
    """Rename one of your saved filters, or replace its values."""
    found = _find_own(filter_id)
    values: dict[str, str] = {}
    if "name" in body:
        values["name"] = body["name"].strip()
    if "query" in body:
        values["query"] = orjson.dumps(body["query"]).decode()
    if values and not saved_filters.change(found, **values):
        raise _make_error(filter_id)
    return found


@blueprint.delete("/saved-filters/<filter_id>")
@require_role("viewer")
@blueprint.response(204)
def delete(filter_id: str) -> None:
    """Delete one of your saved filters."""
    if not _find_own(filter_id).remove():
        raise _make_error(filter_id)


def _find_own(filter_id: str) -> SavedFilter:
    """Return the caller's filter in this workspace. Raises: NotFound if there is none with this id."""
    row = SavedFilter.find(filter_id)
    if row is None or (row.user_id, row.workspace_id) != (get_user().id, get_workspace_id()):
        raise _make_error(filter_id)
    return row


def _make_error(filter_id: str) -> NotFound:
    return NotFound(f"You have no saved filter {filter_id[:64]!r} in this workspace")
