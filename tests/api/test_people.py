"""Members of workspaces, and invitations."""

import json
import re
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from engines import statements_of_thread, stored_bytes
from mail_servers import Mails, Server
from world import at_once

import database
from config import MailServer
from constants import ROLES
from database import write
from database.base import first_id, now_ms
from database.queries import sessions, users, workspaces
from database.queries.audit import NewAuditEntry
from models import ApiToken, AuditEntry, Invitation, Membership, User, Workspace
from registry import registry
from scheduler import prune
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


# Invitations: creating and revoking them, redeeming their links, and attacks with them


INVITED = {"email": "new@example.org", "role": "editor"}
CHOSEN = "of my own choice"


def token_of(made):
    """Return the token in the link of a response with a new invitation."""
    assert made.status_code in (201, 202), made.text
    return made.json["link"].partition("#")[2]


@pytest.fixture
def invite(owner):
    """`invite(email, role, by)` returns the token of a new invitation."""

    def go(email="new@example.org", role="editor", by=None):
        return token_of((by or owner).post("/api/invitations", {"email": email, "role": role}))

    return go


@pytest.fixture
def redeem(app):
    """`redeem(token, client, **more)` returns the client (default: a new one) and the response."""

    def go(token, client=None, **more):
        client = client or app.test_client()
        body = {"token": token, **({} if client.user else {"password": CHOSEN}), **more}
        return client, client.post("/api/invitations/redeem", body)

    return go


def actions():
    return [row.action for row in AuditEntry.select().order_by(AuditEntry.id)]


def roles(email):
    return users.roles(users.by_email(email))


# Owners


def test_an_invitation_is_made_with_a_link_that_only_this_answer_has(owner, config):
    answer = owner.post("/api/invitations", {"email": " New@Example.org".strip(), "role": "editor"})
    made = answer.json
    assert answer.status_code == 201 and answer.headers["Cache-Control"] == "no-store"
    assert (made["email"], made["role"], made["mailed"]) == ("new@example.org", "editor", False)
    assert (made["invited_by"], made["invited_by_email"]) == ("owner", "owner@example.org")
    assert made["link"].startswith(f"{config.base_url}/invitation#") and len(token_of(answer)) >= 43
    lasts = datetime.fromisoformat(made["expires_at"]) - datetime.fromisoformat(made["created_at"])
    assert timedelta(hours=71.9) < lasts < timedelta(hours=72.1)
    (listed,) = owner.get("/api/invitations").json["items"]
    assert listed == {name: value for name, value in made.items() if name not in ("link", "mailed")}


def test_the_token_is_nowhere_in_the_database(owner, invite, config):
    token = invite()
    stored = stored_bytes(config.database_path)
    assert INVITED["email"].encode() in stored and token.encode() not in stored


def test_adding_a_member_without_a_password_makes_an_invitation(owner, redeem):
    answer = owner.post("/api/members", INVITED)
    assert answer.status_code == 202 and users.by_email(INVITED["email"]) is None
    _, done = redeem(token_of(answer))
    assert done.status_code == 200 and roles(INVITED["email"]) == {owner.workspace.id: "editor"}


def test_the_link_shows_its_invitation(client, invite, other):
    shown = client.post("/api/invitations/look", {"token": invite()})
    assert shown.status_code == 200 and shown.headers["Cache-Control"] == "no-store"
    assert shown.json.pop("expires_at")
    known = client.post("/api/invitations/look", {"token": invite(other.user.email)}).json
    expected = {"role": "editor", "workspace_name": "Main", "invited_by": "owner"}
    expected["invited_by_email"] = "owner@example.org"
    assert {**shown.json, "expires_at": None} == {**expected, "email": "new@example.org", "expires_at": None}
    assert {**known, "expires_at": None} == {**expected, "email": other.user.email, "expires_at": None}


