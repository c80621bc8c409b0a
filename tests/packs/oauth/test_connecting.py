"""Connecting an account over the API, against a real authorization server."""

import json
from dataclasses import replace
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from apps import logged_in
from authorization_server import authorization_server

from models import AuditEntry, LogEntry, OAuthAttempt, OAuthGrant, Session
from security.vault import GRANTS

CALLBACK = "/api/oauth/callback"
FLOW = {
    "nodes": [
        {"id": "start", "type": "manual"},
        {"id": "me", "type": "http", "config": {"url": "", "credential": "account"}},
    ],
    "edges": [{"from": "start", "to": "me"}],
}


@pytest.fixture
def client(app):
    """Somebody who is not logged in, as in tests/conftest.py, and not the client of nodes."""
    return app.test_client()


@pytest.fixture
def config(config):
    return replace(config, egress_allow=("127.0.0.1",))


def add_services(there):
    """Add a service that accepts no token, and one that speaks GraphQL."""
    there.app.add_url_rule("/api/never", "never", lambda: ("no", 401))
    view = there.needs_token(lambda scopes: {"data": {"scopes": scopes}})
    there.app.add_url_rule("/api/graphql", "graphql", view, methods=["POST"])


@pytest.fixture
def there():
    with authorization_server(add_services) as there:
        yield there


@pytest.fixture
def account(owner, there):
    return make_account(owner, there)


def make_account(owner, there, name="account", **values):
    body = {"name": name, "type": "oauth2", "data": there.credential(**values), "hosts": ["127.0.0.1"]}
    answer = owner.post("/api/credentials", body)
    assert answer.status_code == 201, answer.text
    return answer.json


def begin(client, account):
    answer = client.post(f"/api/credentials/{account['id']}/connect")
    assert answer.status_code == 200, answer.text
    return answer.json["authorization_url"]


def receive(client, location):
    """Open the address that the service sends the person to."""
    parts = urlsplit(location)
    assert parts.path == CALLBACK
    return client.get(f"{parts.path}?{parts.query}")


def connect(client, account, there):
    answer = receive(client, there.consent(begin(client, account)))
    assert answer.status_code == 200 and "is connected" in answer.text, answer.text
    return answer


def connection_of(client, account):
    return client.get(f"/api/credentials/{account['id']}").json["connection"]


def run_flow(client, make_flow, there, **config):
    flow = json.loads(json.dumps(FLOW))
    flow["nodes"][1]["config"] |= {"url": f"{there.url}/api/me", **config}
    made = make_flow(flow)
    return client.post(f"/api/workflows/{made['id']}/run", {"input": None}).json


def state_of(location):
    return parse_qs(urlsplit(location).query)["state"][0]


def fails(answer, status, text):
    """Check that this page says that nothing was connected, and why."""
    assert answer.status_code == status and text in answer.text, answer.text
    assert 'data-status="failed"' in answer.text and "The account was not connected" in answer.text


def test_an_account_is_connected_and_used(owner, account, there, make_flow):
    assert connection_of(owner, account)["status"] == "not_connected"
    answer = connect(owner, account, there)
    assert f'data-status="ok" data-credential="{account["id"]}"' in answer.text
    shown = connection_of(owner, account)
    assert (shown["status"], shown["scopes"], shown["expires_at"]) == ("connected", ["read"], None)
    assert shown["connected_at"] and shown["provider"] == "custom" and shown["reason"] is None
    run = run_flow(owner, make_flow, there)
    assert run["status"] == "success" and run["output"]["body"] == {"name": "Zoë", "scopes": ["read"]}


def test_the_request_for_consent_has_a_challenge_and_the_redirect_address(owner, account, there):
    asked = parse_qs(urlsplit(begin(owner, account)).query)
    assert asked["code_challenge_method"] == ["S256"] and len(asked["code_challenge"][0]) == 43
    assert asked["redirect_uri"] == ["http://localhost/api/oauth/callback"] and asked["response_type"] == ["code"]
    assert len(asked["state"][0]) >= 43 and "client_secret" not in asked


def test_extra_parameters_and_the_separator_of_scopes_are_sent(owner, there):
    account = make_account(
        owner, there, scope="a b", separator="comma", parameters="access_type=offline&prompt=consent"
    )
    asked = parse_qs(urlsplit(begin(owner, account)).query)
    assert (asked["scope"], asked["access_type"], asked["prompt"]) == (["a,b"], ["offline"], ["consent"])


