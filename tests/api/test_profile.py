"""The user's own profile: name, address, password, sessions, workspace, and the first set-up."""

import json

import pytest
from test_every_route import OPEN

from config import Config
from database.queries import sessions, users, workspaces
from models import AuditEntry, LoginFailure, Session, User
from security import accounts, login_throttle

pytestmark = pytest.mark.usefixtures("shared_server")

PASSWORD = "correct horse battery"
NEW = {"password": "a much better one", "current_password": PASSWORD}


@pytest.fixture
def session(app, owner):
    """`session()` returns a client with another session of the owner."""

    def make():
        client = app.test_client()
        client.set_cookie("headrace_session", sessions.start(owner.user, owner.workspace.id, days=1)[1])
        return client

    return make


def log_in(client, password, email="owner@example.org"):
    return client.post("/api/auth/login", {"email": email, "password": password})


def test_people_see_themselves_and_no_hash(owner):
    shown = owner.get("/api/profile").json
    assert (shown["email"], shown["set_up"]) == ("owner@example.org", True)
    assert [space["role"] for space in shown["workspaces"]] == ["owner"] and "argon2" not in json.dumps(shown)


def test_a_name_is_changed_without_a_password(owner):
    assert owner.patch("/api/profile", {"name": "Ada"}).json["name"] == "Ada"
    assert owner.get("/api/auth/session").json["user"]["name"] == "Ada"
    assert json.loads(AuditEntry.get().changes) == {"name": {"before": "owner", "after": "Ada"}}


@pytest.mark.parametrize("body", [{}, {"name": "owner"}, {"email": "owner@example.org"}])
def test_a_change_without_effect_leaves_no_entry(owner, body):
    assert owner.patch("/api/profile", body).status_code == 200 and AuditEntry.select().count() == 0


def test_a_new_address_is_the_one_to_log_in_with(owner, client):
    answer = owner.patch("/api/profile", {"email": " Ada@Example.org", "current_password": PASSWORD})
    assert answer.status_code == 400
    answer = owner.patch("/api/profile", {"email": "Ada@Example.org", "current_password": PASSWORD})
    assert answer.json["email"] == "ada@example.org"
    assert log_in(client, PASSWORD).status_code == 401
    assert log_in(client, PASSWORD, "ada@example.org").status_code == 200
    assert owner.get("/api/profile").status_code == 200


def test_a_taken_address_is_409_and_changes_nothing(owner, other, client):
    body = {"email": other.user.email.upper(), "name": "Ada", **NEW}
    assert owner.patch("/api/profile", body).status_code == 409
    assert owner.get("/api/profile").json["name"] == "owner" and AuditEntry.select().count() == 0
    assert log_in(client, PASSWORD).status_code == 200


def test_a_new_password_ends_the_other_sessions_and_not_this_one(session, owner, client, token_client):
    elsewhere, program = session(), token_client("viewer")
    assert owner.patch("/api/profile", NEW).status_code == 200
    assert elsewhere.get("/api/flows").status_code == 401
    assert owner.get("/api/flows").status_code == program.get("/api/flows").status_code == 200
    assert log_in(client, PASSWORD).status_code == 401 and log_in(client, NEW["password"]).status_code == 200


def test_a_new_password_leaves_the_sessions_of_others(owner, other):
    owner.patch("/api/profile", NEW)
    assert other.get("/api/flows").status_code == 200


