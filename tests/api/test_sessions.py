"""Logging in and out, what a session is good for, and from where a write may come."""

import pytest

import accounts
from database import write
from models import LoginFailure, Membership, Session, User, now_ms

LOGIN = {"email": "owner@example.org", "password": "correct horse battery"}


def test_the_session_of_a_login_is_good_for_the_next_request(client):
    client.post("/api/auth/login", LOGIN)
    assert client.get("/api/auth/session").json["user"]["email"] == "owner@example.org"


@pytest.mark.parametrize("email", ["OWNER@example.org", " owner@example.org "])
def test_an_address_is_the_same_whatever_its_case_and_the_spaces_around_it(client, email):
    assert client.post("/api/auth/login", {**LOGIN, "email": email}).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {**LOGIN, "password": "wrong"},
        {**LOGIN, "email": "nobody@example.org"},
        {**LOGIN, "email": "no address"},
        {**LOGIN, "password": "\0"},
    ],
)
def test_a_wrong_login_is_401_with_one_and_the_same_message(client, body):
    answer = client.post("/api/auth/login", body)
    assert answer.status_code == 401 and answer.json == {"error": "Wrong email or password"}
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "email"),
        ({"email": "owner@example.org"}, "password"),
        ({"password": "x"}, "email"),
        ({"email": 1, "password": "x"}, "email"),
        ({"email": "owner@example.org", "password": ["x"]}, "password"),
        ({"email": None, "password": "x"}, "email"),
        ({"email": "a\0b", "password": "x"}, "email"),
        ({"email": "x" * 255, "password": "x"}, "email"),
        ({"email": "a@b", "password": "x" * 1_001}, "password"),
    ],
)
def test_a_login_without_its_fields_is_400_and_names_the_field(client, body, field):
    answer = client.post("/api/auth/login", body)
    assert answer.status_code == 400 and field in answer.json["error"]


def test_logging_out_ends_the_session_on_the_server(app, client):
    client.post("/api/auth/login", LOGIN)
    cookie = client.get_cookie("headrace_session").value
    assert client.delete("/api/auth/session").status_code == 204
    assert client.get_cookie("headrace_session") is None
    late = app.test_client()
    late.set_cookie("headrace_session", cookie)
    assert late.get("/api/flows").status_code == 401


def test_logging_out_leaves_other_sessions_of_the_same_user(owner, client):
    client.post("/api/auth/login", LOGIN)
    client.delete("/api/auth/session")
    assert owner.get("/api/flows").status_code == 200


def test_an_expired_session_is_401(owner):
    with write():
        Session.update(expires_at=now_ms()).execute()
    assert owner.get("/api/flows").status_code == 401


def test_the_database_holds_no_token_that_would_open_a_session(client):
    client.post("/api/auth/login", LOGIN)
    assert client.get_cookie("headrace_session").value not in [row.token_hash for row in Session.select()]


def test_a_session_of_https_is_sent_over_https_only(client):
    answer = client.post("/api/auth/login", LOGIN, base_url="https://headrace.example")
    assert "Secure" in answer.headers["Set-Cookie"]


def test_a_user_without_a_workspace_cannot_log_in(client, add_member):
    user = add_member("viewer", email="gone@example.org")
    Membership.get(user_id=user.id).leave()
    assert client.post("/api/auth/login", {**LOGIN, "email": "gone@example.org"}).status_code == 401


def test_a_member_who_was_removed_is_403_with_the_session_they_have(owner, member):
    gone = member("editor")
    owner.delete("/api/members", {"user_id": gone.user.id})
    assert gone.get("/api/flows").status_code == 403


# The throttle


def fail(client, times):
    for _ in range(times):
        LoginFailure.note(["account:owner@example.org"], accounts.WINDOW_MS)


def test_failed_logins_are_counted_for_the_account(client):
    fail(client, accounts.FAILURES_ALLOWED["account"] - 1)
    assert client.post("/api/auth/login", {**LOGIN, "password": "wrong"}).status_code == 401
    assert client.post("/api/auth/login", LOGIN).status_code == 429


def test_a_throttled_login_says_when_to_try_again(client):
    fail(client, accounts.FAILURES_ALLOWED["account"])
    answer = client.post("/api/auth/login", LOGIN)
    assert answer.status_code == 429 and 0 < int(answer.headers["Retry-After"]) <= accounts.WINDOW_MS / 1000


def test_failed_logins_are_counted_for_the_address_they_come_from(client):
    for _ in range(accounts.FAILURES_ALLOWED["address"]):
        LoginFailure.note(["address:127.0.0.1"], accounts.WINDOW_MS)
    assert client.post("/api/auth/login", {**LOGIN, "email": "another@example.org"}).status_code == 429


