"""Workspaces, members, roles and API tokens."""

import json
from dataclasses import replace

import pytest

from constants import ROLES
from database import write
from database.base import now_ms
from database.queries import users, workspaces
from models import ApiToken, AuditEntry, Membership
from security import accounts, login_throttle

pytestmark = pytest.mark.usefixtures("shared_server")

NEW = {"email": "new@example.org", "role": "editor", "password": "long enough"}


def test_a_new_member_can_log_in_with_the_password_that_was_given(owner, client):
    answer = owner.post("/api/members", NEW)
    assert answer.status_code == 201 and answer.json["role"] == "editor" and "password" not in answer.text
    assert client.post("/api/auth/login", {"email": NEW["email"], "password": NEW["password"]}).status_code == 200


def test_a_first_password_needs_an_unused_address(owner, other, client, count_rows):
    before = count_rows()
    body = {"email": other.user.email.upper(), "role": "viewer", "password": "another one"}
    answer = owner.post("/api/members", body)
    assert answer.status_code == 409 and other.user.email in answer.json["error"]
    assert count_rows() == before
    assert client.post("/api/auth/login", {"email": other.user.email, "password": "another one"}).status_code == 401
    assert other.get("/api/flows").status_code == 200


@pytest.mark.parametrize("email", ["new@example.org", "stranger@example.org", "owner@example.org"])
def test_an_owner_who_is_not_an_admin_cannot_set_a_first_password(member, other, count_rows, email):
    client = member("owner")
    before = count_rows()
    answer = client.post("/api/members", {**NEW, "email": email})
    assert answer.status_code == 403 and "admins" in answer.json["error"] and count_rows() == before


def test_an_admin_makes_accounts_only_in_a_workspace_that_they_own(member):
    assert member("editor", is_admin=True).post("/api/members", NEW).status_code == 403


def test_an_account_of_an_admin_begins_in_the_workspace_that_it_was_made_for(owner, client):
    owner.post("/api/workspaces", {"name": "Second"})
    owner.post("/api/members", NEW)
    answer = client.post("/api/auth/login", {"email": NEW["email"], "password": NEW["password"]})
    assert answer.json["session"]["workspace_id"] == owner.workspace.id


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"password": None}, "password"),
        ({"password": "short"}, "password"),
        ({"email": "no address"}, "email"),
        ({"email": ""}, "email"),
        ({"email": "x" * 250 + "@example.org"}, "email"),
        ({"role": "boss"}, "role"),
        ({"role": None}, "role"),
        ({"name": ""}, "name"),
        ({"name": "Ada", "password": ...}, "name"),
    ],
)
def test_a_wrong_member_is_400_and_leaves_nothing(owner, count_rows, change, field):
    before = count_rows()
    body = {key: value for key, value in (NEW | change).items() if value is not ...}
    answer = owner.post("/api/members", body)
    assert answer.status_code == 400 and answer.json["error"].startswith(f"{field}: ")
    assert count_rows() == before


def test_adding_a_member_twice_is_409(owner, member):
    email = member("viewer").user.email
    assert owner.post("/api/members", {"email": email.upper(), "role": "owner"}).status_code == 409
    assert owner.post("/api/members", {**NEW, "email": email}).status_code == 409


def test_the_members_are_listed_with_their_roles(owner, member):
    member("operator")
    items = owner.get("/api/members").json["items"]
    assert [item["role"] for item in items] == ["owner", "operator"]
    assert all(set(item) >= {"user_id", "email", "name", "role", "created_at"} for item in items)


def test_a_new_role_counts_at_once(owner, member):
    client = member("viewer")
    assert client.post("/api/flows", {"name": "A"}).status_code == 403
    assert owner.patch("/api/members", {"user_id": client.user.id, "role": "editor"}).json["role"] == "editor"
    assert client.post("/api/flows", {"name": "A"}).status_code == 201


