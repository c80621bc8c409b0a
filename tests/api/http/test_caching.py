"""Caching: an unchanged response is not sent again."""

import gzip

import pytest

from api.http import caching

pytestmark = pytest.mark.usefixtures("shared_server")

HOOK = {"id": "hook", "type": "webhook", "config": {"path": "fresh", "auth": "none"}}
PATHS = ["/api/flows", "/api/runs?brief=true", "/api/dashboard/runs/latest", "/api/metrics", "/api/logs", "/api/nodes"]


def tag_of(answer):
    assert answer.status_code == 200 and answer.headers["Cache-Control"] == "private, no-cache"
    return answer.headers["ETag"]


@pytest.mark.parametrize("path", PATHS)
def test_an_unchanged_response_is_304_without_a_body(owner, run, path):
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


def test_a_user_without_access_gets_an_error_despite_a_known_etag(owner, client, other, flow):
    path = f"/api/workflows/{flow['id']}"
    given = {"If-None-Match": tag_of(owner.get(path))}
    assert client.get(path, headers=given).status_code == 401
    assert other.get(path, headers=given).status_code == 403
    owner.delete(path)
    assert owner.get(path, headers=given).status_code == 404


@pytest.mark.parametrize("path", ["/api/auth/session", "/api/nothing", "/api/runs?limit=x", "/metrics", "/api/docs/"])
def test_uncacheable_responses_have_no_etag(owner, path):
    answer = owner.get(path)
    assert "ETag" not in answer.headers and "no-cache" not in answer.headers.get("Cache-Control", "")


def test_responses_to_writes_have_no_etag(owner):
    assert "ETag" not in owner.post("/api/flows", {"name": "A"}).headers


def test_every_api_response_without_an_etag_is_no_store(owner, client, flow, token_client):
    answers = [
        owner.post("/api/flows", {"name": "A"}),
        owner.post("/api/tokens", {"name": "A"}),
        owner.post(f"/api/workflows/{flow['id']}/run"),
        owner.get("/api/auth/session"),
        owner.get("/api/profile"),
        owner.get("/api/runs/run_none"),
        owner.get("/api/nothing"),
        owner.get("/api/runs?limit=x"),
        owner.get("/metrics"),
        client.get("/api/flows"),
        client.post("/api/auth/login", {"email": "owner@example.org", "password": "wrong"}),
        token_client("viewer").post("/mcp", {"jsonrpc": "2.0", "id": 1, "method": "ping"}),
    ]
    assert [answer.headers.get("Cache-Control") for answer in answers] == ["no-store"] * len(answers)


def test_a_response_with_the_signature_of_a_link_is_no_store(owner, make_flow):
    ask = {"nodes": [{"id": "ask", "type": "approval", "config": {"message": "Go?"}}]}
    run = owner.post(f"/api/workflows/{make_flow(ask)['id']}/run").json
    answer = owner.get(f"/api/runs/{run['id']}/steps")
    assert caching.SIGNATURE.search(answer.data)
    assert answer.headers["Cache-Control"] == "no-store" and "ETag" not in answer.headers


def test_the_response_of_a_flow_to_a_webhook_is_not_changed(client, make_flow):
    make_flow(
        {"nodes": [{**HOOK, "config": {**HOOK["config"], "methods": ["GET"], "respond": "last"}}]}, status="active"
    )
    answer = client.get("/api/webhooks/fresh", headers={"If-None-Match": "*"})
    assert answer.status_code == 200 and answer.mimetype == "application/json"
    assert "ETag" not in answer.headers and "Cache-Control" not in answer.headers


# Compressed

PACKED = {"Accept-Encoding": "gzip, deflate, br, zstd"}
KEPT = ["/api/nodes", "/api/templates", "/api/credential-types", "/api/openapi.json"]
LARGE = [*KEPT, pytest.param("/api/agents", marks=pytest.mark.pack("agents")), "/api/flows"]


@pytest.fixture
def flows(owner):
    for at in range(10):
        owner.post("/api/flows", {"name": f"A flow of the list {at}"})


@pytest.mark.parametrize("path", LARGE)
def test_a_large_response_is_compressed_if_the_client_accepts_it(owner, flows, path):
    plain, packed = owner.get(path), owner.get(path, headers=PACKED)
    assert packed.headers["Content-Encoding"] == "gzip" and "Content-Encoding" not in plain.headers
    assert gzip.decompress(packed.data) == plain.data and len(packed.data) < len(plain.data) / 2
    assert packed.headers["Content-Length"] == str(len(packed.data)) and packed.mimetype == "application/json"
    assert plain.headers["Vary"] == packed.headers["Vary"] == "Accept-Encoding"
    assert packed.headers["ETag"] == f"W/{plain.headers['ETag']}"


@pytest.mark.parametrize("path", LARGE)
def test_an_unchanged_compressed_response_is_304(owner, flows, path):
    tag = owner.get(path, headers=PACKED).headers["ETag"]
    again = owner.get(path, headers={**PACKED, "If-None-Match": tag})
    assert (again.status_code, again.data, again.headers["Vary"]) == (304, b"", "Accept-Encoding")
    assert "Content-Encoding" not in again.headers


@pytest.mark.parametrize("accepted", ["", "identity", "br", "gzip;q=0"])
def test_a_response_is_not_compressed_if_the_client_does_not_accept_it(owner, accepted):
    for path in ("/api/nodes", "/api/agents"):
        assert "Content-Encoding" not in owner.get(path, headers={"Accept-Encoding": accepted}).headers


def test_a_small_answer_is_not_worth_it(owner):
    assert "Content-Encoding" not in owner.get("/api/runs", headers=PACKED).headers


def test_cached_responses_are_for_members_only(client, owner):
    assert owner.get("/api/nodes", headers=PACKED).status_code == 200
    assert client.get("/api/nodes", headers=PACKED).status_code == 401


def test_a_search_is_not_answered_from_the_cache(owner):
    everything = owner.get("/api/nodes").json["items"]
    assert 0 < len(owner.get("/api/nodes?search=http").json["items"]) < len(everything)
    assert owner.get("/api/nodes").json["items"] == everything


def test_nothing_with_a_secret_is_compressed(owner, client, monkeypatch):
    monkeypatch.setattr(caching, "MIN_COMPRESSED", 0)
    assert owner.get("/api/runs", headers=PACKED).headers["Content-Encoding"] == "gzip"
    made = owner.post("/api/tokens", {"name": "A", "role": "viewer"}, headers=PACKED)
    assert made.json["token"] and "Content-Encoding" not in made.headers
    for path in ("/api/auth/session", "/api/profile", "/api/profile/sessions"):
        assert "Content-Encoding" not in owner.get(path, headers=PACKED).headers
    login = client.post("/api/auth/login", {"email": "nobody@example.org", "password": "x"}, headers=PACKED)
    assert "Content-Encoding" not in login.headers


def test_an_answer_with_the_signature_of_a_link_is_not_compressed(owner, monkeypatch):
    monkeypatch.setattr(caching, "MIN_COMPRESSED", 0)
    owner.post("/api/logs", {"message": "token=short"})
    assert "Content-Encoding" in owner.get("/api/logs", headers=PACKED).headers
    owner.post("/api/logs", {"message": f"https://example.org/resume/a/b?token={'aB3_-' * 8}xyz"})
    assert "Content-Encoding" not in owner.get("/api/logs", headers=PACKED).headers