def test_no_secret_is_in_an_answer_the_audit_log_or_the_server_s_tables(owner, account, there, caplog, make_flow):
    caplog.set_level("DEBUG", "headrace")  # the authorization server logs its tokens
    page = connect(owner, account, there)
    run = run_flow(owner, make_flow, there)
    audit = owner.get("/api/audit").json["items"]
    assert [entry["action"] for entry in audit if entry["target_id"] == account["id"]][0] == "credential.connected"
    (token,) = there.tokens
    (grant,) = OAuthGrant.each("1 = 1", ())
    seen = [page.text, str(page.headers), json.dumps(audit), json.dumps(run), caplog.text, json.dumps(grant.__data__)]
    seen += [owner.get("/api/credentials").text, owner.get("/api/logs").text]
    for secret in (token.values["access_token"], token.values["refresh_token"]):
        assert not [text for text in seen if secret in text]


# Refused answers


def test_a_wrong_or_missing_state_changes_nothing(owner, account, there):
    location = there.consent(begin(owner, account))
    for wrong in (location.replace(state_of(location), "wrong"), location.partition("?")[0]):
        fails(receive(owner, wrong), 400, "belongs to no connection that was begun here")
    assert connection_of(owner, account)["status"] == "not_connected" and not there.asked


def test_an_answer_is_used_once(owner, account, there):
    location = there.consent(begin(owner, account))
    assert receive(owner, location).status_code == 200
    version = OAuthGrant.find(account["id"]).version
    fails(receive(owner, location), 409, "was used already")
    assert OAuthGrant.find(account["id"]).version == version and len(there.asked) == 1


def test_a_code_that_was_used_elsewhere_connects_nothing(owner, account, there):
    location = there.consent(begin(owner, account))
    there.codes.clear()
    fails(receive(owner, location), 502, "invalid_grant")
    assert connection_of(owner, account)["status"] == "not_connected"


def test_another_session_or_user_cannot_take_the_answer(app, owner, member, account, there):
    location = there.consent(begin(owner, account))
    for stranger in (member("editor"), logged_in(app, owner.user, owner.workspace)):
        fails(receive(stranger, location), 403, "begun in another session")
    assert not there.asked
    assert receive(owner, location).status_code == 200  # and the attempt is not spoiled


def test_somebody_who_is_not_logged_in_learns_where_to_log_in(client, owner, account, there):
    fails(receive(client, there.consent(begin(owner, account))), 400, "You are not logged in here. Open Headrace at")
    assert not there.asked


def test_who_is_no_editor_any_more_connects_nothing(member, owner, account, there):
    editor = member("editor")
    location = there.consent(begin(editor, account))
    owner.patch("/api/members", {"user_id": editor.user.id, "role": "viewer"})
    fails(receive(editor, location), 403, "needs the role editor")


def test_an_answer_comes_too_late(owner, account, there):
    location = there.consent(begin(owner, account))
    OAuthAttempt.update(expires_at=1).execute()
    fails(receive(owner, location), 409, "more than ten minutes ago")
    assert OAuthAttempt.prune() == 1 and not there.asked


def test_consent_that_was_denied_leaves_the_former_connection(owner, account, there, make_flow):
    connect(owner, account, there)
    before = OAuthGrant.find(account["id"]).version
    answer = receive(owner, there.consent(begin(owner, account), "deny"))
    fails(answer, 400, "Access was not granted, so nothing was changed")
    assert "&lt;b&gt;no&lt;/b&gt;" in answer.text and "<b>" not in answer.text
    assert OAuthGrant.find(account["id"]).version == before
    assert run_flow(owner, make_flow, there)["status"] == "success"


def test_what_a_service_says_is_shown_bounded(owner, account, there):
    state = state_of(begin(owner, account))
    more = urlencode({"state": state, "error": "x" * 5000, "error_description": "\u202e" + "y" * 5000})
    answer = owner.get(f"{CALLBACK}?{more}")
    fails(answer, 400, "The service refused the connection")
    assert "x" * 301 not in answer.text and "y" * 301 not in answer.text and "\u202e" not in answer.text


def test_a_mix_up_of_services_is_refused(owner, account, there):
    there.names_issuer, there.issuer = True, "https://evil.example"
    fails(receive(owner, there.consent(begin(owner, account))), 400, "came from another service")
    assert not there.asked
    there.issuer = None
    connect(owner, account, there)


