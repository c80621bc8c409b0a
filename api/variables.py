"""Variables of a workspace, which expressions of all its flows read as `vars.<name>`."""

from __future__ import annotations

import re
import time
from typing import Any

import fields
from api.audit import begin_entry
from api.http.auth import get_workspace_id, require_role
from api.http.json_io import Resource
from api.http.paging import SliceArgs, listed, slice_of
from database.base import now_ms
from database.queries.workspace_variables import current_variables, delete_variable, set_variable
from errors import BadInput, NotFound
from fields import Out, Strict

blueprint = Resource("variables", "Variables of the workspace")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}\Z")


class VariableOut(Out):
    name = fields.String()
    value = fields.Raw(allow_none=True, help="Any JSON")


class VariableIn(Strict):
    value = fields.Raw(required=True, allow_none=True, help="Any JSON. Not for secrets: runs record the values")


@blueprint.get("/variables")
@require_role("viewer", only_database=True)
@blueprint.arguments(SliceArgs, location="query")
@blueprint.response(200, listed(VariableOut))
def list_variables(args: dict[str, Any]) -> Any:
    """List the variables by name."""
    found = current_variables(get_workspace_id())
    return slice_of([{"name": name, "value": found[name]} for name in sorted(found)], args)


@blueprint.put("/variables/<variable>")
@require_role("editor")
@blueprint.arguments(VariableIn)
@blueprint.response(200, VariableOut)
def set_value(body: dict[str, Any], variable: str) -> Any:
    """Set a variable. Runs that start after the answer use it; earlier runs keep the values of their start."""
    if not NAME.match(variable):
        raise BadInput("The name of a variable is 1 to 64 letters, digits and underscores, and begins with no digit")
    with begin_entry("variable.set").target("variable", None, variable).written():
        at = set_variable(get_workspace_id(), variable, body["value"])
    _wait_until(at)
    return {"name": variable, "value": body["value"]}


@blueprint.delete("/variables/<variable>")
@require_role("editor")
@blueprint.response(204)
def delete(variable: str) -> None:
    """Delete a variable. Expressions that read it fail in runs that start from then on."""
    with begin_entry("variable.deleted").target("variable", None, variable).written():
        at = delete_variable(get_workspace_id(), variable)
        if at is None:
            raise NotFound(f"The workspace has no variable {variable[:64]!r}")
    _wait_until(at)


def _wait_until(at_ms: int) -> None:
    """Return when the change counts, at most about a second later: so the next run has it."""
    time.sleep(max(0, min(at_ms - now_ms(), 2_000)) / 1000)
