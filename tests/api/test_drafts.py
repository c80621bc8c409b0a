"""Drafts: saved beside the flow, published as its next version, or discarded; and who has a flow open."""

import json

import pytest

from database import execute, write
from database.base import now_ms
from database.queries import drafts
from fields import iso
from models import AuditEntry, Draft, LogEntry, Presence, ScheduledPublish, Workflow, WorkflowVersion
from scheduler import publish_due

pytestmark = pytest.mark.usefixtures("shared_server")

A = {"nodes": [{"id": "a", "type": "noop"}], "edges": []}
B = {"nodes": [{"id": "b", "type": "noop"}], "edges": []}
C = {"nodes": [{"id": "c", "type": "noop"}], "edges": []}
INVALID = {"nodes": [{"id": "a", "type": "no_such_type"}], "edges": []}
MALFORMED = {"nodes": [{"id": "a", "type": "noop"}], "edges": [["a", "gone"]]}
HOUR = 3_600_000


class FlowOf:
    """A flow as a client uses it."""

    def __init__(self, client, made):
        self.client, self.id = client, made["id"]
        self.path = f"/api/workflows/{self.id}"

    @property
    def stored(self):
        return self.client.get(self.path).json

    @property
    def draft(self):
        return self.client.get(f"{self.path}/draft").json

    @property
    def definition(self):
        return json.loads(self.stored["definition_json"])

    def save(self, definition, base=1, revision=0, status=200, who=None):
        body = {"definition": definition, "base_version": base, "revision": revision}
        answer = (who or self.client).put(f"{self.path}/draft", body)
        assert answer.status_code == status, answer.text
        return answer.json

    def publish(self, status=200, who=None, **body):
        answer = (who or self.client).post(f"{self.path}/publish", body)
        assert answer.status_code == status, answer.text
        return answer.json

    def put(self, **body):
        answer = self.client.put(self.path, body)
        assert answer.status_code == 200, answer.text
        return answer.json


@pytest.fixture
def flow(owner, make_flow):
    """An active flow of version 1."""
    return FlowOf(owner, make_flow(A, status="active"))


@pytest.fixture
def inactive(owner, make_flow):
    return FlowOf(owner, make_flow(A))


def last_entry():
    row = AuditEntry.select().order_by(AuditEntry.id.desc()).get()
    return row.action, json.loads(row.changes)


# Saving


def test_a_new_flow_has_no_draft(flow):
    draft = flow.draft
    assert (draft["revision"], draft["definition_json"], draft["base_version"], draft["scheduled"]) == (
        0,
        None,
        None,
        None,
    )
    assert (draft["workflow_id"], draft["version"]) == (flow.id, 1)


def test_a_draft_is_saved_beside_the_flow(owner, flow):
    assert flow.save(B)["revision"] == 1
    draft = flow.draft
    assert json.loads(draft["definition_json"]) == B
    assert (draft["base_version"], draft["changed_by"], draft["version"]) == (1, owner.user.id, 1)
    assert draft["changed_by_name"] == (owner.user.name or owner.user.email)
    assert (flow.stored["version"], flow.definition) == (1, A)
    assert owner.get(f"{flow.path}/versions").json["items"][0]["version"] == 1


def test_a_series_of_saves_makes_one_version(owner, flow):
    for revision, definition in enumerate([B, C, B, C, B]):
        assert flow.save(definition, revision=revision)["revision"] == revision + 1
    assert flow.publish()["version"] == 2
    assert [row["version"] for row in owner.get(f"{flow.path}/versions").json["items"]] == [2, 1]


def test_a_draft_may_be_incomplete_but_not_malformed(flow):
    flow.save(INVALID)
    assert "gone" in flow.save(MALFORMED, revision=1, status=400)["error"]


def test_a_run_uses_the_published_version(owner, inactive):
    inactive.save(INVALID)
    assert owner.post(f"{inactive.path}/run", {}).json["status"] == "success"


@pytest.mark.parametrize("revision", [0, 2, 7])
def test_a_save_based_on_another_revision_is_409_and_changes_nothing(flow, revision):
    flow.save(B)
    answer = flow.save(C, revision=revision, status=409)
    assert "revision 1" in answer["error"] and f"revision {revision}" in answer["error"]
    assert json.loads(flow.draft["definition_json"]) == B


def test_the_same_draft_again_keeps_its_revision(flow):
    assert flow.save(B)["revision"] == flow.save(B, revision=1)["revision"] == 1


def test_a_draft_that_equals_its_version_is_cleared(flow):
    flow.save(B)
    head = flow.save({**A}, revision=1)
    assert (head["revision"], head["base_version"]) == (2, None)
    assert flow.draft["definition_json"] is None


