"""Tests of credentials before their use, and warnings about the credentials that flows name."""

import threading
from dataclasses import replace

import pytest
from world import Background, at_once

from database import execute, write
from database.queries import credentials
from database.queries.audit import NewAuditEntry
from errors import NodeError, Unavailable
from models import Credential
from nodes.credentials.types import CHECKS, TYPES
from security.vault import Vault

SECRET = "hunter2hunter2"
BEARER = {"type": "http_bearer", "data": {"token": SECRET}}
KEY = {"type": "secret", "data": {"value": SECRET}}
PEM = "-----BEGIN %s-----\nAAAA\n"


@pytest.fixture
def api(httpserver):
    """A service that checks the bearer token and echoes the request."""
    httpserver.expect_request("/me", headers={"Authorization": f"Bearer {SECRET}"}).respond_with_data(SECRET)
    httpserver.expect_request("/me").respond_with_data("no", status=401)
    return httpserver.url_for("/me")


@pytest.fixture
def check(monkeypatch):
    """Replace the check of the type http_bearer; the default one uses HTTP."""

    def get(credential, ctx, asked):
        url = asked.get("url")
        if url is None:
            raise NodeError("url: is required to test this", permanent=True)
        credential.check_host("localhost")
        authorization = f"Bearer {credential.data['token']}"
        http, seconds = ctx.need_services().http(), ctx.seconds_left(15)
        answer = http.fetch("GET", url, seconds=seconds, headers=[("Authorization", authorization)])
        if answer.status != 200:
            raise NodeError(f"answered {answer.status} to {authorization}")
        return f"logged in, and was told {answer.content.decode()}"

    def register(function):
        monkeypatch.setitem(CHECKS, "http_bearer", function)

    register(get)
    return register


@pytest.fixture
def config(config):
    """Settings that allow the service on this machine."""
    return replace(config, egress_allow=("localhost", "127.0.0.0/8"))


@pytest.fixture
def keep(owner):
    """`keep(**more)` saves a credential and returns the path of its test."""

    def make(**more):
        answer = owner.post("/api/credentials", {"name": "shop", **BEARER, **more})
        assert answer.status_code == 201, answer.text
        return f"/api/credentials/{answer.json['id']}/test"

    return make


def tried(answer):
    """Return status and message, and check that the response does not contain the value."""
    assert answer.status_code == 200 and SECRET not in answer.text, answer.text
    assert set(answer.json) == {"ok", "status", "message", "duration_ms"} and answer.json["duration_ms"] >= 0
    assert answer.json["ok"] == (answer.json["status"] == "ok")
    return answer.json["ok"], answer.json["message"]


# One that is kept


def test_a_credential_that_works_is_ok_and_its_value_is_in_no_answer(owner, keep, check, api):
    path = keep(hosts=["localhost"])
    assert tried(owner.post(path, {"url": api})) == (True, "logged in, and was told ***")


def test_a_wrong_credential_is_not_ok_and_the_message_has_the_reason(owner, keep, check, api, httpserver):
    path = keep(data={"token": "another token"}, hosts=["localhost"])
    assert tried(owner.post(path, {"url": api})) == (False, "answered 401 to Bearer ***")


def test_one_is_not_sent_to_hosts_that_it_is_not_bound_to(owner, keep, check, api, httpserver):
    ok, message = tried(owner.post(keep(hosts=["api.example.com"]), {"url": api}))
    assert not ok and "may not be sent to localhost" in message and not httpserver.log


def test_a_target_that_is_not_allowed_is_not_reached(owner, keep, check):
    ok, message = tried(owner.post(keep(hosts=["localhost"]), {"url": "http://169.254.169.254/latest"}))
    assert not ok and "169.254.169.254" in message


def test_missing_options_of_the_check_are_errors(owner, keep, check):
    assert tried(owner.post(keep())) == (False, "url: is required to test this")


def test_the_check_gets_whatever_else_the_caller_says(owner, keep, check):
    check(lambda credential, ctx, asked: f"asked: {sorted(asked.items())}")
    assert tried(owner.post(keep(), {"send": True, "folder": "x"})) == (
        True,
        "asked: [('folder', 'x'), ('send', True)]",
    )


@pytest.mark.parametrize("body", [{"url": 5}, {"url": ""}, {"send": "perhaps"}, ["url"]])
def test_a_body_that_cannot_be_is_400(owner, keep, check, body):
    assert owner.post(keep(), body).status_code == 400


