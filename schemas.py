"""Schemas of requests and responses shared by several resources: validation and OpenAPI in one. No queries here."""

from __future__ import annotations

from typing import Any

from marshmallow import validate

import fields
from constants import LEVELS, ROLES, RUN_STATUSES, STEP_STATUSES, TRIGGERS, WORKFLOW_STATUSES
from database.queries import runs, steps, workflows, workspaces
from errors import ERROR_KINDS
from fields import (
    PATH_HELP,
    PRECISE,
    FolderPath,
    Json,
    Milliseconds,
    Out,
    Resendable,
    Shape,
    Strict,
    Time,
    choice,
    tag_list,
    text,
)

# A host or an address in lower case; a wildcard replaces the first of at least three labels.
HOST = r"(\*\.(?=[^.]+\.))?[a-z0-9_]([a-z0-9_.-]{0,250}[a-z0-9])?\Z|[0-9a-f:]{2,39}\Z"


# A reference to the OpenAPI component: see api/openapi.py.
DEFINITION = {"component": "WorkflowDefinition"}
# The schema of a response with any content.
ANY_JSON: dict[str, Any] = {"description": "Any JSON"}

NAMES: dict[str, Any] = {"type": "array", "items": {"type": "string"}}

# Errors and lists


class Detail(Out):
    path = fields.String()
    message = fields.String()
    node_id = fields.String(allow_none=True, optional=True)
    level = fields.String(optional=True)


class Error(Out):
    error = fields.String(help="The error, for people")
    details = fields.List(fields.Nested(Detail), help="Validation errors with their places", optional=True)


# People


class Login(Strict):
    email = text(254, required=True)
    password = fields.String(required=True, validate=validate.Length(1, 1000), metadata={"format": "password"})


# Flows


class FlowOut(Out):
    id = fields.String()
    name = fields.String()
    status = choice(WORKFLOW_STATUSES)
    version = fields.Integer()
    workspace_id = fields.String()
    definition_json = fields.String(help="A WorkflowDefinition as JSON text")
    created_at = Time()
    updated_at = Time()
    folder = fields.String(
        from_row=workflows.folder_of, allow_none=True, help="The path of its folder; null: in no folder"
    )
    tags = Json(from_row=workflows.tags_of, metadata=NAMES, help="Its tags, sorted")


class SavedOut(FlowOut):
    """A flow that was just saved."""

    warnings = fields.List(fields.Nested(Detail), help="Warnings, such as a missing credential", optional=True)


class FlowBody(Resendable, Strict):
    """Fields of POST and PUT."""

    read_only = {"id", "workspace_id", "created_at", "updated_at", "warnings"}
    definition_json = fields.String(help="A WorkflowDefinition as JSON text")
    definition = fields.Raw(metadata=DEFINITION)
    folder = FolderPath(allow_none=True, help=f"{PATH_HELP}; null: no folder")
    tags = tag_list()


class FlowIn(FlowBody):
    name = text(200, required=True)
    status = choice(WORKFLOW_STATUSES, load_default="draft")
    version = fields.Raw(help="Ignored: a new flow is version 1")
    refuse_copy = fields.Boolean(
        load_default=False, help="Answer 409 if a flow of the workspace has this definition, as an import does"
    )


ULID = "[0-9A-HJKMNP-TV-Z]{26}"
FLOW_ID, RUN_ID = f"wf_{ULID}", f"run_{ULID}"


class CheckIn(Strict):
    definition = fields.Raw(required=True, metadata=DEFINITION)


class CheckOut(Out):
    ok = fields.Boolean()
    issues = fields.List(fields.Nested(Detail))


# Runs

WHY_FAILED = "The kind of the failure; null if nothing failed, or before version 0.2"


