"""Workspaces, members, roles and API tokens."""

import pytest

import throttle
from database import write
from models import ApiToken, AuditEntry, Membership, now_ms

NEW = {"email": "new@example.org", "role": "editor", "password": "long enough"}


def test_a_new_member_can_log_in_with_the_password_that_was_given(owner, client):
    answer = owner.post("/api/members", NEW)
    assert answer.status_code == 201 and answer.json["role"] == "editor" and "password" not in answer.text
    assert client.post("/api/auth/login", {"email": NEW["email"], "password": NEW["password"]}).status_code == 200


def test_a_user_who_is_there_is_added_without_a_password(owner, other):
    answer = owner.post("/api/members", {"email": other.user.email, "role": "viewer"})
    assert answer.status_code == 201 and answer.json["user_id"] == other.user.id


@pytest.mark.parametrize("email", ["admin@localhost"])
def test_a_user_whose_address_has_no_dot_can_be_added(owner, add_member, other, email):
    user = add_member("viewer", other.workspace, email)
    answer = owner.post("/api/members", {"email": email, "role": "viewer"})
    assert answer.status_code == 201 and answer.json["user_id"] == user.id


def test_adding_a_user_never_changes_their_password(owner, other, client):
    owner.post("/api/members", {"email": other.user.email, "role": "viewer", "password": "another one"})
    assert client.post("/api/auth/login", {"email": other.user.email, "password": "another one"}).status_code == 401


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
    ],
)
def test_a_wrong_member_is_400_and_leaves_nothing(owner, count_rows, change, field):
    before = count_rows()
    answer = owner.post("/api/members", NEW | change)
    assert answer.status_code == 400 and answer.json["error"].startswith(f"{field}: ")
    assert count_rows() == before


def test_an_address_without_a_user_needs_a_password(owner):
    answer = owner.post("/api/members", {"email": "new@example.org", "role": "viewer"})
    assert answer.status_code == 400 and "password" in answer.json["error"]


def test_adding_a_member_twice_is_409(owner, member):
    email = member("viewer").user.email
    assert owner.post("/api/members", {"email": email.upper(), "role": "owner"}).status_code == 409


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
def test_nobody_can_be_changed_who_is_no_member(owner, other, method):
    body = {"user_id": other.user.id} | ({"role": "viewer"} if method == "patch" else {})
    assert getattr(owner, method)("/api/members", body).status_code == 404


# Passwords that somebody else has set


@pytest.fixture
def log_in(app):
    """`log_in(email, password)` gives a client and the answer to its login."""

    def go(email, password):
        client = app.test_client()
        return client, client.post("/api/auth/login", json={"email": email, "password": password})

    return go


@pytest.fixture
def reset(member):
    """`reset(by)` has somebody set the password of a member, who is `reset.client`; the status."""

    def go(by, password="set by an owner"):
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


def test_an_owner_helps_a_member_who_forgot_the_password(owner, reset, log_in, token_client):
    email, program = reset.client.user.email, token_client("viewer", user=reset.client.user)
    for _ in range(throttle.MAX_FAILURES["pair"]):
        log_in(email, "forgotten")
    assert reset(owner) == 204
    assert reset.client.get("/api/flows").status_code == 401 and program.get("/api/flows").status_code == 200
    assert log_in(email, "set by an owner")[1].json["user"]["set_up"] is False
    entry = AuditEntry.select().where(AuditEntry.action == "password.reset").get()
    assert (entry.user_id, entry.target_id, entry.changes) == (owner.user.id, reset.client.user.id, "{}")


@pytest.mark.parametrize("elsewhere", ["viewer", "owner"])
def test_an_owner_gets_into_no_other_workspace_by_a_members_password(owner, other, reset, log_in, elsewhere):
    email = reset.client.user.email
    other.post("/api/members", {"email": email, "role": elsewhere})
    assert reset(owner) == reset(other) == 403
    assert reset.client.get("/api/flows").status_code == 200
    assert log_in(email, "set by an owner")[1].status_code == 401


def test_who_owns_all_workspaces_of_a_member_may_reset_the_password(owner, reset):
    second = owner.post("/api/workspaces", {"name": "Second"}).json["id"]
    with write():
        Membership.join(second, reset.client.user, "viewer")
    assert reset(owner) == 204


def test_the_token_of_an_owner_counts_for_its_workspace_alone(owner, reset, token_client):
    program = token_client("owner")
    assert reset(program) == 204
    second = owner.post("/api/workspaces", {"name": "Second"}).json["id"]
    with write():
        Membership.join(second, reset.client.user, "viewer")
    assert reset(program) == 403


def test_nobody_resets_their_own_password_or_a_strangers(owner, other, token_client):
    body = {"user_id": owner.user.id, "password": "set by an owner"}
    assert owner.post("/api/members/password", body).status_code == 409
    assert token_client("owner").post("/api/members/password", body).status_code == 409
    assert owner.post("/api/members/password", body | {"user_id": other.user.id}).status_code == 404


def test_a_password_that_is_too_short_is_400_and_changes_nothing(owner, reset):
    assert reset(owner, "short") == 400 and reset.client.get("/api/flows").status_code == 200


# Workspaces


def test_whoever_makes_a_workspace_owns_it(member):
    client = member("viewer")
    made = client.post("/api/workspaces", {"name": "Mine"})
    assert made.status_code == 201 and made.json["role"] == "owner"
    assert [item["name"] for item in client.get("/api/workspaces").json["items"]] == ["Main", "Mine"]


def test_an_api_token_makes_no_workspace(token_client):
    assert token_client("owner").post("/api/workspaces", {"name": "Mine"}).status_code == 400


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


def test_a_token_may_not_have_a_higher_role_than_who_makes_it(member, count_rows):
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
    assert Membership.role_of(client.user.id, owner.workspace.id) is None


def test_a_token_that_logs_out_is_withdrawn(token_client):
    client = token_client("viewer")
    assert client.get("/api/auth/session").json["session"]["id"] == client.token.id
    assert client.delete("/api/auth/session").status_code == 204
    assert client.get("/api/auth/session").status_code == 401


def test_everybody_sees_their_own_tokens_and_an_owner_all(owner, member, token_client):
    client = member("editor")
    token_client("viewer", user=client.user)
    token_client("viewer")
    assert len(client.get("/api/tokens").json["items"]) == 1
    assert len(owner.get("/api/tokens").json["items"]) == 2


def test_a_member_cannot_withdraw_the_token_of_another(member, token_client):
    token = token_client("viewer")
    assert member("editor").delete(f"/api/tokens/{token.token.id}").status_code == 403
    assert token.get("/api/flows").status_code == 200