def test_an_unexpected_error_of_a_check_is_reported_and_its_log_has_no_value(owner, keep, check, caplog):
    def fail(credential, ctx, asked):
        raise RuntimeError(f"cannot parse {credential.data['token']}")

    check(fail)
    ok, message = tried(owner.post(keep()))
    assert not ok and "error in Headrace" in message
    assert "RuntimeError: cannot parse ***" in caplog.text and SECRET not in caplog.text


def test_a_check_has_files_a_network_and_a_deadline(owner, keep, check):
    seen = []

    def look(credential, ctx, asked):
        seen.append(ctx)
        ctx.need_files().write("seen.txt", b"x")
        return f"{ctx.seconds_left(100):.0f} seconds"

    check(look)
    assert tried(owner.post(keep())) == (True, "15 seconds")
    assert seen[0].need_services().egress is not None


ASKED_NOBODY = [
    (KEY, "no server"),
    ({"type": "hmac", "data": {"secret": SECRET, "style": "github"}}, "no server"),
    ({"type": "jwt", "data": {"algorithm": "HS256", "secret": SECRET * 4}}, "no server"),
    ({"type": "http_bearer", "data": {"token": SECRET}}, "Enter a URL"),
    ({"type": "http_header", "data": {"name": "X-Key", "value": SECRET}}, "Enter a URL"),
    ({"type": "http_basic", "data": {"username": "ada", "password": SECRET}}, "Enter a URL"),
    ({"type": "http_headers", "data": {"headers": {"X-Key": SECRET}}}, "Enter a URL"),
    ({"type": "http_query", "data": {"parameters": {"key": SECRET}}}, "Enter a URL"),
    ({"type": "http_digest", "data": {"username": "ada", "password": SECRET}}, "Enter a URL"),
    ({"type": "oauth1", "data": {"consumer_key": "app", "consumer_secret": SECRET}}, "Enter a URL"),
    ({"type": "aws", "data": {"access_key": "AKID", "secret_key": SECRET}}, "Enter a URL"),
    ({"type": "mtls", "data": {"certificate": PEM % "CERTIFICATE", "private_key": PEM % "PRIVATE KEY"}}, "Enter a URL"),
    ({"type": "service_url", "data": {"url": f"json://example.com/{SECRET}"}}, "test message"),
    ({"type": "database_url", "data": {"url": "sqlite:///new.db"}}, "new.db does not exist yet"),
]


# Without those of packs that are off.
ASKED_NOBODY = [one for one in ASKED_NOBODY if one[0]["type"] in TYPES]


@pytest.mark.parametrize(("made", "words"), ASKED_NOBODY, ids=[made["type"] for made, _ in ASKED_NOBODY])
def test_a_credential_whose_service_was_not_asked_is_untested_and_not_ok(owner, keep, made, words):
    for answer in (owner.post(keep(**made)), owner.post("/api/credentials/test", made)):
        ok, message = tried(answer)
        assert not ok and answer.json["status"] == "untested" and words in message


def test_every_type_asks_a_service_or_is_listed_as_untestable():
    accounts = {"oauth2", "oauth2_refresh_token", "google_service_account"}  # see tests/packs/oauth
    asks = accounts | {"oauth2_client_credentials", "smtp", "imap", "ssh", "s3", "mqtt", "mcp", "llm"}
    assert set(TYPES) - asks == {made["type"] for made, _ in ASKED_NOBODY}
    assert asks & set(TYPES) <= set(CHECKS)


@pytest.mark.pack("oauth")
def test_a_credential_that_is_not_saved_is_not_called_by_a_name(owner, httpserver):
    url = httpserver.url_for("/token")
    httpserver.expect_request("/token").respond_with_json({}, status=401)
    data = {"token_url": url, "client_id": "me", "client_secret": SECRET}
    body = {"type": "oauth2_client_credentials", "data": data, "hosts": ["localhost"]}
    ok, message = tried(owner.post("/api/credentials/test", body))
    assert not ok and "this credential got no token" in message and "this one" not in message
    ok, message = tried(owner.post("/api/credentials/test", {**BEARER, "url": "https://api.example.com/me"}))
    assert not ok and message.startswith("this credential may not be sent to api.example.com")


def test_one_that_this_key_does_not_open_is_not_ok(owner, keep, server):
    path = keep(**KEY)
    row = Credential.get()
    sealed = Vault(b"another key altogether", "test").seal({"value": SECRET})
    credentials.change(row, data=sealed)
    ok, message = tried(owner.post(path))
    assert not ok and "'shop' cannot be read" in message