def test_a_draft_cannot_be_based_on_a_version_to_come(flow):
    assert "no version 2" in flow.save(B, base=2, status=409)["error"]


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({"definition": B, "revision": 0}, "base_version"),
        ({"definition": B, "base_version": 1}, "revision"),
        ({"base_version": 1, "revision": 0}, "definition"),
        ({"definition": B, "base_version": 0, "revision": 0}, "base_version"),
        ({"definition": B, "base_version": "1", "revision": 0}, "base_version"),
        ({"definition": B, "base_version": 1, "revision": -1}, "revision"),
        ({"definition": B, "base_version": 1, "revision": 0, "extra": 1}, "extra"),
        ({"definition_json": "[", "base_version": 1, "revision": 0}, "definition_json"),
    ],
)
def test_a_wrong_body_is_400_and_names_the_field(owner, flow, body, name):
    answer = owner.put(f"{flow.path}/draft", body)
    assert answer.status_code == 400 and name in answer.json["error"]


def test_a_draft_is_as_limited_in_size_as_a_definition(owner, flow, config):
    big = {"nodes": [{"id": "a", "type": "noop", "name": "x" * config.max_definition_bytes}], "edges": []}
    assert owner.put(f"{flow.path}/draft", {"definition": big, "base_version": 1, "revision": 0}).status_code == 413


def test_the_list_of_flows_says_which_have_a_draft(owner, flow, inactive):
    flow.save(B)
    listed = {item["id"]: item["has_draft"] for item in owner.get("/api/flows?brief=true").json["items"]}
    assert (listed[flow.id], listed[inactive.id]) == (True, False)


def test_a_draft_is_deleted_with_its_flow(owner, flow):
    flow.save(B)
    flow.publish(202, at=iso(now_ms() + HOUR))
    owner.put(f"{flow.path}/presence")
    assert owner.delete(flow.path).status_code == 204
    assert [table.select().count() for table in (Draft, ScheduledPublish, Presence)] == [0, 0, 0]


# Discarding


def test_a_discarded_draft_is_gone_and_its_revision_does_not_return(owner, flow):
    flow.save(B)
    assert owner.delete(f"{flow.path}/draft?revision=1").status_code == 204
    assert (flow.draft["definition_json"], flow.draft["revision"]) == (None, 2)
    assert last_entry() == ("flow.draft_discarded", {"draft": True})
    flow.save(C, revision=1, status=409)
    assert flow.save(C, revision=2)["revision"] == 3


def test_a_draft_that_changed_since_is_not_discarded(owner, flow):
    flow.save(B)
    flow.save(C, revision=1)
    assert owner.delete(f"{flow.path}/draft?revision=1").status_code == 409
    assert json.loads(flow.draft["definition_json"]) == C


# Publishing


def test_publishing_makes_the_draft_the_next_version_and_clears_it(owner, flow):
    flow.save(B)
    made = flow.publish(revision=1, name="Easter", note="Ships to the moon, too.")
    assert (made["version"], json.loads(made["definition_json"])) == (2, B)
    assert (flow.draft["definition_json"], flow.draft["revision"]) == (None, 2)
    version = owner.get(f"{flow.path}/versions/2").json
    assert (version["name"], version["note"]) == ("Easter", "Ships to the moon, too.")
    action, changes = last_entry()
    assert action == "flow.published" and changes["name"] == "Easter"
    assert changes["version"] == {"before": 1, "after": 2} and changes["nodes"]["added"] == 1


def test_nothing_to_publish_is_409(flow):
    assert "no draft" in flow.publish(409)["error"]


def test_an_invalid_draft_of_an_active_flow_is_400_and_nothing_changes(flow):
    flow.save(INVALID)
    answer = flow.publish(400)
    assert answer["details"][0]["node_id"] == "a"
    assert (flow.stored["version"], flow.draft["revision"]) == (1, 1)


def test_an_inactive_flow_may_save_an_incomplete_version(inactive):
    inactive.save(INVALID)
    assert inactive.publish()["version"] == 2


def test_a_flow_is_published_and_activated_in_one_step(inactive):
    inactive.save(INVALID)
    inactive.publish(400, activate=True)
    assert (inactive.stored["status"], inactive.stored["version"]) == ("draft", 1)
    inactive.save(B, revision=1)
    made = inactive.publish(activate=True)
    assert (made["status"], made["version"]) == ("active", 2)
    assert last_entry()[1]["status"] == {"before": "draft", "after": "active"}


def test_a_draft_of_an_older_version_is_409_until_it_is_based_on_the_current_one(flow):
    flow.save(B)
    flow.put(definition=C)
    answer = flow.publish(409)
    assert "version 1" in answer["error"] and "version 2" in answer["error"]
    assert flow.definition == C
    flow.save(B, base=2, revision=1)
    assert flow.publish()["version"] == 3


