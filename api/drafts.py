"""Drafts of flows: read, save, discard and publish them, now or at a time; and the users who have a flow open."""

from __future__ import annotations

from typing import Any

from marshmallow.validate import Range

import fields
from api.audit import begin_entry, record_change
from api.http.auth import get_user, require_role
from api.http.json_io import Resource, dump, get_server
from api.workflows import MAX_VERSION_NAME, MAX_VERSION_NOTE, limit_checks, read_definition, validate_text
from constants import WORKFLOW_STATUSES
from database.base import now_ms
from database.queries import drafts
from database.queries.drafts import clear_draft
from database.queries.users import names_of_users
from dispatch.publishing import Publication, check_base, check_revision, publish, save_draft
from dispatch.references import warned
from errors import BadInput, Conflict, NotFound
from fields import Out, Strict, Time, choice, iso, text
from models import Draft, Workflow
from schemas import DEFINITION, SavedOut

blueprint = Resource("drafts", "Drafts of flows")
MAX_AHEAD_MS = 366 * 86_400_000  # of a scheduled publish


class ScheduledOut(Out):
    """A scheduled publish of the draft as it was when the time was set."""

    publish_at = Time()
    draft_revision = fields.Integer(help="The revision of the draft that is published")
    base_version = fields.Integer()
    name = fields.String(allow_none=True)
    note = fields.String(allow_none=True)
    created_by = fields.String()
    created_by_name = fields.String(allow_none=True)
    created_at = Time()
    failure = fields.String(allow_none=True, help="The reason why it was not published; it is not tried again")
    failed_at = Time(allow_none=True)


class DraftHeadOut(Out):
    """The state of a draft without its definition."""

    version = fields.Integer(help="The current version of the flow")
    revision = fields.Integer(help="Counts the changes of the draft; goes into the next PUT")
    base_version = fields.Integer(allow_none=True, help="The version on which it is based; null without a draft")
    changed_by = fields.String(allow_none=True, help="Who changed, discarded or published it last")
    changed_by_name = fields.String(allow_none=True)
    changed_at = Time(allow_none=True)
    scheduled = fields.Nested(ScheduledOut, allow_none=True)


class DraftOut(DraftHeadOut):
    workflow_id = fields.String()
    definition_json = fields.String(allow_none=True, help="A WorkflowDefinition as JSON text; null: no draft")


class PersonOut(Out):
    user_id = fields.String()
    name = fields.String()
    since = Time()


class PresenceOut(DraftHeadOut):
    """The state of a flow for an editor that has it open."""

    name = fields.String(help="The name of the flow")
    status = choice(WORKFLOW_STATUSES)
    people = fields.List(fields.Nested(PersonOut), help="The other users who have the flow open")


class DraftIn(Strict):
    definition_json = fields.String(help="A WorkflowDefinition as JSON text")
    definition = fields.Raw(metadata=DEFINITION)
    base_version = fields.Integer(
        required=True, strict=True, validate=Range(1, 2**31), help="The version on which the draft is based"
    )
    revision = fields.Integer(
        required=True, strict=True, validate=Range(0, 2**53), help="The revision on which the change is based"
    )


class DiscardArgs(Strict):
    revision = fields.Integer(load_default=None, validate=Range(0, 2**53), help="Refuse a draft with another revision")


class PublishIn(Strict):
    revision = fields.Integer(
        strict=True, load_default=None, validate=Range(0, 2**53), help="Refuse a draft with another revision"
    )
    name = text(MAX_VERSION_NAME, load_default=None, allow_none=True, help="The name of the version")
    note = text(MAX_VERSION_NOTE, load_default=None, allow_none=True, help="A note about the version")
    activate = fields.Boolean(load_default=False, help="Activate the flow in the same step")
    at = Time(load_default=None, allow_none=True, help="Publish at this time instead of now")


@blueprint.get("/workflows/<flow>/draft")
@require_role("editor", flow=Workflow)
@blueprint.response(200, DraftOut)
def read_draft(flow: Workflow) -> Any:
    """Show the draft of a flow: changes that are not published. Without one, its definition is null."""
    draft = drafts.of(flow.id)
    return {**_head(flow, draft), "workflow_id": flow.id, "definition_json": draft.definition_json}


@blueprint.put("/workflows/<flow>/draft")
@require_role("editor", flow=Workflow)
@blueprint.arguments(DraftIn)
@blueprint.response(200, DraftHeadOut)
def put_draft(body: dict[str, Any], flow: Workflow) -> Any:
    """Save the draft. It may be incomplete. No version is made; runs, triggers and other flows do not see it.

    409 if `revision` is not the present one: another user has changed, discarded or published the draft. A draft that
    equals the version on which it is based is cleared.
    """
    definition = read_definition(body)
    if definition is None:
        raise BadInput("definition: is required; give the definition of the draft")
    with limit_checks(definition):
        validate_text(definition, "draft")
    draft = save_draft(flow, definition, body["base_version"], body["revision"], get_user().id)
    return _head(flow, draft)