def test_a_person_without_an_account_chooses_a_password_and_is_in(invite, redeem, client, owner):
    new, answer = redeem(invite(), name="Ada")
    assert answer.json["session"]["workspace_id"] == owner.workspace.id and answer.json["session"]["role"] == "editor"
    user = answer.json["user"]
    assert (user["email"], user["name"], user["set_up"], user["admin"]) == ("new@example.org", "Ada", True, False)
    assert new.get("/api/flows").status_code == 200
    answer = client.post("/api/auth/login", {"email": "new@example.org", "password": CHOSEN})
    assert answer.status_code == 200 and answer.json["session"]["workspace_id"] == owner.workspace.id


def test_a_person_with_an_account_logs_in_and_accepts(invite, redeem, other, owner):
    token = invite(other.user.email, "viewer")
    _, refused = redeem(token)
    assert refused.status_code == 409 and f"log in as {other.user.email}" in refused.json["error"]
    _, answer = redeem(token, other)
    assert answer.status_code == 200 and answer.json["session"]["workspace_id"] == owner.workspace.id
    assert roles(other.user.email) == {other.workspace.id: "owner", owner.workspace.id: "viewer"}
    assert other.get("/api/auth/session").json["session"]["workspace_id"] == owner.workspace.id


# Attacks: what an account gains that was planted before the invitation


@pytest.fixture
def planted(other, invite, redeem):
    """An account for a colleague's address, by an attacker who owns another workspace, logged in as it."""
    attacker, answer = redeem(invite("new@example.org", "viewer", by=other), password="known to the attacker")
    assert answer.status_code == 200
    attacker.user = users.by_email("new@example.org")
    return attacker


@pytest.fixture
def tokens_of(token_client):
    """Return the attacker's API token for the planted account."""
    return lambda user, workspace: token_client("viewer", user, workspace)


def test_a_planted_account_gains_nothing_by_an_invitation_of_its_address(owner, other, planted, invite, app):
    invite("new@example.org", "owner")
    here = {"X-Workspace-Id": owner.workspace.id}
    assert planted.get("/api/flows", headers=here).status_code == 403
    assert planted.get("/api/invitations", headers=here).status_code == 403
    assert owner.workspace.id not in planted.get("/api/auth/session").text + planted.get("/api/profile").text
    again = app.test_client()
    answer = again.post("/api/auth/login", {"email": "new@example.org", "password": "known to the attacker"})
    assert answer.json["session"]["workspace_id"] == other.workspace.id and owner.workspace.id not in answer.text
    for client in (planted, again, other):
        assert client.get("/api/invitations", headers=here).status_code == 403
    assert roles("new@example.org") == {other.workspace.id: "viewer"}


def test_an_invitation_to_an_existing_account_is_refused_and_leaves_it_unchanged(planted, invite, redeem, client):
    before = users.by_email("new@example.org").__data__
    token = invite("new@example.org", "owner")
    _, answer = redeem(token, name="Me", password="chosen by the victim")
    assert answer.status_code == 409 and "log in as new@example.org" in answer.json["error"]
    assert "Set-Cookie" not in answer.headers
    assert users.by_email("new@example.org").__data__ == before and len(roles("new@example.org")) == 1
    for password, status in (("chosen by the victim", 401), ("known to the attacker", 200)):
        body = {"email": "new@example.org", "password": password}
        assert client.post("/api/auth/login", body).status_code == status


def test_after_a_reset_the_planter_is_out_and_the_invited_person_in(
    owner, other, planted, tokens_of, invite, redeem, app
):
    program = tokens_of(planted.user, other.workspace)
    assert program.get("/api/flows").status_code == 200
    token = invite("new@example.org", "owner")
    body = {"user_id": planted.user.id, "password": "handed to the victim"}
    assert owner.post("/api/members/password", body).status_code == 204
    victim, answer = redeem(token, password="handed to the victim")
    assert answer.status_code == 200 and answer.json["session"]["workspace_id"] == owner.workspace.id
    assert planted.get("/api/flows").status_code == 401 == program.get("/api/flows").status_code
    login = app.test_client().post("/api/auth/login", {"email": "new@example.org", "password": "known to the attacker"})
    assert login.status_code == 401
    assert victim.get("/api/flows", headers={"X-Workspace-Id": owner.workspace.id}).status_code == 200