def test_only_so_many_are_tested_at_once(owner, member, keep, check):
    reached, opened = threading.Semaphore(0), threading.Event()

    def hold(credential, ctx, asked):
        reached.release()
        assert opened.wait(20)
        return "held"

    check(hold)
    path = keep()
    held = [Background(member("editor").post, path) for _ in range(4)]
    for _ in held:
        assert reached.acquire(timeout=20)
    answer = owner.post(path)
    assert answer.status_code == 503 and int(answer.headers["Retry-After"]) > 0
    opened.set()
    assert [one.result().json["message"] for one in held] == ["held"] * 4
    assert tried(owner.post(path)) == (True, "held")


# One that is not


def test_values_are_tested_before_they_are_kept(owner, check, api):
    body = {**BEARER, "hosts": ["localhost"], "url": api}
    assert tried(owner.post("/api/credentials/test", body)) == (True, "logged in, and was told ***")
    assert Credential.select().count() == 0


@pytest.mark.pack("oauth")
def test_messages_about_unsaved_values_use_the_given_name(owner, httpserver):
    httpserver.expect_request("/token").respond_with_data("no", status=401)
    data = {"token_url": httpserver.url_for("/token"), "client_id": "me", "client_secret": SECRET}
    body = {"name": "Shop", "type": "oauth2_client_credentials", "data": data}
    assert tried(owner.post("/api/credentials/test", body))[1].startswith("the credential 'Shop' got no token")
    del body["name"]
    assert tried(owner.post("/api/credentials/test", body))[1].startswith("this credential got no token")


def test_the_types_say_whether_they_go_nowhere_until_hosts_are_named(owner):
    types = {one["type"]: one["needs_hosts"] for one in owner.get("/api/credential-types").json["items"]}
    needing = {
        "http_basic",
        "http_bearer",
        "http_header",
        "http_headers",
        "http_query",
        "http_digest",
        "jwt",
        "oauth1",
        "mtls",
    }
    assert {name for name, needs in types.items() if needs} == {*needing, "secret"}


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"type": "from_the_future", "data": {}}, "type"),
        ({"type": "http_bearer", "data": {"token": ""}}, "data.token"),
        ({"type": "http_bearer", "data": {"token": SECRET, "more": SECRET}}, "data.more"),
        ({"type": "http_bearer"}, "data"),
        ({**KEY, "hosts": ["*"]}, "hosts"),
    ],
)
def test_values_that_cannot_be_are_400_and_not_repeated(owner, body, path):
    answer = owner.post("/api/credentials/test", body)
    assert answer.status_code == 400 and path in answer.text and SECRET not in answer.text


# What is missing for it to be of use


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (BEARER, "who calls a webhook"),
        ({"type": "http_basic", "data": {"username": "ada", "password": SECRET}}, "who calls a webhook"),
        (KEY, "what stays in the flow"),
        pytest.param(
            {
                "type": "oauth2_client_credentials",
                "data": {"token_url": "https://a.example/t", "client_id": "me", "client_secret": SECRET},
            },
            "the token server alone",
            marks=pytest.mark.pack("oauth"),
        ),
    ],
)
def test_saving_one_that_no_host_may_have_warns(owner, made, words):
    saved = owner.post("/api/credentials", {"name": "a", **made}).json
    (warning,) = saved["warnings"]
    assert (warning["path"], warning["level"]) == ("hosts", "warning") and words in warning["message"]
    path = f"/api/credentials/{saved['id']}"
    assert owner.put(path, {"name": "b"}).json["warnings"] == [warning]
    assert "warnings" not in owner.put(path, {"hosts": ["api.example.com"], "data": made["data"]}).json
    assert "warnings" not in owner.get(path).json


def test_saving_one_whose_values_name_its_host_or_that_goes_nowhere_does_not_warn(owner):
    for made in (
        {"type": "aws", "data": {"access_key": "AKID", "secret_key": SECRET}},
        {"type": "hmac", "data": {"secret": SECRET, "style": "github"}},
    ):
        answer = owner.post("/api/credentials", {"name": made["type"], **made})
        assert answer.status_code == 201 and "warnings" not in answer.json


# The key


def test_no_credential_is_saved_under_an_old_key(owner, server, keep):
    path = keep().removesuffix("/test")
    before = Credential.get().data
    with write():
        execute("UPDATE server_facts SET value = 'of another key' WHERE name = 'key'")
    for answer in (
        owner.post("/api/credentials", {"name": "new", **KEY}),
        owner.put(path, {"data": {"token": "new"}}),
    ):
        assert answer.status_code == 503 and "restart the server" in answer.json["error"]
    assert [row.data for row in Credential.select()] == [before]
    entry = NewAuditEntry("credential.created", "ws_1")
    with pytest.raises(Unavailable):
        server.credentials.keep(entry, {"value": "x"}, name="x", type="secret", hosts=None)


# Flows that name credentials