def test_publishing_names_the_revision_that_was_seen(flow):
    flow.save(B)
    flow.save(C, revision=1)
    flow.publish(409, revision=1)
    assert flow.publish(revision=2)["version"] == 2


def test_an_address_taken_by_another_flow_leaves_draft_and_flow_as_they_are(owner, make_flow, flow):
    hook = {"nodes": [{"id": "h", "type": "webhook", "config": {"path": "taken"}}], "edges": []}
    make_flow(hook, status="active")
    flow.save(hook)
    answer = flow.client.post(f"{flow.path}/publish", {})
    assert answer.status_code in (400, 409) and "taken" in answer.text
    assert (flow.stored["version"], flow.draft["revision"]) == (1, 1)


@pytest.mark.parametrize(
    "body", [{"name": ""}, {"name": "x" * 101}, {"note": "x" * 2_001}, {"revision": "1"}, {"x": 1}]
)
def test_a_wrong_publish_is_400(flow, body):
    flow.save(B)
    flow.publish(400, **body)
    assert flow.stored["version"] == 1


def test_the_drafts_of_two_editors_are_one(flow, member):
    other = member("editor")
    flow.save(B)
    assert "revision 1" in flow.save(C, status=409, who=other)["error"]
    assert flow.save(C, revision=1, who=other)["revision"] == 2
    assert flow.draft["changed_by"] == other.user.id
    assert flow.publish()["version"] == 2


# Names of versions


def test_a_version_is_named_later_and_its_definition_stays(owner, flow):
    path = f"{flow.path}/versions/1"
    answer = owner.patch(path, {"name": "First"})
    assert (answer.json["name"], answer.json["note"]) == ("First", None)
    assert last_entry() == ("flow.version_named", {"version": 1, "name": {"before": None, "after": "First"}})
    assert owner.patch(path, {"note": "n"}).json["name"] == "First"
    named = owner.patch(path, {"name": None}).json
    assert (named["name"], named["note"], json.loads(named["definition_json"])) == (None, "n", A)
    assert owner.get(f"{flow.path}/versions?brief=true").json["items"][0]["note"] == "n"


def test_a_missing_version_cannot_be_named(owner, flow):
    assert owner.patch(f"{flow.path}/versions/9", {"name": "x"}).status_code == 404


# At a time


def test_a_publish_is_scheduled_for_the_draft_as_it_is(owner, flow):
    flow.save(B)
    at = now_ms() + HOUR
    head = flow.publish(202, at=iso(at), name="Night", revision=1)
    assert head["scheduled"]["publish_at"] == iso(at) and head["scheduled"]["draft_revision"] == 1
    assert last_entry() == ("flow.publish_scheduled", {"publish_at": iso(at)})
    flow.save(C, revision=1)
    assert publish_due(at - 1, 100) == 0 and flow.stored["version"] == 1
    assert publish_due(at, 100) == 1
    assert (flow.stored["version"], flow.definition) == (2, B)
    # The later changes go on, based on the new version.
    assert (json.loads(flow.draft["definition_json"]), flow.draft["base_version"], flow.draft["scheduled"]) == (
        C,
        2,
        None,
    )
    assert owner.get(f"{flow.path}/versions/2").json["name"] == "Night"
    entry = AuditEntry.select().where(AuditEntry.action == "flow.published").get()
    assert (entry.user_id, json.loads(entry.changes)["scheduled"]) == (owner.user.id, True)
    assert publish_due(at + HOUR, 100) == 0


def test_an_unchanged_draft_is_cleared_by_its_scheduled_publish(flow):
    flow.save(B)
    at = now_ms() + HOUR
    flow.publish(202, at=iso(at))
    publish_due(at, 100)
    assert flow.draft["definition_json"] is None and flow.stored["version"] == 2


def test_discarding_cancels_the_scheduled_publish(owner, flow):
    flow.save(B)
    at = now_ms() + HOUR
    flow.publish(202, at=iso(at))
    owner.delete(f"{flow.path}/draft")
    assert flow.draft["scheduled"] is None
    assert publish_due(at, 100) == 0 and flow.stored["version"] == 1


def test_a_scheduled_publish_is_cancelled_alone(owner, flow):
    flow.save(B)
    flow.publish(202, at=iso(now_ms() + HOUR))
    assert owner.delete(f"{flow.path}/publish").status_code == 204
    assert (flow.draft["scheduled"], json.loads(flow.draft["definition_json"])) == (None, B)
    assert owner.delete(f"{flow.path}/publish").status_code == 404