@pytest.mark.parametrize("change", [{"password": "a much better one"}, {"email": "ada@example.org"}])
@pytest.mark.parametrize("given", [{}, {"current_password": "wrong"}])
def test_without_the_present_password_neither_address_nor_password_changes(owner, client, change, given):
    answer = owner.patch("/api/profile", {**change, **given, "name": "Ada"})
    assert answer.status_code == 400 and answer.json["details"][0]["path"] == "current_password"
    assert owner.get("/api/profile").json["name"] == "owner" and AuditEntry.select().count() == 0
    assert log_in(client, PASSWORD).status_code == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({**NEW, "password": "short"}, "password"),
        ({**NEW, "password": None}, "password"),
        ({"name": ""}, "name"),
        ({"email": "none", "current_password": PASSWORD}, "email"),
        ({"role": "owner"}, "role"),
        ({"set_up": True}, "set_up"),
    ],
)
def test_a_wrong_change_is_400_and_names_the_field(owner, body, field):
    answer = owner.patch("/api/profile", body)
    assert answer.status_code == 400 and answer.json["error"].startswith(f"{field}: ")


def test_the_present_password_is_guessed_no_more_often_than_at_a_login(owner, client):
    for _ in range(login_throttle.MAX_FAILURES["pair"]):
        assert owner.patch("/api/profile", {**NEW, "current_password": "wrong"}).status_code == 400
    answer = owner.patch("/api/profile", NEW)
    assert answer.status_code == 429 and int(answer.headers["Retry-After"]) > 0
    assert log_in(client, PASSWORD).status_code == 429


def test_the_right_password_clears_the_count(owner):
    owner.patch("/api/profile", {**NEW, "current_password": "wrong"})
    owner.patch("/api/profile", NEW)
    assert LoginFailure.find("account:owner@example.org") is None


# API tokens


def test_a_new_password_ends_api_tokens_if_that_is_asked_for(owner, other, token_client):
    mine, elsewhere = token_client("viewer"), token_client("owner", other.user, other.workspace)
    second = workspaces.found("Second", owner.user)
    there = token_client("owner", workspace=second)
    assert owner.patch("/api/profile", NEW).status_code == 200
    assert mine.get("/api/flows").status_code == there.get("/api/flows").status_code == 200
    again = {"password": "yet another one", "current_password": NEW["password"], "end_tokens": True}
    assert owner.patch("/api/profile", again).status_code == 200
    assert mine.get("/api/flows").status_code == there.get("/api/flows").status_code == 401
    assert elsewhere.get("/api/flows").status_code == 200 == owner.get("/api/flows").status_code
    assert json.loads(AuditEntry.select().order_by(AuditEntry.id.desc()).get().changes) == {"tokens_ended": 2}


@pytest.mark.parametrize("body", [{"end_tokens": True}, {"end_tokens": True, "name": "Ada"}, {"end_tokens": "yes"}])
def test_api_tokens_end_only_with_a_new_password(owner, token_client, body):
    program = token_client("viewer")
    answer = owner.patch("/api/profile", body)
    assert answer.status_code == 400 and answer.json["error"].startswith("end_tokens: ")
    assert program.get("/api/flows").status_code == 200 and owner.get("/api/profile").json["name"] == "owner"


# Sessions


def test_people_see_their_own_sessions_and_which_is_this(session, owner, other):
    session()
    items = owner.get("/api/profile/sessions").json["items"]
    assert [item["current"] for item in items] == [False, True]
    assert "token" not in json.dumps(items) and {item["id"] for item in items} == {
        row.id for row in Session.select() if row.user_id == owner.user.id
    }


def test_a_session_is_ended_from_another(session, owner):
    elsewhere = session()
    id_ = next(item["id"] for item in owner.get("/api/profile/sessions").json["items"] if not item["current"])
    assert owner.delete(f"/api/profile/sessions/{id_}").status_code == 204
    assert elsewhere.get("/api/flows").status_code == 401 and owner.get("/api/flows").status_code == 200
    assert owner.delete(f"/api/profile/sessions/{id_}").status_code == 404


def test_sessions_of_other_users_cannot_be_ended(owner, other):
    theirs = Session.get(user_id=other.user.id)
    answer = owner.delete(f"/api/profile/sessions/{theirs.id}")
    assert answer.status_code == 404 and answer.json == owner.delete("/api/profile/sessions/none").json | {
        "error": f"You have no session {theirs.id!r}"
    }
    assert other.get("/api/flows").status_code == 200