@blueprint.delete("/workflows/<flow>/draft")
@require_role("editor", flow=Workflow)
@blueprint.arguments(DiscardArgs, location="query")
@blueprint.response(204)
def discard_draft(args: dict[str, Any], flow: Workflow) -> None:
    """Discard the draft, and cancel its scheduled publish. The flow stays as it is."""
    with record_change("flow.draft_discarded", flow) as entry:
        draft = drafts.lock(flow.id)
        check_revision(draft, args["revision"])
        clear_draft(flow.id, get_user().id)
        entry.note(draft=drafts.exists(draft))


@blueprint.post("/workflows/<flow>/publish")
@require_role("editor", flow=Workflow)
@blueprint.arguments(PublishIn, required=False)
@blueprint.response(200, SavedOut)
@blueprint.alt_response(202, schema=DraftHeadOut)
def publish_draft(body: dict[str, Any], flow: Workflow) -> Any:
    """Publish the draft as the next version, and clear it. For an active flow it must be valid.

    409 if the flow has another version than the one on which the draft is based. With `at`, the draft as it is now is
    published at that time (202), in place of an earlier scheduled publish; later changes of the draft are not part of
    it. `activate` also activates the flow, which then must be valid.
    """
    draft = drafts.of(flow.id)
    if draft.definition_json is None or draft.base_version is None:
        raise Conflict("The flow has no draft to publish: it has no changes since its current version")
    check_revision(draft, body["revision"])
    check_base(draft.base_version, flow.version)
    status = "active" if body["activate"] else flow.status
    with limit_checks(draft.definition_json):
        triggers = validate_text(draft.definition_json, status)
        made = Publication(
            draft.definition_json, draft.base_version, draft.revision, status, triggers, body["name"], body["note"]
        )
        if body["at"] is not None:
            if body["activate"]:
                raise BadInput("activate: is not possible with a time; activate the flow now, or when it is published")
            if not (now := now_ms()) < body["at"] <= now + MAX_AHEAD_MS:
                raise BadInput("at: must be a time in the future, at most a year from now")
            with record_change("flow.publish_scheduled", flow) as entry:
                draft = drafts.lock(flow.id)
                check_revision(draft, made.draft_revision)
                drafts.schedule(
                    workflow_id=flow.id, draft_revision=made.draft_revision, definition_json=made.definition_json,
                    base_version=made.base_version, name=made.name, note=made.note, publish_at=body["at"],
                    created_by=get_user().id,
                )  # fmt: skip
                entry.note(publish_at=iso(body["at"]))
            return dump(DraftHeadOut(), _head(flow, draft)), 202
        publish(begin_entry("flow.published"), flow, made, get_user().id)
        return warned(flow, get_server().credentials.find)


@blueprint.delete("/workflows/<flow>/publish")
@require_role("editor", flow=Workflow)
@blueprint.response(204)
def cancel_publish(flow: Workflow) -> None:
    """Cancel the scheduled publish, or remove the notice of its failure. The draft stays."""
    with record_change("flow.publish_cancelled", flow):
        if not drafts.unschedule(flow.id):
            raise NotFound("No publish of this flow is scheduled")


@blueprint.put("/workflows/<flow>/presence")
@require_role("viewer", flow=Workflow)
@blueprint.response(200, PresenceOut)
def note_presence(flow: Workflow) -> Any:
    """Note that the caller has the flow open, for half a minute. Show the other users, and the state of the draft."""
    user_id = get_user().id
    drafts.renew_presence(flow.id, user_id)
    people = [person._asdict() for person in drafts.others_present(flow.id, user_id)]
    return {**_head(flow, drafts.of(flow.id, brief=True)), "name": flow.name, "status": flow.status, "people": people}


@blueprint.delete("/workflows/<flow>/presence")
@require_role("viewer", flow=Workflow)
@blueprint.response(204)
def end_presence(flow: Workflow) -> None:
    """Note that the caller has closed the flow."""
    drafts.leave(flow.id, get_user().id)


def _head(flow: Workflow, draft: Draft) -> dict[str, Any]:
    """Return the data of DraftHeadOut."""
    scheduled = drafts.find_scheduled(flow.id)
    names = names_of_users([draft.changed_by, None if scheduled is None else scheduled.created_by])
    if scheduled is not None:
        scheduled.created_by_name = names.get(scheduled.created_by)
    return {
        "version": flow.version,
        "revision": draft.revision,
        "base_version": draft.base_version,
        "changed_by": draft.changed_by,
        "changed_by_name": names.get(draft.changed_by or ""),
        "changed_at": draft.changed_at,
        "scheduled": scheduled,
    }