def test_an_account_that_was_planted_and_removed_again_takes_no_first_password(owner, other, planted, client):
    assert other.delete("/api/members", {"user_id": planted.user.id}).status_code == 204
    body = {"email": "new@example.org", "role": "owner", "password": "chosen by the owner"}
    assert owner.post("/api/members", body).status_code == 409
    for password in ("chosen by the owner", "known to the attacker"):
        assert client.post("/api/auth/login", {"email": "new@example.org", "password": password}).status_code == 401
    assert planted.get("/api/flows").status_code == 403 and roles("new@example.org") == {}


@pytest.mark.parametrize("when", ["before", "after"])
def test_taking_a_colleagues_address_yields_nothing(owner, other, invite, redeem, when):
    take = {"email": "new@example.org", "current_password": "correct horse battery"}
    if when == "before":
        assert other.patch("/api/profile", take).status_code == 200
    token = invite("new@example.org", "owner")
    if when == "after":
        assert other.patch("/api/profile", take).status_code == 200
    here = {"X-Workspace-Id": owner.workspace.id}
    assert other.get("/api/flows", headers=here).status_code == 403
    assert owner.workspace.id not in other.get("/api/auth/session").text
    assert redeem(token)[1].status_code == 409
    assert other.get("/api/flows", headers=here).status_code == 403
    # Once the address is free again, the link is good for whom it was meant for.
    back = {"email": "stranger@example.org", "current_password": "correct horse battery"}
    assert other.patch("/api/profile", back).status_code == 200
    assert redeem(token)[1].status_code == 200 and owner.workspace.id not in users.roles(other.user)


def test_an_invitation_of_an_address_that_its_user_has_left_is_not_theirs(owner, other, invite, redeem):
    token = invite(other.user.email, "owner")
    moved = {"email": "elsewhere@example.org", "current_password": "correct horse battery"}
    assert other.patch("/api/profile", moved).status_code == 200
    _, answer = redeem(token, other)
    assert answer.status_code == 409 and "elsewhere@example.org" in answer.json["error"]
    assert owner.workspace.id not in users.roles(other.user)


def test_old_sessions_of_a_returning_member_are_invalid(app, owner, member, invite, redeem):
    person = member("editor")
    old = app.test_client()
    old.set_cookie("headrace_session", sessions.start(person.user, owner.workspace.id, 1)[1])
    program = sessions.issue_token(name="t", role="editor", user_id=person.user.id, workspace_id=owner.workspace.id)[0]
    assert old.get("/api/flows").status_code == 200
    owner.delete("/api/members", {"user_id": person.user.id})
    _, answer = redeem(invite(person.user.email, "viewer"), person)
    assert answer.status_code == 200 and person.get("/api/flows").status_code == 200
    assert old.get("/api/flows").status_code == 401 and ApiToken.find(program.id) is None


def test_a_user_without_a_workspace_returns_by_link_and_password(app, owner, member, invite, redeem):
    person = member("editor")
    password = "correct horse battery"
    owner.delete("/api/members", {"user_id": person.user.id})
    login = app.test_client().post("/api/auth/login", {"email": person.user.email, "password": password})
    assert login.status_code == 401 and "invitation" in login.json["error"]
    token = invite(person.user.email, "viewer")
    assert redeem(token, password="a wrong one here")[1].status_code == 409
    back, answer = redeem(token, password=password)
    assert answer.status_code == 200 and back.get("/api/flows").status_code == 200
    assert answer.json["user"]["id"] == person.user.id and answer.json["user"]["name"] == person.user.name
    assert person.get("/api/flows").status_code == 401


def test_password_attempts_by_a_link_are_limited(invite, redeem, other):
    token = invite(other.user.email)
    statuses = [redeem(token, password=f"guess number {number}")[1].status_code for number in range(12)]
    assert statuses == [409] * login_throttle.MAX_FAILURES["pair"] + [429] * (12 - login_throttle.MAX_FAILURES["pair"])


# Attacks: the link


def gone(client, token):
    """Preview and redeem the invitation; check that both responses are those of an invalid one."""
    looked = client.post("/api/invitations/look", {"token": token})
    used = client.post("/api/invitations/redeem", {"token": token, "password": CHOSEN})
    assert looked.status_code == used.status_code == 404
    return looked.json, used.json