@pytest.mark.parametrize("ahead", [-1_000, 0, 400 * 86_400_000])
def test_the_time_is_in_the_future_and_within_a_year(flow, ahead):
    flow.save(B)
    assert flow.publish(400, at=iso(now_ms() + ahead))["error"].startswith("at: ")


def test_what_cannot_be_published_cannot_be_scheduled(flow):
    flow.save(INVALID)
    flow.publish(400, at=iso(now_ms() + HOUR))
    flow.save(B, revision=1)
    flow.publish(400, at=iso(now_ms() + HOUR), activate=True)


def test_a_conflict_at_that_time_is_shown_and_logged_once(owner, flow):
    flow.save(B)
    at = now_ms() + HOUR
    flow.publish(202, at=iso(at))
    flow.put(definition=C)
    assert publish_due(at, 100) == publish_due(at + 1, 100) == 0
    scheduled = owner.put(f"{flow.path}/presence").json["scheduled"]
    assert "version 2" in scheduled["failure"] and scheduled["failed_at"] == iso(at)
    logged = [row for row in LogEntry.select() if "was not published" in row.message]
    assert len(logged) == 1 and json.loads(logged[0].data)["workflow_id"] == flow.id
    assert flow.definition == C
    # A new time replaces the notice.
    flow.save(B, base=2, revision=1)
    assert flow.publish(202, at=iso(now_ms() + HOUR))["scheduled"]["failure"] is None


def test_a_definition_that_is_invalid_at_that_time_is_shown(owner, inactive):
    inactive.save(INVALID)
    at = now_ms() + HOUR
    inactive.publish(202, at=iso(at))
    owner.put(inactive.path, {"status": "active"})
    assert publish_due(at, 100) == 0
    assert "no_such_type" in inactive.draft["scheduled"]["failure"]


def test_who_may_no_longer_edit_publishes_nothing(flow, member, owner):
    other = member("editor")
    flow.save(B)
    at = now_ms() + HOUR
    flow.publish(202, at=iso(at), who=other)
    owner.patch("/api/members", {"user_id": other.user.id, "role": "viewer"})
    assert publish_due(at, 100) == 0
    assert "may no longer change" in flow.draft["scheduled"]["failure"]


def test_one_flow_that_fails_does_not_hold_up_another(flow, inactive, monkeypatch):
    at = now_ms() + HOUR
    for one in (flow, inactive):
        one.save(B)
        one.publish(202, at=iso(at))
    with write():
        execute("UPDATE scheduled_publishes SET definition_json = '[' WHERE workflow_id = ?", (flow.id,))
    assert publish_due(at, 100) == 1
    assert "internal error" in flow.draft["scheduled"]["failure"] and inactive.stored["version"] == 2


# Presence


def test_people_who_have_a_flow_open_see_each_other(owner, flow, member):
    other = member("viewer")
    assert owner.put(f"{flow.path}/presence").json["people"] == []
    (seen,) = other.put(f"{flow.path}/presence").json["people"]
    assert (seen["user_id"], seen["name"]) == (owner.user.id, owner.user.name or owner.user.email)
    answer = owner.put(f"{flow.path}/presence").json
    assert [person["user_id"] for person in answer["people"]] == [other.user.id]
    assert (answer["version"], answer["revision"], answer["status"], answer["name"]) == (1, 0, "active", "Echo")
    assert other.delete(f"{flow.path}/presence").status_code == 204
    assert owner.put(f"{flow.path}/presence").json["people"] == []


def test_a_presence_expires_and_is_deleted(flow):
    drafts.renew_presence(flow.id, "usr_a", now=1_000)
    drafts.renew_presence(flow.id, "usr_a", now=2_000)
    row = Presence.get()
    assert (row.since, row.expires_at) == (1_000, 31_000)
    drafts.renew_presence(flow.id, "usr_a", now=20_000)
    assert (Presence.get().since, Presence.get().expires_at) == (1_000, 50_000)
    drafts.renew_presence(flow.id, "usr_a", now=60_000)
    assert Presence.get().since == 60_000
    assert Presence.prune() == 1 and Presence.select().count() == 0


def test_the_presence_says_whose_draft_it_is(owner, flow, member):
    other = member("editor")
    flow.save(B, who=other)
    answer = owner.put(f"{flow.path}/presence").json
    assert (answer["changed_by"], answer["revision"], answer["base_version"]) == (other.user.id, 1, 1)


def test_a_rename_keeps_the_draft(flow):
    flow.save(B)
    flow.put(name="Renamed")
    assert flow.publish()["version"] == 2
    assert WorkflowVersion.select().where(WorkflowVersion.workflow_id == flow.id).count() == 2
    assert Workflow.find(flow.id).name == "Renamed"
