"""Invitations: what owners do with them, what the link is good for, and what attackers gain by one: nothing."""

from datetime import datetime, timedelta

import pytest

from models import AuditEntry, User

NEW = {"email": "new@example.org", "role": "editor"}
CHOSEN = "of my own choice"


def token_of(made):
    """The token in the link of an answer that made an invitation."""
    assert made.status_code in (201, 202), made.text
    return made.json["link"].partition("#")[2]


@pytest.fixture
def invite(owner):
    """`invite(email, role, by)` gives the token of a new invitation."""

    def go(email="new@example.org", role="editor", by=None):
        return token_of((by or owner).post("/api/invitations", {"email": email, "role": role}))

    return go


@pytest.fixture
def redeem(app):
    """`redeem(token, client, **more)` gives the client, by default a new one, and the answer."""

    def go(token, client=None, **more):
        client = client or app.test_client()
        body = {"token": token, **({} if client.user else {"password": CHOSEN}), **more}
        return client, client.post("/api/invitations/redeem", body)

    return go


def actions():
    return [row.action for row in AuditEntry.select().order_by(AuditEntry.id)]


def roles(email):
    return User.by_email(email).roles()


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
    files = [path for path in config.data_dir.iterdir() if path.name.startswith("headrace.sqlite3")]
    assert files and not any(token.encode() in path.read_bytes() for path in files)


def test_adding_a_member_without_a_password_makes_an_invitation(owner, redeem):
    answer = owner.post("/api/members", NEW)
    assert answer.status_code == 202 and User.by_email(NEW["email"]) is None
    _, done = redeem(token_of(answer))
    assert done.status_code == 200 and roles(NEW["email"]) == {owner.workspace.id: "editor"}


def test_whoever_has_the_link_sees_what_it_is_for(client, invite, other):
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