def test_a_known_issuer_is_compared_exactly(owner, there):
    there.names_issuer = True
    account = make_account(owner, there, issuer=f"{there.url}/realm")
    fails(receive(owner, there.consent(begin(owner, account))), 400, "came from another service")
    there.issuer = f"{there.url}/realm"
    connect(owner, account, there)


def test_an_answer_without_an_issuer_is_refused_if_the_credential_has_one(owner, there):
    account = make_account(owner, there, issuer=there.url)
    fails(receive(owner, there.consent(begin(owner, account))), 400, "Remove the issuer from the credential")
    assert connection_of(owner, account)["status"] == "not_connected" and not there.asked
    denied = urlencode({"state": state_of(begin(owner, account)), "error": "access_denied"})
    fails(owner.get(f"{CALLBACK}?{denied}"), 400, "Access was not granted")
    there.names_issuer = True
    connect(owner, account, there)


def test_a_service_of_the_list_need_not_name_its_issuer(owner, there):
    connect(owner, make_account(owner, there, provider="google"), there)


def test_a_credential_that_was_changed_meanwhile_is_not_connected(owner, account, there):
    location = there.consent(begin(owner, account))
    data = there.credential(client_id="another")
    assert owner.put(f"/api/credentials/{account['id']}", {"data": data}).status_code == 200
    fails(receive(owner, location), 400, "belongs to no connection")  # its attempts went with the change
    assert connection_of(owner, account)["status"] == "not_connected" and not there.asked


def test_a_server_that_is_down_or_refuses_the_client_connects_nothing(owner, account, there):
    there.fail(503, {"Retry-After": "7"})
    fails(receive(owner, there.consent(begin(owner, account))), 502, "answered 503")
    wrong = make_account(owner, there, "wrong", client_secret="not-the-secret")
    fails(receive(owner, there.consent(begin(owner, wrong))), 502, "invalid_client")
    assert connection_of(owner, account)["status"] == "not_connected"


# Who may connect, and from where


def test_who_may_connect(owner, member, token_client, other, account):
    path = f"/api/credentials/{account['id']}/connect"
    assert member("operator").post(path).status_code == 403 and other.post(path).status_code == 403
    assert token_client("owner").post(path).status_code == 403  # there is no browser to send anywhere


def test_other_types_need_no_connection(owner):
    body = {"name": "s", "type": "secret", "data": {"value": "hunter2"}}
    made = owner.post("/api/credentials", body).json
    answer = owner.post(f"/api/credentials/{made['id']}/connect")
    assert answer.status_code == 400 and "needs no connection" in answer.text and made["connection"] is None


@pytest.mark.parametrize(
    ("public", "host", "found"),
    [
        ("", "127.0.0.1:8000", "http://127.0.0.1:8000/api/oauth/callback"),
        ("", "[::1]:8000", "http://[::1]:8000/api/oauth/callback"),
        ("https://flows.example.com", "127.0.0.1:8000", "https://flows.example.com/api/oauth/callback"),
        ("", "flows.example.com", None),
    ],
)
def test_the_redirect_address(server, token_client, monkeypatch, public, host, found):
    monkeypatch.setattr(server, "config", replace(server.config, public_url=public))
    listed = token_client("viewer").get("/api/oauth-providers", base_url=f"http://{host}").json
    assert listed["redirect_url"] == found
    assert (found is None) == ("Set HEADRACE_PUBLIC_URL" in str(listed["redirect_problem"]))


# The end of a connection


def test_disconnecting_deletes_and_revokes(owner, account, there, make_flow):
    connect(owner, account, there)
    answer = owner.post(f"/api/credentials/{account['id']}/disconnect")
    assert answer.status_code == 204 and there.revocations == 1
    assert connection_of(owner, account)["status"] == "not_connected" and OAuthGrant.find(account["id"]) is None
    assert AuditEntry.one("action = ?", "credential.disconnected").target_id == account["id"]
    run = run_flow(owner, make_flow, there)
    assert run["error_kind"] == "credential" and "is not connected: connect the account" in run["error_text"]
    assert owner.post(f"/api/credentials/{account['id']}/disconnect").status_code == 409


def test_disconnecting_does_not_depend_on_the_service(owner, there):
    account = make_account(owner, there, revocation_url="http://127.0.0.1:1/revoke")
    connect(owner, account, there)
    assert owner.post(f"/api/credentials/{account['id']}/disconnect").status_code == 204
    assert OAuthGrant.find(account["id"]) is None


