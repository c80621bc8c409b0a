"""Logging in, sessions and tokens, and the own profile."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from servers import EMAIL as SERVER_EMAIL
from servers import PATIENCE, Server
from test_every_route import OPEN

from config import Config
from database import write
from database.base import DAY_MS, now_ms
from database.queries import sessions, users, workspaces
from database.queries.users import KNOWN_MS
from models import AuditEntry, LoginAddress, LoginFailure, Membership, Session, User
from security import accounts, login_throttle

pytestmark = pytest.mark.usefixtures("shared_server")

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


# Where the public address is https://headrace.example, and what the server sees of a request there.
PUBLIC = "https://headrace.example"
SEEN = [{"base_url": PUBLIC}, {"base_url": "http://headrace.example"}]


@pytest.fixture
def public(app, server, monkeypatch):
    """The server with a public address."""
    monkeypatch.setattr(server, "config", replace(server.config, public_url=PUBLIC))


@pytest.mark.parametrize("seen", SEEN, ids=["trusted proxy", "other proxy"])
def test_a_session_of_https_is_sent_over_https_only_and_to_this_host_only(public, client, seen):
    cookie = client.post("/api/auth/login", LOGIN, **seen).headers["Set-Cookie"]
    assert cookie.startswith("__Host-headrace_session=") and "; Secure" in cookie and "; Path=/" in cookie
    assert "Domain" not in cookie
    client.set_cookie("__Host-headrace_session", cookie.partition("=")[2].partition(";")[0], domain="headrace.example")
    assert client.get("/api/flows", **seen).status_code == 200
    gone = client.delete("/api/auth/session", **seen).headers["Set-Cookie"]
    assert gone.startswith("__Host-headrace_session=;") and "; Secure" in gone


def test_a_cookie_that_another_host_of_the_domain_could_set_counts_for_nothing_over_https(app, owner):
    client = app.test_client()
    _, token = sessions.start(owner.user, owner.workspace.id, days=1)
    client.set_cookie("headrace_session", token, domain="headrace.example")
    assert client.get("/api/flows", base_url=PUBLIC).status_code == 401
    client.set_cookie("__Host-headrace_session", token, domain="headrace.example")
    assert client.get("/api/flows", base_url=PUBLIC).status_code == 200


def test_a_session_of_another_address_than_the_public_one_is_as_that_address_is(public, client):
    cookie = client.post("/api/auth/login", LOGIN, base_url="http://localhost").headers["Set-Cookie"]
    assert cookie.startswith("headrace_session=") and "Secure" not in cookie


def test_a_user_without_a_workspace_cannot_log_in(client, add_member):
    user = add_member("viewer", email="gone@example.org")
    workspaces.leave(Membership.get(user_id=user.id))
    assert client.post("/api/auth/login", {**LOGIN, "email": "gone@example.org"}).status_code == 401


def test_a_removed_member_is_403_with_an_existing_session(owner, member):
    gone = member("editor")
    owner.delete("/api/members", {"user_id": gone.user.id})
    assert gone.get("/api/flows").status_code == 403


# The throttle

FROM_FAR = {"REMOTE_ADDR": "8.8.8.8"}
PAIR, ADDRESS = login_throttle.MAX_FAILURES["pair"], login_throttle.MAX_FAILURES["address"]


def fail(key, times):
    for _ in range(times):
        users.note_failures([key], login_throttle.WINDOW_MS)


def guess(client, times, email="owner@example.org", **options):
    """Return the statuses of `times` logins with a wrong password."""
    body = {"email": email, "password": "wrong"}
    return [client.post("/api/auth/login", body, **options).status_code for _ in range(times)]


def move_back(ms):
    """Move all failures back in time."""
    with write():
        LoginFailure.update(since=LoginFailure.since - ms, last=LoginFailure.last - ms).execute()


def test_after_many_failures_even_the_right_password_is_refused(client):
    assert guess(client, PAIR + 1) == [401] * PAIR + [429]
    answer = client.post("/api/auth/login", LOGIN)
    assert answer.status_code == 429 and 0 < int(answer.headers["Retry-After"]) <= login_throttle.WINDOW_MS / 1000


def test_failures_from_elsewhere_do_not_block_a_known_address(client):
    assert client.post("/api/auth/login", LOGIN).status_code == 200
    assert 429 in guess(client, PAIR + 1, environ_base=FROM_FAR)
    fail("account:owner@example.org", 100)
    assert client.post("/api/auth/login", LOGIN).status_code == 200


def test_an_account_that_is_guessed_from_many_addresses_becomes_slow_and_never_closed(client):
    pauses = []
    for number in range(login_throttle.FREE_FAILURES + 12):
        place = {"environ_base": {"REMOTE_ADDR": f"203.0.113.{number}"}}
        answer = client.post("/api/auth/login", {**LOGIN, "password": "wrong"}, **place)
        if answer.status_code == 429:
            pauses.append(int(answer.headers["Retry-After"]))
            move_back(pauses[-1] * 1000)
            answer = client.post("/api/auth/login", {**LOGIN, "password": "wrong"}, **place)
        assert answer.status_code == 401
    assert pauses[:7] == [1, 2, 4, 8, 16, 32, login_throttle.MAX_PAUSE] and set(pauses[7:]) == {
        login_throttle.MAX_PAUSE
    }
    move_back(login_throttle.MAX_PAUSE * 1000)
    assert client.post("/api/auth/login", LOGIN, environ_base={"REMOTE_ADDR": "203.0.113.99"}).status_code == 200


def test_an_address_that_guesses_at_many_accounts_is_stopped_for_all_that_it_is_not_known_for(client):
    assert client.post("/api/auth/login", LOGIN).status_code == 200
    fail("address:127.0.0.1", ADDRESS)
    assert guess(client, 1, "another@example.org") == [429]
    assert client.post("/api/auth/login", LOGIN).status_code == 200


def test_a_login_from_an_address_counts_as_known_for_a_month(client):
    assert client.post("/api/auth/login", LOGIN).status_code == 200
    with write():
        LoginAddress.update(at=LoginAddress.at - KNOWN_MS).execute()
    fail("address:127.0.0.1", ADDRESS)
    assert client.post("/api/auth/login", LOGIN).status_code == 429
    assert LoginAddress.prune() == 1 and LoginAddress.select().count() == 0


def test_an_ipv6_client_is_one_with_its_whole_network(client):
    for number in range(PAIR):
        guess(client, 1, environ_base={"REMOTE_ADDR": f"2001:db8:1:2::{number:x}"})
    assert guess(client, 1, environ_base={"REMOTE_ADDR": "2001:db8:1:2:ffff::1"}) == [429]
    move_back(1000)
    assert guess(client, 1, environ_base={"REMOTE_ADDR": "2001:db8:1:3::1"}) == [401]


@pytest.mark.parametrize(
    ("address", "network"),
    [("192.0.2.1", "192.0.2.1"), ("::ffff:192.0.2.1", "192.0.2.1"), ("fe80::1%eth0", "fe80::/64"), ("", "")],
)
def test_addresses_of_one_network_count_as_one(address, network):
    assert login_throttle.get_network(address) == network


def test_a_proxy_that_is_not_trusted_is_logged_once(client, caplog):
    for _ in range(3):
        guess(client, 1, "another@example.org", headers={"X-Forwarded-For": "198.51.100.1"})
    warnings = [record.message for record in caplog.records if "HEADRACE_TRUSTED_PROXIES" in record.message]
    assert len(warnings) == 1 and "127.0.0.1" in warnings[0]


@pytest.mark.parametrize("name", ["X-Forwarded-For", "Forwarded"])
def test_no_header_of_the_client_lifts_a_limit(client, name):
    fail("address:127.0.0.1", ADDRESS - 1)
    statuses = [
        *guess(client, 1, "another@example.org", headers={name: "198.51.100.1"}),
        *guess(client, 1, "third@example.org", headers={name: "198.51.100.2"}),
    ]
    assert statuses == [401, 429]


@pytest.fixture
def hidden(server, monkeypatch):
    """Let all clients have the address of a proxy, as far as the server can tell."""
    config = replace(server.config, public_url="https://flows.example.org", trusted_proxies=0)
    monkeypatch.setattr(server, "config", config)


def test_many_behind_a_proxy_that_is_not_trusted_have_a_wider_limit(client, hidden):
    fail("address:127.0.0.1", ADDRESS * login_throttle.SHARED_FACTOR - 1)
    assert guess(client, 1, "another@example.org") == [401]
    assert guess(client, 1, "third@example.org") == [429]


def test_behind_a_proxy_that_is_not_trusted_an_account_becomes_slow_and_never_closed(client, hidden):
    assert guess(client, PAIR + 1) == [401] * PAIR + [429]
    fail("pair:owner@example.org 127.0.0.1", 20)
    fail("account:owner@example.org", 20)
    move_back(login_throttle.MAX_PAUSE * 1000)
    assert client.post("/api/auth/login", LOGIN).status_code == 200


def test_an_attacker_at_a_known_address_makes_it_slow_and_never_closed(client):
    assert client.post("/api/auth/login", LOGIN).status_code == 200
    fail("pair:owner@example.org 127.0.0.1", 3 * PAIR)
    answer = client.post("/api/auth/login", LOGIN)
    assert answer.status_code == 429 and int(answer.headers["Retry-After"]) <= login_throttle.MAX_PAUSE
    move_back(login_throttle.MAX_PAUSE * 1000)
    assert client.post("/api/auth/login", LOGIN).status_code == 200


def test_a_client_from_far_away_passes_for_no_proxy(client, caplog):
    fail(f"address:{FROM_FAR['REMOTE_ADDR']}", ADDRESS)
    place = {"environ_base": FROM_FAR, "headers": {"X-Forwarded-For": "198.51.100.1"}}
    assert guess(client, 1, "another@example.org", **place) == [429]
    assert "HEADRACE_TRUSTED_PROXIES" not in caplog.text


def test_a_login_that_works_clears_the_count_of_the_account_and_not_of_the_address(client):
    guess(client, PAIR - 1)
    assert client.post("/api/auth/login", LOGIN).status_code == 200
    assert [(row.key, row.count) for row in LoginFailure.select()] == [("address:127.0.0.1", PAIR - 1)]


def test_failures_are_forgotten_when_the_window_has_passed(client):
    guess(client, PAIR)
    move_back(login_throttle.WINDOW_MS)
    assert client.post("/api/auth/login", LOGIN).status_code == 200


def test_failures_of_which_the_window_has_passed_leave_the_table(client):
    guess(client, 1, "another@example.org")
    move_back(login_throttle.WINDOW_MS)
    guess(client, 1)
    assert not [row for row in LoginFailure.select() if "another" in row.key]


@pytest.mark.slow
def test_of_many_guesses_at_once_no_more_are_checked_than_one_after_another(tmp_path):
    server = Server(tmp_path, HEADRACE_THREADS="32").start()
    try:
        start = threading.Barrier(60, timeout=PATIENCE)

        def one(number):
            start.wait(60)
            body = {"email": SERVER_EMAIL, "password": f"guess number {number}"}
            return server.request("POST", "/api/auth/login", body)[0]

        with ThreadPoolExecutor(60) as pool:
            statuses = list(pool.map(one, range(60), timeout=PATIENCE))
        assert statuses.count(401) == PAIR and statuses.count(429) == 60 - PAIR
    finally:
        server.close()


# The idle end


def newest_session():
    return Session.select().order_by(Session.id.desc()).get()


def test_an_unused_session_ends(owner):
    with write():
        Session.update(idle_at=now_ms() - 1).execute()
    assert owner.get("/api/flows").status_code == 401 and not list(sessions.of(owner.user))
    assert Session.prune() == 1


def test_a_login_lasts_idle_for_as_long_as_the_setting_says(client, server):
    client.post("/api/auth/login", LOGIN)
    row = newest_session()
    days = server.config.session_idle_days
    assert days * 86_400_000 - 60_000 < row.idle_at - row.created_at <= days * 86_400_000 < row.expires_at


def test_the_use_of_a_session_puts_its_idle_end_off_and_is_written_once_an_hour(client, server):
    client.post("/api/auth/login", LOGIN)
    row = newest_session()
    assert sessions.extend(row, server.config.session_idle_days) is None
    with write():
        Session.update(idle_at=row.idle_at - 3_700_000).execute()
    assert client.get("/api/flows").status_code == 200
    server.recorder.commit([])  # after what is queued
    again = newest_session()
    assert again.idle_at >= row.idle_at and sessions.extend(again, server.config.session_idle_days) is None


def test_no_session_outlasts_its_days_by_being_used(owner):
    row = Session.get()
    with write():
        Session.update(expires_at=now_ms() + 1_000, idle_at=now_ms() + 1_000).execute()
    row = Session.get()
    assert (
        sessions.extend(row, 7) is None
        and sessions.start(owner.user, owner.workspace.id, 1, 7)[0].idle_at <= now_ms() + DAY_MS
    )


def test_without_an_idle_end_a_session_lasts_its_days(owner):
    row, _ = sessions.start(owner.user, owner.workspace.id, 30, 0)
    assert row.idle_at == row.expires_at


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


@pytest.mark.parametrize(
    ("page", "seen", "status"),
    [
        ("http://headrace.example", "https://headrace.example", 403),
        ("https://headrace.example", "https://headrace.example", 201),
        ("https://headrace.example:443", "https://headrace.example", 201),
        ("https://HEADRACE.example", "https://headrace.example", 201),
        ("https://headrace.example", "http://headrace.example", 201),
        ("https://headrace.example:8443", "http://headrace.example:8443", 201),
        ("https://headrace.example:8443", "http://headrace.example", 403),
        ("http://headrace.example:8000", "http://headrace.example:8001", 403),
        ("http://[::1", "http://headrace.example", 403),
        ("ftp://headrace.example", "http://headrace.example", 403),
    ],
)
def test_a_page_is_ours_by_its_scheme_host_and_port(app, owner, page, seen, status):
    client = app.test_client()
    _, token = sessions.start(owner.user, owner.workspace.id, days=1)
    for name in ("headrace_session", "__Host-headrace_session"):
        client.set_cookie(name, token, domain="headrace.example")
    assert client.post("/api/flows", {"name": "A"}, base_url=seen, headers={"Origin": page}).status_code == status


def test_a_page_by_http_of_a_server_whose_public_address_is_https_is_not_ours(public, client):
    for seen in SEEN:
        given = {"Origin": "http://headrace.example"}
        assert client.post("/api/auth/login", LOGIN, headers=given, **seen).status_code == 403


def test_another_sites_page_cannot_log_in(client):
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


def test_the_session_has_the_user_the_workspace_and_the_role(member):
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


def test_a_login_begins_in_the_workspace_that_the_user_was_in_last(owner, client):
    # Founded before the one that they use.
    old, used = (workspaces.found(name, owner.user).id for name in ("Old", "Used"))
    assert owner.workspace.id < old < used
    assert client.post("/api/auth/login", LOGIN).json["session"]["workspace_id"] == owner.workspace.id
    client.patch("/api/auth/session", {"workspace_id": used})
    assert client.post("/api/auth/login", LOGIN).json["session"]["workspace_id"] == used


def test_a_login_never_begins_in_a_workspace_that_others_put_the_user_into(add_member, other, client):
    # The stranger's workspace is older than the one that the user was invited into and is in.
    user = add_member("viewer", other.workspace, "new@example.org")
    theirs = workspaces.found("Theirs", other.user)
    workspaces.join(theirs.id, user, "viewer")
    users.change(user, last_workspace_id=theirs.id)
    answer = client.post("/api/auth/login", {**LOGIN, "email": "new@example.org"})
    assert answer.json["session"]["workspace_id"] == theirs.id
    workspaces.leave(Membership.get(workspace_id=theirs.id, user_id=user.id))
    answer = client.post("/api/auth/login", {**LOGIN, "email": "new@example.org"})
    assert answer.json["session"]["workspace_id"] == other.workspace.id


def test_a_request_of_a_page_is_refused_if_another_user_has_logged_in_since(owner, other):
    workspaces.join(owner.workspace.id, other.user, "owner")
    flow = owner.post("/api/flows", {"name": "Mine"}).json
    for method, path, body in (
        ("put", f"/api/workflows/{flow['id']}", {"name": "Yours"}),
        ("get", "/api/flows", None),
        ("delete", "/api/auth/session", None),
    ):
        answer = getattr(other, method)(path, *([] if body is None else [body]), headers={"X-User-Id": owner.user.id})
        assert answer.status_code == 403 and "A different user has logged in" in answer.json["error"]
    assert owner.get(f"/api/workflows/{flow['id']}", headers={"X-User-Id": owner.user.id}).json["name"] == "Mine"
    assert other.get("/api/auth/session").status_code == 200


def test_a_role_counts_only_in_its_own_workspace(owner, other):
    workspaces.join(owner.workspace.id, other.user, "viewer")
    here = {"X-Workspace-Id": owner.workspace.id}
    assert other.get("/api/flows", headers=here).status_code == 200
    assert other.post("/api/flows", {"name": "A"}, headers=here).status_code == 403
    assert other.post("/api/flows", {"name": "A"}).status_code == 201


def test_only_the_first_owner_is_asked_for(client):
    assert [user.email for user in User.select()] == ["owner@example.org"]


# The user's own profile: name, address, password, sessions, workspace, and the first set-up


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