def http(secret="key"):
    node = {"id": "get", "type": "http", "config": {"url": "https://a.example", "headers": {"X-Key": secret}}}
    return {"nodes": [node], "edges": []}


USING = http("{{ secrets.key }}")
WARNING = {
    "path": "nodes[0].config.headers",
    "message": "there is no credential 'key' in this workspace",
    "node_id": "get",
    "level": "warning",
}


def test_checking_a_flow_warns_of_credentials_that_are_missing(owner, member, other):
    body = {"definition": USING}
    checked = member("viewer").post("/api/workflows/validate", body).json
    assert (checked["ok"], checked["issues"]) == (True, [WARNING])
    other.post("/api/credentials", {"name": "key", **KEY})
    assert owner.post("/api/workflows/validate", body).json["issues"] == [WARNING]
    owner.post("/api/credentials", {"name": "key", **KEY})
    checked = owner.post("/api/workflows/validate", body).json
    assert (checked["ok"], checked["issues"]) == (True, [])


def test_one_of_a_wrong_type_is_a_warning_too(owner):
    owner.post("/api/credentials", {"name": "key", **KEY})
    node = {"id": "h", "type": "webhook", "config": {"path": "p", "auth": "basic", "credential": "key"}}
    answer = owner.post("/api/workflows/validate", {"definition": {"nodes": [node]}}).json
    assert answer["ok"] and "is of type secret; it must be http_basic" in answer["issues"][0]["message"]


def test_saving_and_activating_a_flow_warns_and_does_it(owner, make_flow):
    flow = make_flow(USING)
    assert flow["status"] == "draft" and flow["warnings"] == [WARNING]
    path = f"/api/workflows/{flow['id']}"
    for body in ({"status": "active"}, {"definition": USING}, {**flow, "name": "Other"}):
        answer = owner.put(path, body)
        assert answer.status_code == 200 and answer.json["warnings"] == [WARNING], answer.text
    assert owner.post(f"{path}/restore", {"version": 1}).json["warnings"] == [WARNING]
    assert "warnings" not in owner.get(path).json
    owner.post("/api/credentials", {"name": "key", **KEY})
    assert "warnings" not in owner.put(path, {"definition": USING}).json


def test_a_webhook_that_cannot_check_its_callers_is_still_refused(owner):
    node = {"id": "h", "type": "webhook", "config": {"path": "p", "auth": "basic", "credential": "key"}}
    body = {"name": "Hook", "definition": {"nodes": [node]}}
    assert owner.post("/api/flows", body).status_code == 201
    assert owner.post("/api/flows", {**body, "status": "active"}).status_code == 400


@pytest.mark.parametrize("name", ["key", 'k"ey', "clé", "k/y"])
def test_one_that_an_active_flow_names_is_neither_deleted_nor_renamed(owner, make_flow, name):
    id_ = owner.post("/api/credentials", {"name": name, **KEY}).json["id"]
    named = name.replace('"', '\\"')
    flow = make_flow(http('{{ secrets["' + named + '"] }}'), status="active", name="Orders")
    path = f"/api/credentials/{id_}"
    for answer in (owner.delete(path), owner.put(path, {"name": "other"})):
        assert answer.status_code == 409 and "The active flow 'Orders' uses" in answer.json["error"]
    assert owner.put(path, {"name": name, "data": {"value": "new"}}).status_code == 200
    owner.put(f"/api/workflows/{flow['id']}", {"status": "draft"})
    assert owner.put(path, {"name": "other"}).status_code == 200
    assert owner.delete(path).status_code == 204


def test_one_that_is_named_by_its_id_may_get_another_name(owner, make_flow):
    id_ = owner.post("/api/credentials", {"name": "key", **KEY}).json["id"]
    make_flow(http("{{ secrets." + id_ + " }}"), status="active")
    assert owner.put(f"/api/credentials/{id_}", {"name": "other"}).status_code == 200
    assert owner.delete(f"/api/credentials/{id_}").status_code == 409


def test_one_whose_name_an_active_flow_only_mentions_may_go(owner, make_flow, other):
    id_ = owner.post("/api/credentials", {"name": "key", **KEY}).json["id"]
    make_flow(http("the key is not secrets.key"), status="active")
    make_flow(USING, status="active", who=other)
    assert owner.delete(f"/api/credentials/{id_}").status_code == 204


def test_of_two_concurrent_credentials_with_one_name_one_is_refused(member):
    clients = [member("editor") for _ in range(2)]
    path = "/api/credentials"
    codes = at_once(2, lambda number: clients[number].post(path, {"name": "key", **KEY}).status_code)
    assert sorted(codes) == [201, 409]