def test_whatever_is_wrong_with_a_link_the_answer_is_the_same(app, owner, invite, redeem, member):
    boss = member("owner")
    used, withdrawn, expired, replaced = (invite(f"{name}@example.org") for name in ("a", "b", "c", "d"))
    demoted, gone_owner, no_place = invite("e@example.org", by=boss), member("owner"), member("owner")
    left = invite("f@example.org", by=gone_owner)
    assert redeem(used)[1].status_code == 200
    ids = {item["email"]: item["id"] for item in owner.get("/api/invitations").json["items"]}
    assert owner.delete(f"/api/invitations/{ids['b@example.org']}").status_code == 204
    with write():
        Invitation.update(expires_at=now_ms()).where(Invitation.email == "c@example.org").execute()
    assert invite("d@example.org") != replaced
    owner.patch("/api/members", {"user_id": boss.user.id, "role": "editor"})
    owner.delete("/api/members", {"user_id": gone_owner.user.id})
    place = workspaces.found("Gone", no_place.user)
    headers = {"X-Workspace-Id": place.id}
    deserted = token_of(no_place.post("/api/invitations", {"email": "g@x.org", "role": "viewer"}, headers=headers))
    with write():
        Workspace.delete().where(Workspace.id == place.id).execute()
    before = User.select().count()
    tokens = [used, withdrawn, expired, replaced, demoted, left, deserted, "unknown", "x" * 43]
    answers = [gone(app.test_client(), token) for token in tokens]
    assert answers == [({"error": accounts.GONE}, {"error": accounts.GONE})] * len(tokens)
    assert User.select().count() == before
    assert {item["email"] for item in owner.get("/api/invitations").json["items"]} == {"d@example.org"}


def test_invitations_of_a_former_owner_stay_revoked(owner, member, invite, client):
    boss = member("owner")
    token = invite("new@example.org", by=boss)
    for role in ("editor", "owner"):
        owner.patch("/api/members", {"user_id": boss.user.id, "role": role})
    gone(client, token)


def test_invitations_of_other_owners_survive_a_demotion(owner, member, invite, redeem):
    boss = member("owner")
    kept = invite("kept@example.org")
    owner.patch("/api/members", {"user_id": boss.user.id, "role": "viewer"})
    assert redeem(kept)[1].status_code == 200


def test_an_invitation_is_used_once_however_many_redeem_it_at_once(app, invite, redeem):
    token = invite()
    answers = at_once(6, lambda number: redeem(token, password=f"the choice of {number}")[1])
    assert sorted(answer.status_code for answer in answers)[0] == 200
    assert {answer.status_code for answer in answers} <= {200, 404, 409}
    (winner,) = [number for number, answer in enumerate(answers) if answer.status_code == 200]
    body = {"email": "new@example.org", "password": f"the choice of {winner}"}
    assert app.test_client().post("/api/auth/login", body).status_code == 200
    assert User.select().where(User.email == "new@example.org").count() == 1
    assert actions().count("invitation.accepted") == 1


def test_sessions_of_one_user_that_accept_at_once_make_one_member(app, owner, other, invite, redeem):
    token = invite(other.user.email, "viewer")

    def accept(number):
        client = app.test_client()
        client.user = other.user
        client.set_cookie("headrace_session", sessions.start(other.user, other.workspace.id, 1)[1])
        return redeem(token, client)[1].status_code

    statuses = at_once(4, accept)
    assert statuses.count(200) == 1 and set(statuses) <= {200, 401, 404, 409, 400}
    assert actions().count("invitation.accepted") == 1
    assert users.roles(other.user)[owner.workspace.id] == "viewer"


def test_an_invitation_for_another_address_is_refused(owner, member, other, invite, redeem):
    token = invite("new@example.org", "owner")
    for client in (other, member("viewer")):
        _, answer = redeem(token, client)
        assert answer.status_code == 409
        assert "new@example.org" in answer.json["error"] and client.user.email in answer.json["error"]
        # A password makes no difference: whoever is logged in accepts for themselves.
        assert redeem(token, client, password=CHOSEN)[1].status_code == 409
    assert users.by_email("new@example.org") is None and owner.workspace.id not in users.roles(other.user)
    assert actions()[-4:] == ["invitation.refused"] * 4
    entry = AuditEntry.select().order_by(AuditEntry.id.desc()).get()
    assert (entry.workspace_id, entry.target_name) == (owner.workspace.id, "new@example.org")