def test_a_login_that_works_clears_the_count(client):
    fail(client, accounts.FAILURES_ALLOWED["account"] - 1)
    assert client.post("/api/auth/login", LOGIN).status_code == 200
    assert LoginFailure.find("account:owner@example.org") is None


def test_failures_are_forgotten_when_the_window_has_passed(client):
    fail(client, accounts.FAILURES_ALLOWED["account"])
    with write():
        LoginFailure.update(since=now_ms() - accounts.WINDOW_MS - 1_000).execute()
    assert client.post("/api/auth/login", LOGIN).status_code == 200


# The page that a write comes from


def test_our_own_page_may_write(owner):
    answer = owner.post("/api/flows", {"name": "A"}, headers={"Origin": "http://localhost"})
    assert answer.status_code == 201


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": "http://localhost:8001"},
        {"Origin": "http://evil.example/http://localhost"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_another_sites_page_may_not_write(owner, count_rows, headers):
    before = count_rows()
    assert owner.post("/api/flows", {"name": "A"}, headers=headers).status_code == 403
    assert count_rows() == before


def test_another_sites_page_may_not_log_anybody_in(client):
    assert client.post("/api/auth/login", LOGIN, headers={"Origin": "https://evil.example"}).status_code == 403


def test_reading_asks_for_no_origin(owner):
    assert owner.get("/api/flows", headers={"Origin": "https://evil.example"}).status_code == 200


def test_an_api_token_may_write_from_anywhere_since_no_browser_sends_it_by_itself(token_client):
    answer = token_client("editor").post("/api/flows", {"name": "A"}, headers={"Origin": "https://elsewhere.example"})
    assert answer.status_code == 201


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"])
def test_a_body_that_a_form_of_another_site_could_send_is_415(owner, content_type):
    answer = owner.post("/api/flows", data='{"name": "A"}', content_type=content_type)
    assert answer.status_code == 415


# The workspace that is meant


def test_the_session_says_who_where_and_in_which_role(member):
    answer = member("operator").get("/api/auth/session").json
    assert answer["session"]["role"] == "operator"
    assert [space["name"] for space in answer["user"]["workspaces"]] == ["Main"]


@pytest.mark.parametrize("select", ["header", "query"])
def test_a_request_may_name_another_workspace_of_the_user(owner, select):
    second = owner.post("/api/workspaces", {"name": "Second"}).json["id"]
    choice = (
        {"headers": {"X-Workspace-Id": second}} if select == "header" else {"query_string": {"workspace_id": second}}
    )
    made = owner.post("/api/flows", {"name": "There"}, **choice).json
    assert made["workspace_id"] == second
    assert [flow["name"] for flow in owner.get("/api/flows", **choice).json["items"]] == ["There"]
    assert owner.get("/api/flows").json["items"] == []


def test_a_row_is_found_in_whichever_workspace_of_the_user_it_lies(owner):
    second = owner.post("/api/workspaces", {"name": "Second"}).json["id"]
    made = owner.post("/api/flows", {"name": "There"}, headers={"X-Workspace-Id": second}).json
    assert owner.get(f"/api/workflows/{made['id']}").status_code == 200


def test_what_a_page_asks_for_one_user_is_not_done_as_another_who_has_logged_in_since(owner, other):
    owner.post("/api/members", {"email": other.user.email, "role": "owner"})
    flow = owner.post("/api/flows", {"name": "Mine"}).json
    for method, path, body in (
        ("put", f"/api/workflows/{flow['id']}", {"name": "Yours"}),
        ("get", "/api/flows", None),
        ("delete", "/api/auth/session", None),
    ):
        answer = getattr(other, method)(path, *([] if body is None else [body]), headers={"X-User-Id": owner.user.id})
        assert answer.status_code == 403 and "Somebody else has logged in" in answer.json["error"]
    assert owner.get(f"/api/workflows/{flow['id']}", headers={"X-User-Id": owner.user.id}).json["name"] == "Mine"
    assert other.get("/api/auth/session").status_code == 200


def test_a_role_counts_only_in_its_own_workspace(owner, other):
    owner.post("/api/members", {"email": other.user.email, "role": "viewer"})
    here = {"X-Workspace-Id": owner.workspace.id}
    assert other.get("/api/flows", headers=here).status_code == 200
    assert other.post("/api/flows", {"name": "A"}, headers=here).status_code == 403
    assert other.post("/api/flows", {"name": "A"}).status_code == 201


def test_nobody_is_asked_for_but_the_first_owner(client):
    assert [user.email for user in User.select()] == ["owner@example.org"]
