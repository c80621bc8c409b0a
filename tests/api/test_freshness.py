"""What has not changed since it was asked for last is not sent again."""

import pytest

HOOK = {"id": "hook", "type": "webhook", "config": {"path": "fresh", "auth": "none"}}
PATHS = ["/api/flows", "/api/runs?brief=true", "/api/dashboard/runs/latest", "/api/metrics", "/api/logs", "/api/nodes"]


def tag_of(answer):
    assert answer.status_code == 200 and answer.headers["Cache-Control"] == "private, no-cache"
    return answer.headers["ETag"]


@pytest.mark.parametrize("path", PATHS)
def test_an_answer_that_is_as_it_was_is_304_without_a_body(owner, run, path):
    tag = tag_of(owner.get(path))
    for given in (tag, f"W/{tag}", f'"other", {tag}'):
        again = owner.get(path, headers={"If-None-Match": given})
        assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", tag)
        assert "Content-Type" not in again.headers and again.headers["Cache-Control"] == "private, no-cache"


def test_an_answer_that_has_changed_is_sent_with_another_tag(owner, make_run):
    tag = tag_of(owner.get("/api/runs"))
    make_run()
    again = owner.get("/api/runs", headers={"If-None-Match": tag})
    assert tag_of(again) != tag and len(again.json["items"]) == 1


def test_head_has_the_tag_of_get(owner, flow):
    assert owner.open("/api/flows", method="HEAD").headers["ETag"] == tag_of(owner.get("/api/flows"))


def test_who_may_not_see_it_any_more_is_told_so_whatever_tag_comes_along(owner, client, other, flow):
    path = f"/api/workflows/{flow['id']}"
    given = {"If-None-Match": tag_of(owner.get(path))}
    assert client.get(path, headers=given).status_code == 401
    assert other.get(path, headers=given).status_code == 403
    owner.delete(path)
    assert owner.get(path, headers=given).status_code == 404


@pytest.mark.parametrize("path", ["/api/auth/session", "/api/nothing", "/api/runs?limit=x", "/metrics", "/api/docs/"])
def test_what_is_not_to_be_kept_is_no_json_or_an_error_has_no_tag(owner, path):
    answer = owner.get(path)
    assert "ETag" not in answer.headers and "no-cache" not in answer.headers.get("Cache-Control", "")


def test_what_writes_answer_has_no_tag(owner):
    assert "ETag" not in owner.post("/api/flows", {"name": "A"}).headers


def test_what_a_flow_answers_a_webhook_is_left_alone(client, make_flow):
    make_flow(
        {"nodes": [{**HOOK, "config": {**HOOK["config"], "methods": ["GET"], "respond": "last"}}]}, status="active"
    )
    answer = client.get("/api/webhooks/fresh", headers={"If-None-Match": "*"})
    assert answer.status_code == 200 and answer.mimetype == "application/json"
    assert "ETag" not in answer.headers and "Cache-Control" not in answer.headers