@pytest.mark.parametrize("method", ["patch", "delete"])
def test_the_last_owner_can_neither_leave_nor_step_down(owner, method):
    body = {"user_id": owner.user.id} | ({"role": "viewer"} if method == "patch" else {})
    assert getattr(owner, method)("/api/members", body).status_code == 409
    assert owner.post("/api/flows", {"name": "A"}).status_code == 201


def test_one_of_two_owners_can_leave(owner, member):
    member("owner")
    assert owner.delete("/api/members", {"user_id": owner.user.id}).status_code == 204


@pytest.mark.parametrize("method", ["patch", "delete"])
def test_only_members_can_be_changed(owner, other, method):
    body = {"user_id": other.user.id} | ({"role": "viewer"} if method == "patch" else {})
    assert getattr(owner, method)("/api/members", body).status_code == 404


# Passwords that somebody else has set


@pytest.fixture
def log_in(app):
    """`log_in(email, password)` returns a client and the response to its login."""

    def go(email, password):
        client = app.test_client()
        return client, client.post("/api/auth/login", json={"email": email, "password": password})

    return go


@pytest.fixture
def reset(member):
    """`reset(by)` makes the user `by` reset the password of `reset.client` and returns the status."""

    def go(by, password="set by an admin"):
        return by.post("/api/members/password", {"user_id": go.client.user.id, "password": password}).status_code

    go.client = member("editor")
    return go


def test_a_new_member_is_not_set_up_until_they_choose_a_password(owner, log_in):
    owner.post("/api/members", NEW)
    client, answer = log_in(NEW["email"], NEW["password"])
    assert answer.json["user"]["set_up"] is False
    own = {"password": "of their own choice", "current_password": NEW["password"]}
    assert client.patch("/api/profile", json=own).json["set_up"] is True
    assert log_in(NEW["email"], own["password"])[1].json["user"]["set_up"] is True


def test_a_program_works_with_the_password_that_was_given(owner, log_in):
    owner.post("/api/members", NEW)
    client, _ = log_in(NEW["email"], NEW["password"])
    definition = {"nodes": [{"id": "say", "type": "set", "config": {"values": {"a": 1}}}]}
    flow = client.post("/api/flows", json={"name": "A", "definition": definition}).json["id"]
    assert client.post(f"/api/workflows/{flow}/run", json={}).json["output"] == {"a": 1}
    assert client.get("/api/runs").json["items"][0]["status"] == "success"


def test_an_admin_helps_a_user_who_forgot_the_password(owner, reset, log_in, token_client):
    email, program = reset.client.user.email, token_client("viewer", user=reset.client.user)
    users.note_address(reset.client.user.id, "127.0.0.1")
    for _ in range(login_throttle.MAX_FAILURES["pair"]):
        log_in(email, "forgotten")
    assert reset(owner) == 204 and not users.is_known_address(reset.client.user.id, "127.0.0.1")
    assert reset.client.get("/api/flows").status_code == 401 == program.get("/api/flows").status_code
    assert log_in(email, "set by an admin")[1].json["user"]["set_up"] is False
    entry = AuditEntry.select().where(AuditEntry.action == "password.reset").get()
    assert (entry.user_id, entry.target_id) == (owner.user.id, reset.client.user.id)
    assert json.loads(entry.changes) == {"tokens_ended": 1}


def test_an_admin_helps_users_of_any_workspace_and_the_tokens_of_all_of_them_end(owner, other, token_client, client):
    program = token_client("owner", other.user, other.workspace)
    body = {"user_id": other.user.id, "password": "set by an admin"}
    assert owner.post("/api/members/password", body).status_code == 204
    assert other.get("/api/flows").status_code == 401 == program.get("/api/flows").status_code
    answer = client.post("/api/auth/login", {"email": other.user.email, "password": body["password"]})
    assert answer.json["session"]["workspace_id"] == other.workspace.id