def test_deleting_a_credential_deletes_and_revokes_its_grant(owner, account, there):
    connect(owner, account, there)
    assert owner.delete(f"/api/credentials/{account['id']}").status_code == 204
    assert OAuthGrant.find(account["id"]) is None and there.revocations == 1


def test_a_new_name_or_secret_keeps_the_connection_and_another_client_ends_it(owner, account, there):
    connect(owner, account, there)
    path = f"/api/credentials/{account['id']}"
    for body in ({"name": "renamed"}, {"data": there.credential(client_secret="new", scope="read write")}):
        assert owner.put(path, body).status_code == 200
        assert connection_of(owner, account)["status"] == "connected"
    assert owner.put(path, {"data": there.credential(token_url=f"{there.url}/robot")}).status_code == 200
    assert connection_of(owner, account)["status"] == "not_connected"


def test_a_revoked_grant_is_told_once_and_connected_again(owner, account, there, make_flow):
    connect(owner, account, there)
    there.revoke_all()
    make_flow(
        {
            **FLOW,
            "nodes": [FLOW["nodes"][0], {**FLOW["nodes"][1], "config": {"url": there.url, "credential": "account"}}],
        }
    )
    for _ in range(2):
        run = run_flow(owner, make_flow, there)
        assert run["status"] == "failed" and run["error_kind"] == "credential"
        assert "connect the account again" in run["error_text"]
    assert there.refreshes == 1
    shown = connection_of(owner, account)
    assert shown["status"] == "revoked" and "invalid_grant" in shown["reason"]
    (entry,) = LogEntry.each("message LIKE 'The credential%not connected any more%'", ())
    assert "It is used by 'Echo'" in entry.message and "Connect it again" in entry.message and entry.level == "error"
    connect(owner, account, there)
    assert connection_of(owner, account)["status"] == "connected"
    assert run_flow(owner, make_flow, there)["status"] == "success"


def test_a_flow_that_names_a_revoked_account_has_a_warning(owner, account, there, make_flow):
    connect(owner, account, there)
    OAuthGrant.update(status="revoked").execute()
    definition = {
        **FLOW,
        "nodes": [FLOW["nodes"][0], {**FLOW["nodes"][1], "config": {"url": there.url, "credential": "account"}}],
    }
    (warning,) = make_flow(definition)["warnings"]
    assert "not connected any more" in warning["message"] and warning["node_id"] == "me"


def mail_flow(owner, make_flow, **values):
    """Make a flow with a mailbox that logs in with the tokens of the account."""
    data = {"host": "127.0.0.1", "username": "zoe", "token_from": "account"}
    assert owner.post("/api/credentials", {"name": "box", "type": "imap", "data": data}).status_code == 201
    trigger = {"id": "new", "type": "email_trigger", "config": {"credential": "box"}}
    return make_flow({"nodes": [trigger], "edges": []}, name="Mails", **values)


def test_flows_whose_mail_server_logs_in_with_an_account_use_it(owner, account, there, make_flow):
    connect(owner, account, there)
    path = f"/api/credentials/{account['id']}"
    made = mail_flow(owner, make_flow, status="active")
    assert "warnings" not in made
    shown = owner.get(path).json
    assert [(user["type"], user["name"]) for user in shown["used_by"]] == [("flow", "Mails"), ("credential", "box")]
    assert shown["used_by_count"] == 2
    (listed,) = (one for one in owner.get("/api/credentials?used_by=true").json["items"] if one["id"] == account["id"])
    assert listed == shown
    for answer in (owner.delete(path), owner.put(path, {"name": "other"})):
        assert answer.status_code == 409 and "'Mails' uses this credential through 'box'" in answer.text, answer.text
    owner.put(f"/api/workflows/{made['id']}", {"status": "draft"})
    assert owner.delete(path).status_code == 204


def test_flows_whose_mail_server_logs_in_with_a_revoked_account_are_told(server, owner, account, there, make_flow):
    connect(owner, account, there)
    mail_flow(owner, make_flow)
    there.revoke_all()
    run_flow(owner, make_flow, there)
    (entry,) = LogEntry.each("message LIKE 'The credential%not connected any more%'", ())
    assert "It is used by 'Echo', 'Mails', 'box'" in entry.message
    trigger = {"id": "new", "type": "email_trigger", "config": {"credential": "box"}}
    (warning,) = make_flow({"nodes": [trigger], "edges": []}, name="Again")["warnings"]
    assert (
        warning["path"] == "nodes[0].config.credential"
        and "account not connected any more: connect 'account' again" in warning["message"]
    )