# The workspace that the session is in


def test_a_session_is_moved_to_another_workspace(owner):
    second = owner.post("/api/workspaces", {"name": "Second"}).json["id"]
    answer = owner.patch("/api/auth/session", {"workspace_id": second})
    assert (answer.json["session"]["workspace_id"], answer.json["session"]["role"]) == (second, "owner")
    assert owner.post("/api/flows", {"name": "A"}).json["workspace_id"] == second
    assert owner.get("/api/auth/session").json["session"]["workspace_id"] == second
    moved = owner.get("/api/audit?action=session").json["items"]
    assert [entry["action"] for entry in moved] == ["session.moved"] and moved[0]["workspace_id"] == second


@pytest.mark.parametrize("foreign", ["theirs", "ws_none"])
def test_a_session_is_moved_to_no_foreign_workspace(owner, other, foreign):
    id_ = other.workspace.id if foreign == "theirs" else foreign
    answer = owner.patch("/api/auth/session", {"workspace_id": id_})
    assert answer.status_code == 403 and id_ not in answer.text
    assert owner.get("/api/auth/session").json["session"]["workspace_id"] == owner.workspace.id


def test_an_owner_renames_the_workspace(owner, member):
    path = f"/api/workspaces/{owner.workspace.id}"
    assert member("editor").patch(path, {"name": "Mine"}).status_code == 403
    assert owner.patch(path, {"name": "Ours"}).json["name"] == "Ours"
    assert [space["name"] for space in owner.get("/api/workspaces").json["items"]] == ["Ours"]
    assert json.loads(AuditEntry.get().changes) == {"name": {"before": "Main", "after": "Ours"}}


# The first set-up


@pytest.fixture
def made_up(owner, session):
    """The owner with a generated password."""
    accounts.set_password(owner.user, PASSWORD)
    return session()


def test_a_user_with_a_generated_password_is_not_set_up(made_up, client):
    assert made_up.get("/api/profile").json["set_up"] is False
    assert made_up.get("/api/auth/session").json["user"]["set_up"] is False
    assert log_in(client, PASSWORD).json["user"]["set_up"] is False


def test_a_password_of_ones_own_sets_up(made_up, client):
    made_up.patch("/api/profile", {"name": "Ada"})
    assert made_up.get("/api/profile").json["set_up"] is False
    assert made_up.patch("/api/profile", NEW).json["set_up"] is True
    assert log_in(client, NEW["password"]).json["user"]["set_up"] is True


def test_the_password_that_was_given_is_not_ones_own(made_up):
    answer = made_up.patch("/api/profile", {"password": PASSWORD, "current_password": PASSWORD})
    assert answer.status_code == 400 and answer.json["details"][0]["path"] == "password"
    assert made_up.get("/api/profile").json["set_up"] is False


def test_a_user_who_is_set_up_may_keep_the_password(owner):
    assert owner.patch("/api/profile", {"password": PASSWORD, "current_password": PASSWORD}).json["set_up"] is True


@pytest.mark.parametrize("route", [route for route in sorted(OPEN) if route.startswith("GET")])
def test_set_up_is_not_visible_without_a_login(client, owner, route):
    path = route.removeprefix("GET ").replace("<path:path>", "index.css").replace("<slashes:path>", "orders")

    def told():
        answer = client.get(path)
        return answer.status_code, {**answer.json, "ts": None} if answer.is_json else answer.data

    before = told()
    accounts.set_password(owner.user, PASSWORD)
    assert told() == before


def test_the_first_owner_of_a_made_up_password_is_marked(app, tmp_path):
    first = User.get()
    assert first.set_up, "the tests' first owner has a password of the settings"
    first.remove()
    made = accounts.make_first_owner(Config(data_dir=tmp_path, admin_email="new@example.org"))
    assert made is not None and made[1] and not users.by_email("new@example.org").set_up