@pytest.mark.parametrize("role", ROLES)
def test_only_an_admin_resets_a_password(member, reset, role):
    assert reset(member(role)) == 403 and reset.client.get("/api/flows").status_code == 200
    assert reset(member(role, is_admin=True)) == 204


def test_a_demoted_admin_cannot_reset_a_password(member, reset):
    admin = member("owner", is_admin=True)
    accounts.change_admin(admin.user, False)
    assert reset(admin) == 403


def test_resetting_your_own_or_a_missing_users_password_is_refused(owner):
    body = {"user_id": owner.user.id, "password": "set by an admin"}
    assert owner.post("/api/members/password", body).status_code == 409
    assert owner.post("/api/members/password", body | {"user_id": "usr_none"}).status_code == 404


def test_a_password_that_is_too_short_is_400_and_changes_nothing(owner, reset):
    assert reset(owner, "short") == 400 and reset.client.get("/api/flows").status_code == 200


# Workspaces


@pytest.fixture
def everybody(server, monkeypatch):
    """Settings that allow every user to create three workspaces."""
    monkeypatch.setattr(server, "config", replace(server.config, workspaces="everybody", max_workspaces=3))


def test_an_admin_founds_a_workspace_and_owns_it(member):
    client = member("viewer", is_admin=True)
    made = client.post("/api/workspaces", {"name": "Mine"})
    assert made.status_code == 201 and made.json["role"] == "owner"
    assert [item["name"] for item in client.get("/api/workspaces").json["items"]] == ["Main", "Mine"]


@pytest.mark.parametrize("role", ROLES)
def test_only_admins_create_workspaces_by_default(member, count_rows, role):
    client = member(role)
    before = count_rows()
    answer = client.post("/api/workspaces", {"name": "Mine"})
    assert answer.status_code == 403 and "HEADRACE_WORKSPACES" in answer.json["error"] and count_rows() == before


def test_with_the_setting_all_users_may_create_workspaces(everybody, member):
    assert member("viewer").post("/api/workspaces", {"name": "Mine"}).status_code == 201


def test_a_person_founds_so_many_workspaces_and_no_more(everybody, member, count_rows):
    client, heir = member("viewer"), member("viewer")
    for number in range(3):
        made = client.post("/api/workspaces", {"name": f"Mine {number}"}).json["id"]
        # What is handed over counts all the same.
        workspaces.join(made, heir.user, "owner")
        assert workspaces.leave(Membership.get(workspace_id=made, user_id=client.user.id))
    before = count_rows()
    answer = client.post("/api/workspaces", {"name": "One more"})
    assert answer.status_code == 409 and "HEADRACE_MAX_WORKSPACES" in answer.json["error"] and count_rows() == before
    assert heir.post("/api/workspaces", {"name": "Mine"}).status_code == 201


def test_the_session_has_the_rights_of_the_user(owner, member):
    shown = [client.get("/api/auth/session").json["user"] for client in (owner, member("owner"))]
    assert [(user["admin"], user["may_found_workspaces"]) for user in shown] == [(True, True), (False, False)]


def test_with_the_setting_the_session_has_the_right_to_create_workspaces(everybody, member):
    user = member("viewer").get("/api/auth/session").json["user"]
    assert (user["admin"], user["may_found_workspaces"]) == (False, True)


# API tokens


def use(app, text):
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {text}"
    return client


def test_the_text_of_a_token_is_in_the_answer_that_makes_it_and_nowhere_else(app, owner):
    made = owner.post("/api/tokens", {"name": "CI"}).json
    assert made["token"].startswith("hr_") and made["role"] == "operator" and made["expires_at"] is None
    assert use(app, made["token"]).get("/api/flows").status_code == 200
    listed = owner.get("/api/tokens").json["items"]
    assert [item["id"] for item in listed] == [made["id"]] and "token" not in listed[0]
    assert made["token"] not in [row.token_hash for row in ApiToken.select()]