# The parts of answers that are kept


def test_parts_of_answers_are_kept_and_the_account_s_own_host_may_be_called(server, owner, account, there):
    location = there.consent(begin(owner, account)) + "&realmId=42"
    assert receive(owner, location).status_code == 200
    assert connection_of(owner, account)["details"] == {"realmId": "42"}
    found = server.credentials.find(owner.workspace.id, "account")
    assert found.details == {"realmId": "42"} and found.hosts == ("127.0.0.1",)


def test_a_grant_is_sealed_for_its_purpose(server, owner, account, there):
    connect(owner, account, there)
    row = OAuthGrant.find(account["id"])
    assert json.loads(server.vault.decrypt(row.tokens.encode(), GRANTS))["refresh_token"]
    with pytest.raises(Exception, match="not encrypted"):
        server.vault.decrypt(row.tokens.encode())


def test_the_end_of_access_that_nothing_renews_is_shown(owner, account, there):
    there.gives_refresh_token = False
    connect(owner, account, there)
    assert connection_of(owner, account)["expires_at"] is not None


def test_a_session_that_ended_takes_no_answer(owner, account, there):
    location = there.consent(begin(owner, account))
    Session.delete().execute()
    assert receive(owner, location).status_code == 400 and not there.asked


# Tokens that the service rejects


def test_a_rejected_token_is_renewed_once_and_the_request_repeated(owner, account, there, make_flow):
    connect(owner, account, there)
    there.reject_access()
    assert run_flow(owner, make_flow, there)["output"]["body"]["name"] == "Zoë" and there.refreshes == 1


def test_a_token_that_was_just_renewed_is_renewed_again_once_it_is_rejected(owner, account, there, make_flow):
    connect(owner, account, there)
    OAuthGrant.update(refresh_at=0).execute()
    assert run_flow(owner, make_flow, there)["status"] == "success" and there.refreshes == 1
    for refreshes in (2, 3):
        there.reject_access()
        assert run_flow(owner, make_flow, there)["status"] == "success" and there.refreshes == refreshes
    assert connection_of(owner, account)["status"] == "connected"


def test_an_account_that_was_revoked_right_after_a_renewal_is_not_connected(owner, account, there, make_flow):
    connect(owner, account, there)
    OAuthGrant.update(refresh_at=0).execute()
    assert run_flow(owner, make_flow, there)["status"] == "success" and there.refreshes == 1
    there.revoke_all()
    run = run_flow(owner, make_flow, there)
    assert run["status"] == "failed" and run["error_kind"] == "credential" and there.refreshes == 2
    shown = connection_of(owner, account)
    assert shown["status"] == "revoked" and "invalid_grant" in shown["reason"]


def test_a_service_that_rejects_every_token_is_not_asked_for_more_and_more(owner, account, there, make_flow):
    connect(owner, account, there)
    for _ in range(3):
        run = run_flow(owner, make_flow, there, url=f"{there.url}/api/never")
        assert run["status"] == "failed" and run["error_kind"] == "credential"
    assert there.refreshes == 1
    assert connection_of(owner, account)["status"] == "connected"  # the token may be right, and a permission missing


def test_a_token_without_end_that_is_rejected_is_not_renewed(owner, account, there, make_flow):
    there.gives_refresh_token = False
    connect(owner, account, there)
    there.reject_access()
    run = run_flow(owner, make_flow, there)
    assert run["error_kind"] == "credential" and "answered 401" in run["error_text"] and not there.refreshes


def test_graphql_sends_the_token_of_an_account(owner, account, there, make_flow):
    connect(owner, account, there)
    config = {"url": f"{there.url}/api/graphql", "query": "{ scopes }", "credential": "account"}
    flow = {
        "nodes": [FLOW["nodes"][0], {"id": "ask", "type": "graphql", "config": config}],
        "edges": [["start", "ask"]],
    }
    made = make_flow(flow)
    run = owner.post(f"/api/workflows/{made['id']}/run", {"input": None}).json
    assert run["status"] == "success" and run["output"] == {"scopes": ["read"]}, run