@pytest.mark.parametrize("header", ["token", "Basic bmV3OnB3", "Bearer hr_none"])
def test_an_api_token_accepts_nothing(other, token_client, invite, client, count_rows, header):
    token = invite(other.user.email)
    program = token_client("owner", other.user, other.workspace)
    text = program.environ_base["HTTP_AUTHORIZATION"] if header == "token" else header
    before = count_rows()
    body = {"token": token, "password": CHOSEN}
    answer = client.post("/api/invitations/redeem", body, headers={"Authorization": text})
    assert answer.status_code == 403 and count_rows() == before


def test_another_sites_page_cannot_accept(other, invite, count_rows):
    token = invite(other.user.email)
    before = count_rows()
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = other.post("/api/invitations/redeem", {"token": token}, headers=headers)
        assert answer.status_code == 403
    form = other.post(
        "/api/invitations/redeem", data=f"token={token}", content_type="application/x-www-form-urlencoded"
    )
    assert form.status_code == 415 and count_rows() == before


def test_a_page_for_one_user_accepts_nothing_as_another(owner, other, invite):
    token = invite(other.user.email)
    answer = other.post("/api/invitations/redeem", {"token": token}, headers={"X-User-Id": owner.user.id})
    assert answer.status_code == 403 and owner.workspace.id not in users.roles(other.user)


@pytest.mark.parametrize(
    ("body", "field"),
    [({}, "password"), ({"password": "short"}, "password"), ({"password": "password1"}, "password")],
)
@pytest.mark.parametrize("email", ["new@example.org", "stranger@example.org"])
def test_without_a_valid_password_accounts_are_not_revealed(client, other, invite, email, body, field):
    token = invite(email)
    answer = client.post("/api/invitations/redeem", {"token": token, **body})
    assert answer.status_code == 400 and answer.json["error"].startswith(f"{field}: ")
    assert client.post("/api/invitations/look", {"token": token}).status_code == 200


def test_links_that_are_not_valid_are_bounded(client, invite):
    token = invite()
    for number in range(login_throttle.MAX_BAD_LINKS):
        headers = {"X-Forwarded-For": f"203.0.113.{number}"}
        assert client.post("/api/invitations/look", {"token": f"x{number}"}, headers=headers).status_code == 404
    for path, more in (("look", {}), ("redeem", {"password": CHOSEN})):
        answer = client.post(f"/api/invitations/{path}", {"token": "x", **more})
        assert answer.status_code == 429 and int(answer.headers["Retry-After"]) > 0
    # A valid link cannot be guessed, so guessers do not keep its holder out.
    assert client.post("/api/invitations/look", {"token": token}).status_code == 200


def test_refused_redemptions_fill_no_audit_trail(other, invite, redeem):
    token = invite("new@example.org")
    for _ in range(login_throttle.MAX_BAD_LINKS + 5):
        redeem(token, other)
    assert actions().count("invitation.refused") == login_throttle.MAX_BAD_LINKS


# Attacks: what is told of accounts


@pytest.mark.parametrize("path", ["/api/members", "/api/invitations"])
def test_an_owner_does_not_learn_whether_an_address_has_an_account(owner, other, path):
    answers = [owner.post(path, {"email": email, "role": "viewer"}) for email in ("new@example.org", other.user.email)]
    assert answers[0].status_code == answers[1].status_code
    own = ("id", "email", "link", "created_at", "expires_at")
    shown = [{key: None if key in own else value for key, value in answer.json.items()} for answer in answers]
    assert shown[0] == shown[1] and len(answers[0].json["link"]) == len(answers[1].json["link"])