class RunOut(Out):
    id = fields.String()
    workflow_id = fields.String()
    workflow_name = fields.String()
    workflow_version = fields.Integer(allow_none=True, optional=True)
    workspace_id = fields.String()
    status = choice(RUN_STATUSES)
    triggered_by = choice(TRIGGERS)
    duration_ms = Milliseconds(allow_none=True)
    duration_us = fields.Integer(allow_none=True, help=PRECISE)
    created_at = Time()
    started_at = Time(allow_none=True)
    finished_at = Time(allow_none=True)
    input = Json(allow_none=True, optional=True)
    output = Json(allow_none=True)
    error_text = fields.String(allow_none=True)
    error_node_id = fields.String(allow_none=True, optional=True)
    error_kind = choice(ERROR_KINDS, allow_none=True, help=WHY_FAILED, optional=True)
    cancelled = fields.Boolean(optional=True)
    waiting = fields.String(allow_none=True, optional=True)
    parent_run_id = fields.String(allow_none=True, optional=True)
    retry_of = fields.String(allow_none=True, optional=True)
    progress = Json(
        from_row=runs.progress,
        allow_none=True,
        metadata={"type": "object"},
        help="`{done, total}`: settled and all nodes",
        optional=True,
    )
    draft = fields.Boolean(
        from_row=runs.draft, help="True for a run of an unsaved definition, which has no version", optional=True
    )
    until = fields.String(from_row=runs.until, allow_none=True, help="The node after which it stops", optional=True)
    only = fields.String(  # type: ignore[assignment]  # a setting of marshmallow has this name too
        from_row=runs.only,
        allow_none=True,
        help="The only node that it executes; others have the steps of `retry_of`",
        optional=True,
    )
    pinned = Json(
        from_row=runs.pinned,
        metadata=NAMES,
        help="The nodes that were not executed because their output was given",
        optional=True,
    )


class StartArgs(Shape):
    wait = fields.Float(load_default=10.0, validate=validate.Range(0, 60), help="Seconds")


class StepOut(Out):
    id = fields.String(from_row=steps.id_of)
    number = fields.Integer(attribute="seq", help="In the order of execution, from 0", optional=True)
    run_id = fields.String()
    node_id = fields.String()
    node_type = fields.String()
    node_name = fields.String()
    status = choice(STEP_STATUSES)
    attempt = fields.Integer()
    index = fields.Integer(attribute="item_index", allow_none=True, optional=True)
    branch = fields.String(allow_none=True, optional=True)
    pinned = fields.Boolean(help="True if its output was given and it was not executed", optional=True)
    input = Json(allow_none=True, help="Null with values=false")
    output = Json(allow_none=True, help="Null with values=false")
    error_text = fields.String(allow_none=True)
    error_kind = choice(ERROR_KINDS, allow_none=True, help=WHY_FAILED, optional=True)
    started_at = Time()
    finished_at = Time(allow_none=True)
    duration_ms = Milliseconds(allow_none=True)
    duration_us = fields.Integer(allow_none=True, help=PRECISE)


# Credentials


def hosts(**options: Any) -> fields.List:
    """Return a field for a list of hosts; `*.example.com` stands for all subdomains."""
    name = fields.String(validate=validate.Regexp(HOST, error="Must be a host, or *.example.com for its subdomains."))
    description = "Allowed hosts; null: the hosts in its values"
    return fields.List(name, allow_none=True, validate=validate.Length(1, 50), help=description, **options)


class CredentialIn(Strict):
    name = text(200, required=True)
    type = text(50, required=True)
    data = fields.Dict(required=True, help="The values, as the type defines them; never returned")
    hosts = hosts(load_default=None)


# Logs


class LogOut(Out):
    id = fields.String()
    run_id = fields.String(allow_none=True)
    node_id = fields.String(allow_none=True)
    level = choice(LEVELS)
    message = fields.String()
    data = Json(allow_none=True)
    created_at = Time()


# People


class WorkspaceOut(Out):
    id = fields.String()
    name = fields.String()
    role = choice(ROLES)
    timezone = fields.String(attribute="zone", from_row=workspaces.zone_of, help="Of schedules and flows without one")
    created_at = Time()


class UserOut(Out):
    id = fields.String()
    email = fields.String()
    name = fields.String()
    created_at = Time()
    set_up = fields.Boolean(help="false: another user set the password; the user should choose a new one")
    admin = fields.Boolean(help="May create workspaces and accounts, and reset passwords")
    may_found_workspaces = fields.Boolean()
    workspaces = fields.List(fields.Nested(WorkspaceOut), optional=True)


class SessionOut(Out):
    id = fields.String(allow_none=True, optional=True)
    workspace_id = fields.String()
    role = choice(ROLES, optional=True)
    created_at = Time(optional=True)
    expires_at = Time(allow_none=True, optional=True)


class WhoOut(Out):
    session = fields.Nested(SessionOut)
    user = fields.Nested(UserOut)


# Connectors


class MarkOut(Out):
    text = fields.String(help="One to three letters")
    color = fields.String(help="The colour behind them, such as #1a5fb4")


class ServiceOut(Out):
    type = fields.String(help="The type of the connector itself, not of its trigger")
    name = fields.String()
