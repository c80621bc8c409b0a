"""Files in the answer of a member to a question of a run: the same limits and errors as on the page of its link."""

import json

import pytest
from form_pages import CV, pdf
from test_forms_in_runs import APPROVAL, REASON, ended, waiting  # noqa: F401  (waiting is a fixture)
from world import flow, node

from models import Wait
from nodes.files.files import NAME as USAGE

pytestmark = pytest.mark.usefixtures("shared_server")

MUST = {**CV, "required": True, "max": 2, "max_bytes": 150}
NEEDS_FILES = flow(
    node("start", "manual"),
    node("ask", "approval", {"message": "Pay?", "fields": [REASON, MUST]}),
    node("yes", "set", {"values": {"got": "{{ input.fields }}"}}),
    edges=["start ask", "ask yes approved"],
)


def send(client, run, node_id="ask", files=(), **parts):
    """Answer with a form; `body` is sent as JSON."""
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in parts.items()}
    fields = {name: [value] for name, value in texts.items()}
    for name, value in files:
        fields.setdefault(name, []).append(value)
    path = f"/api/runs/{run['id']}/resume?node={node_id}"
    return client.post(path, data=fields, content_type="multipart/form-data")


def stored(owner):
    """Return all files of the workspace, including staged files."""
    root = owner.application.extensions["headrace"].dispatcher.resources.files_of(owner.workspace.id).root
    return [path for path in root.rglob("*") if path.is_file() and path.name != USAGE] if root.exists() else []


def test_the_question_names_its_file_fields_with_their_limits(owner, waiting):  # noqa: F811
    (question,) = owner.get(f"/api/runs/{waiting(NEEDS_FILES)['id']}").json["questions"]
    assert question["has_files"] is True
    assert question["files"] == [
        {
            "name": "cv", "title": "Your CV", "help": "", "required": True, "max": 2, "max_bytes": 150,
            "accept": [".pdf", ".txt"],
        }
    ]  # fmt: skip


def test_a_member_answers_with_files(owner, waiting):  # noqa: F811
    run = waiting(NEEDS_FILES)
    files = [("cv", pdf("one.pdf")), ("cv", pdf("two.txt"))]
    sent = send(owner, run, files=files, answer="approved", comment="fine", body={"reason": "late"})
    assert sent.status_code == 200, sent.json
    got = ended(owner, run["id"])["output"]["got"]
    assert got["reason"] == "late" and [one["size"] for one in got["cv"]] == [100, 100]
    assert got["cv"][0]["path"].startswith(f"forms/{run['id']}/ask-")
    assert owner.get(f"/api/files/{got['cv'][1]['path']}").data == b"x" * 100
    assert Wait.select().count() == 0 or Wait.get().answered_by == owner.email


def test_a_wrong_answer_names_every_field_and_keeps_no_file(owner, waiting):  # noqa: F811
    run = waiting(NEEDS_FILES)

    def issues(**given):
        refused = send(owner, run, **{"answer": "approved", "body": {"reason": "x"}, **given})
        assert refused.status_code == 400
        return {issue["path"]: issue["message"] for issue in refused.json.get("details", ())}

    assert issues() == {"body.cv": "Choose a file for “Your CV”."}
    assert issues(files=[("cv", pdf(size=151))]) == {
        "body.cv": "“cv.pdf” is larger than 150 bytes; choose another file."
    }
    assert "another" in issues(files=[("cv", pdf("a.exe"))])["body.cv"]
    three = issues(files=[("cv", pdf()) for _ in range(3)])
    assert three == {"body.cv": "Choose at most 2 files for “Your CV”."}
    assert set(issues(body={}, files=[("cv", pdf())])) == {"body"}
    assert issues(body="{", files=[("cv", pdf())]) == {}
    assert issues(answer="perhaps", files=[("cv", pdf())]) == {}
    assert set(issues(body={"reason": "x", "cv": {"path": "secret.txt"}}, files=[("cv", pdf())])) == {"body"}
    assert stored(owner) == [] and Wait.get().answered_at is None


def test_json_does_not_answer_a_question_with_a_required_file(owner, client, waiting):  # noqa: F811
    run = waiting(NEEDS_FILES)
    given = {"answer": "approved", "body": {"reason": "x"}}
    problem = {"path": "body.cv", "message": "Choose a file for “Your CV”. Files need multipart/form-data."}
    for caller, path in ((owner, f"/api/runs/{run['id']}/resume"), (client, run["link"])):
        refused = caller.post(path, given)
        assert refused.status_code == 400 and [problem] == [
            {key: issue[key] for key in problem} for issue in refused.json["details"]
        ]
        both = caller.post(path, {"answer": "rejected", "body": {}}).json["details"]
        assert {issue["path"] for issue in both} == {"body", "body.cv"}
    assert send(owner, run, files=[("cv", pdf())], **given).status_code == 200


def test_files_of_a_closed_question_are_not_taken(owner, waiting):  # noqa: F811
    run = waiting(APPROVAL)
    assert send(owner, run, answer="approved", body={"reason": "x"}).status_code == 200
    late = send(owner, run, answer="rejected", body={"reason": "x"}, files=[("cv", pdf())])
    assert late.status_code == 409 and stored(owner) == []


def test_only_an_operator_of_the_workspace_may_send_files(owner, member, client, waiting):  # noqa: F811
    run = waiting(APPROVAL)
    given = {"answer": "approved", "body": {"reason": "x"}}
    assert send(member("viewer"), run, files=[("cv", pdf())], **given).status_code == 403
    assert send(client, run, files=[("cv", pdf())], **given).status_code == 401
    assert stored(owner) == []
    assert send(member("operator"), run, files=[("cv", pdf())], **given).status_code == 200


def test_a_question_without_fields_takes_no_form(owner, waiting):  # noqa: F811
    run = waiting(flow(node("start", "manual"), node("ask", "approval", {"message": "?"}), edges=["start ask"]))
    refused = send(owner, run, answer="approved")
    assert refused.status_code == 400 and "as JSON" in refused.json["error"]