def test_the_queries_are_the_same_with_and_without_an_account(owner, other):
    def asked(email):
        with statements_of_thread() as statements:
            assert owner.post("/api/members", {"email": email, "role": "viewer"}).status_code == 202
        return [re.sub(r"""'[^']*'|"s[0-9a-f]{32}"|\d+""", "…", statement) for statement in statements]

    asked("warm@example.org")
    unknown = asked("new@example.org")
    assert unknown and unknown == asked(other.user.email)


# Bounds


def test_a_new_invitation_of_an_address_replaces_the_old_one(owner, invite, client):
    old, new = invite("new@example.org", "owner"), invite("NEW@example.org", "viewer")
    gone(client, old)
    assert [item["role"] for item in owner.get("/api/invitations").json["items"]] == ["viewer"]
    assert client.post("/api/invitations/look", {"token": new}).json["role"] == "viewer"


def test_a_member_is_not_invited(owner, member):
    email = member("viewer").user.email
    for path in ("/api/members", "/api/invitations"):
        answer = owner.post(path, {"email": email.upper(), "role": "owner"})
        assert answer.status_code == 409 and "member already" in answer.json["error"]


def test_an_invitation_of_a_person_who_became_a_member_is_invalid(owner, other, invite, client):
    token = invite(other.user.email, "owner")
    accounts.add_member(NewAuditEntry("member.added", owner.workspace.id), other.user.email, "viewer", None)
    gone(client, token)
    assert users.roles(other.user)[owner.workspace.id] == "viewer"


def test_a_workspace_has_so_many_pending_invitations(owner, invite, monkeypatch):
    monkeypatch.setattr(accounts, "MAX_PENDING", 2)
    invite("a@example.org"), invite("b@example.org"), invite("b@example.org")
    answer = owner.post("/api/invitations", {"email": "c@example.org", "role": "viewer"})
    assert answer.status_code == 409 and "withdraw" in answer.json["error"]
    invite("a@example.org")


def test_withdrawing_makes_room_but_not_for_more_than_so_many_a_day(owner, invite, monkeypatch):
    monkeypatch.setattr(accounts, "MAX_A_DAY", 3)
    for _ in range(3):
        invite()
        (item,) = owner.get("/api/invitations").json["items"]
        owner.delete(f"/api/invitations/{item['id']}")
    answer = owner.post("/api/invitations", {"email": "new@example.org", "role": "viewer"})
    assert answer.status_code == 429 and int(answer.headers["Retry-After"]) > 0
    with write():
        day_before = first_id("aud", now_ms() - accounts.DAY_MS - 1000)
        oldest = AuditEntry.select().where(AuditEntry.action == "invitation.created").order_by(AuditEntry.id).first()
        AuditEntry.update(id=day_before).where(AuditEntry.id == oldest.id).execute()
    invite()


def test_expired_invitations_are_deleted_in_time(invite):
    invite("a@example.org"), invite("b@example.org")
    with write():
        Invitation.update(expires_at=now_ms()).where(Invitation.email == "a@example.org").execute()
    prune()
    assert [row.email for row in Invitation.select()] == ["b@example.org"]


@pytest.mark.parametrize("role", ROLES)
def test_an_invitation_gives_the_role_that_it_says(owner, invite, redeem, role):
    new, answer = redeem(invite(role=role))
    assert answer.json["session"]["role"] == role and roles("new@example.org") == {owner.workspace.id: role}
    assert new.get("/api/invitations").status_code == (200 if role == "owner" else 403)


def test_the_audit_log_has_the_invitation_without_its_token(owner, invite, redeem):
    token = invite()
    redeem(token)
    made, accepted = AuditEntry.select().order_by(AuditEntry.id)
    assert (made.action, made.user_id, made.target_name) == ("invitation.created", owner.user.id, "new@example.org")
    user = users.by_email("new@example.org")
    assert (accepted.action, accepted.user_id, accepted.target_id) == ("invitation.accepted", user.id, user.id)
    assert json.loads(accepted.changes) == {"new_user": True, "role": "editor", "invited_by": owner.user.id}
    assert not any(token in json.dumps(row.__data__) for row in (made, accepted))


# Mail


@pytest.fixture
def mails():
    return Mails()