def test_a_token_may_not_have_a_higher_role_than_its_creator(member, count_rows):
    client = member("operator")
    before = count_rows()
    assert client.post("/api/tokens", {"name": "x", "role": "editor"}).status_code == 403
    assert count_rows() == before
    assert client.post("/api/tokens", {"name": "x", "role": "operator"}).status_code == 201


def test_a_token_can_do_no_more_than_its_user_can_today(owner, member, token_client):
    client = member("editor")
    token = token_client("editor", user=client.user)
    assert token.post("/api/flows", {"name": "A"}).status_code == 201
    owner.patch("/api/members", {"user_id": client.user.id, "role": "viewer"})
    assert token.post("/api/flows", {"name": "A"}).status_code == 403


def test_a_withdrawn_token_is_401(owner, token_client):
    client = token_client("viewer")
    assert owner.delete(f"/api/tokens/{client.token.id}").status_code == 204
    assert client.get("/api/flows").status_code == 401


def test_an_expired_token_is_401(token_client):
    assert token_client("viewer", expires_at=now_ms() + 60_000).get("/api/flows").status_code == 200
    assert token_client("viewer", expires_at=now_ms() - 1).get("/api/flows").status_code == 401


def test_a_token_of_days_expires_after_them(owner):
    made = owner.post("/api/tokens", {"name": "x", "days": 1}).json
    with write():
        row = ApiToken.find(made["id"])
    assert 0 < row.expires_at - now_ms() <= 86_400_000


@pytest.mark.parametrize("days", [0, -1, 3_651, 10**30, "x", 1.5, [1]])
def test_a_wrong_number_of_days_is_400(owner, days):
    answer = owner.post("/api/tokens", {"name": "x", "days": days})
    assert answer.status_code == 400 and answer.json["error"].startswith("days: ")


def test_a_token_ends_with_the_membership(owner, member, token_client):
    client = member("editor")
    token = token_client("editor", user=client.user)
    owner.delete("/api/members", {"user_id": client.user.id})
    assert token.get("/api/flows").status_code == 401
    assert workspaces.role_of(client.user.id, owner.workspace.id) is None


def test_a_token_that_logs_out_is_told_how_to_revoke_it_and_stays(token_client, count_rows):
    client = token_client("viewer")
    before = count_rows()
    answer = client.delete("/api/auth/session")
    assert answer.status_code == 403 and count_rows() == before
    assert client.get("/api/auth/session").json["session"]["id"] == client.token.id
    address = answer.json["error"].rpartition(" ")[2]
    assert client.delete(address).status_code == 204
    assert client.get("/api/auth/session").status_code == 401


def test_a_session_that_logs_out_leaves_the_tokens(owner, token_client):
    client = token_client("viewer")
    assert owner.delete("/api/auth/session").status_code == 204
    assert owner.get("/api/auth/session").status_code == 401 and client.get("/api/auth/session").status_code == 200


def test_users_see_their_own_tokens_and_owners_all(owner, member, token_client):
    client = member("editor")
    token_client("viewer", user=client.user)
    token_client("viewer")
    assert len(client.get("/api/tokens").json["items"]) == 1
    assert len(owner.get("/api/tokens").json["items"]) == 2


@pytest.mark.parametrize("role", ROLES)
def test_an_api_token_withdraws_itself_and_no_other(member, token_client, role):
    own = token_client(role)
    for token in (token_client("owner"), token_client("viewer", user=member("viewer").user)):
        assert own.delete(f"/api/tokens/{token.token.id}").status_code == 403
        assert token.get("/api/flows").status_code == 200
    assert own.delete(f"/api/tokens/{own.token.id}").status_code == 204
    assert own.get("/api/flows").status_code == 401


def test_a_member_cannot_withdraw_the_token_of_another(member, token_client):
    token = token_client("viewer")
    assert member("editor").delete(f"/api/tokens/{token.token.id}").status_code == 403
    assert token.get("/api/flows").status_code == 200