@pytest.fixture
def mail_server(mails, server, monkeypatch):
    """A mail server, named by the setting."""
    if not registry.send_mail:
        pytest.skip("the pack mail is off")
    running = Server(mails)
    running.start()
    setting = MailServer("127.0.0.1", running.port, "none", "flows@example.org")
    config = replace(server.config, mail_server=setting, public_url="https://flows.example.org")
    monkeypatch.setattr(server, "config", config)
    yield running
    running.stop()


@pytest.mark.parametrize("email", ["new@example.org", "stranger@example.org"])
def test_the_invited_person_gets_the_link_by_mail(owner, other, mail_server, mails, redeem, email):
    answer = owner.post("/api/members", {"email": email, "role": "editor"})
    assert answer.json["mailed"] is True and len(mails.envelopes) == 1
    message, envelope = mails.latest(), mails.envelopes[0]
    assert (envelope.mail_from, envelope.rcpt_tos) == ("flows@example.org", [email])
    text = message.get_content()
    assert text.count("https://flows.example.org/invitation#") == 1
    assert 'owner <owner@example.org> invites you to the workspace "Main" on Headrace, as editor.' in text
    token = re.search(r"#(\S+)", text)[1]
    # The inviter could create an account for the address with the link, or learn that there is one.
    assert answer.json["link"] is None and token not in answer.text
    assert token not in owner.get("/api/invitations").text
    assert redeem(token, *([other] if email == other.user.email else []))[1].status_code == 200


def test_without_the_pack_that_sends_mail_the_inviter_gets_the_link(owner, server, monkeypatch):
    setting = MailServer("127.0.0.1", 1, "none", "flows@example.org")
    monkeypatch.setattr(server, "config", replace(server.config, mail_server=setting))
    monkeypatch.setattr(registry, "send_mail", "")
    made = owner.post("/api/invitations", INVITED).json
    assert made["mailed"] is False and "/invitation#" in made["link"]


def test_names_in_a_mail_make_no_lines_of_their_own(owner, mail_server, mails):
    # The API takes no such names any more; they may be from before.
    users.change(owner.user, name="Ada\r\nBcc: x@example.org\u2028more")
    workspaces.rename(owner.workspace, "W" * 150 + "\nhttps://evil.example")
    assert owner.post("/api/invitations", INVITED).json["mailed"] is True
    message = mails.latest()
    first = message.get_content().splitlines()[0]
    assert first.startswith("Ada  Bcc: x@example.org more <owner@") and "evil" not in first
    assert message["bcc"] is None and mails.envelopes[0].rcpt_tos == ["new@example.org"]


def test_an_inviter_whose_mail_is_rejected_gets_no_link_and_can_invite_again(owner, mail_server, mails, caplog):
    mails.refuse["new@example.org"] = "550 no such person"
    answer = owner.post("/api/members", INVITED)
    assert answer.status_code == 202 and mails.envelopes == []
    assert (answer.json["mailed"], answer.json["link"]) == (False, None)
    assert "Could not send mail to new@example.org" in caplog.text and "/invitation#" not in caplog.text
    mails.refuse.clear()
    again = owner.post("/api/members", INVITED)
    assert (again.json["mailed"], again.json["link"]) == (True, None) and len(mails.envelopes) == 1
    assert len(owner.get("/api/invitations").json["items"]) == 1


def test_the_mail_is_sent_after_the_transaction(owner, mail_server, mails, monkeypatch):
    seen = []

    async def look(server, session, envelope):
        # In another thread, with a connection of its own: what it sees is committed, and it may write.
        try:
            with write():
                seen.append([row.email for row in Invitation.select()])
        finally:
            database.disconnect_thread()
        return "250 taken"

    monkeypatch.setattr(mails, "handle_DATA", look)
    assert owner.post("/api/invitations", INVITED).json["mailed"] is True
    assert seen == [["new@example.org"]]


def test_refused_invitations_are_not_mailed(owner, mail_server, mails, member, monkeypatch):
    monkeypatch.setattr(accounts, "MAX_PENDING", 0)
    assert owner.post("/api/invitations", INVITED).status_code == 409
    assert member("editor").post("/api/invitations", INVITED).status_code == 403
    assert mails.envelopes == []
