"""The specification of every error: `{"error": text}`, with `details` for errors of fields, on every path."""

import json

import pytest
from strict_answers import check_shape
from test_every_route import has_pack

from api.http.auth import allow_anyone
from database.queries import server_state, users
from errors import (
    BadInput,
    Conflict,
    Forbidden,
    HeadraceError,
    Issue,
    NotFound,
    NotJson,
    TooLarge,
    TooMany,
    Unauthenticated,
    Unavailable,
)
from security import login_throttle

pytestmark = pytest.mark.usefixtures("shared_server")

FORM = {"data": "name=x", "content_type": "application/x-www-form-urlencoded"}


def check_all(cases, check):
    """Call `check(*case)` with each case, and fail with all cases that it refuses."""
    wrong = []
    for case in cases:
        try:
            check(*case)
        except AssertionError as error:
            wrong.append(f"{case!r:.200}: {error!s:.500}")
    assert not wrong, "\n".join(wrong)


# Every error of ours, wherever it is raised

STATUSES = {
    BadInput: 400,
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    TooLarge: 413,
    NotJson: 415,
    TooMany: 429,
    HeadraceError: 500,
    Unavailable: 503,
}


def raising(app, monkeypatch, error):
    """Return a client of an app whose health check raises this error."""

    @allow_anyone
    def fail():
        raise error

    monkeypatch.setitem(app.view_functions, "metrics.check_health", fail)
    return app.test_client()


@pytest.mark.parametrize("kind", STATUSES)
def test_an_error_of_ours_answers_its_status_and_message(app, monkeypatch, kind):
    answer = raising(app, monkeypatch, kind("It is broken")).get("/api/health")
    assert check_shape(answer, STATUSES[kind]) == "It is broken"


def test_an_error_with_issues_lists_them_as_details(app, monkeypatch):
    error = BadInput("Two things", [Issue("limit", "is too large"), Issue("nodes[0].id", "is missing", "a")])
    answer = raising(app, monkeypatch, error).get("/api/health")
    check_shape(answer, 400)
    assert [(item["path"], item["message"]) for item in answer.json["details"]] == [
        ("limit", "is too large"),
        ("nodes[0].id", "is missing"),
    ]


def test_an_error_with_a_delay_sets_retry_after(app, monkeypatch):
    answer = raising(app, monkeypatch, Unavailable("Later", retry_after=7)).get("/api/health")
    check_shape(answer, 503)
    assert answer.headers["Retry-After"] == "7"


def test_an_unexpected_error_is_500_without_internal_details(app, monkeypatch, caplog):
    answer = raising(app, monkeypatch, ZeroDivisionError("the secret is 42")).get("/api/health")
    assert "secret" not in check_shape(answer, 500)
    assert "the secret is 42" in caplog.text


# 400


WITH_BODY = [
    ("POST", "/api/auth/login"),
    ("POST", "/api/flows"),
    ("PUT", "/api/workflows/{flow}"),
    ("POST", "/api/workflows/{flow}/run"),
    ("POST", "/api/workflows/{flow}/restore"),
    ("POST", "/api/workflows/validate"),
    ("POST", "/api/runs"),
    ("POST", "/api/logs"),
    ("POST", "/api/agent/run"),
    ("POST", "/api/agent/memory"),
    ("POST", "/api/templates/order-intake/use"),
    ("POST", "/api/workspaces"),
    ("POST", "/api/members"),
    ("PATCH", "/api/members"),
    ("POST", "/api/members/password"),
    ("DELETE", "/api/members"),
    ("POST", "/api/tokens"),
    ("POST", "/api/credentials"),
    ("PUT", "/api/credentials/{credential}"),
    ("POST", "/api/import/curl"),
    ("POST", "/api/import/openapi"),
]
WITH_BODY = [(method, path) for method, path in WITH_BODY if has_pack(f"{method} {path}")]


class TestEveryBody:
    @pytest.fixture
    def send(self, owner, flow, count_rows):
        """`send(method, path, data)` sends a body, which must change nothing."""
        made = {"name": "bearer", "type": "http_bearer", "data": {"token": "t"}}
        credential = owner.post("/api/credentials", made).json["id"]
        before = count_rows()

        def send(method, path, data, content_type="application/json"):
            path = path.format(flow=flow["id"], credential=credential)
            return owner.open(path, method=method, data=data, content_type=content_type)

        yield send
        assert count_rows() == before

    @pytest.mark.parametrize("data", [b"{", b'{"a":}', b"\xff", b'{"a": NaN}', b'{"a": "\\ud800"}', b"{} {}"])
    def test_that_is_malformed_is_400(self, send, data):
        def check(method, path):
            assert "is not JSON" in check_shape(send(method, path, data), 400)

        check_all(WITH_BODY, check)

    @pytest.mark.parametrize("data", [b"[]", b"null", b"1", b'"text"', b"true"])
    def test_that_is_no_object_is_400(self, send, data):
        def check(method, path):
            assert "object" in check_shape(send(method, path, data), 400)

        check_all(WITH_BODY, check)

    def test_with_a_field_that_is_not_known_is_400_and_names_it(self, send):
        def check(method, path):
            answer = send(method, path, b'{"no_such_field": 1}')
            assert "no_such_field" in check_shape(answer, 400)
            assert "no_such_field" in [detail["path"] for detail in answer.json["details"]]

        check_all(WITH_BODY, check)

    @pytest.mark.parametrize("depth", [101, 1_000, 100_000])
    def test_that_is_nested_too_deeply_is_400(self, send, depth):
        data = b'{"a": ' + b"[" * depth + b"]" * depth + b"}"
        check_all(WITH_BODY, lambda method, path: check_shape(send(method, path, data), 400))

    def test_that_is_a_form_is_415(self, send):
        def check(method, path):
            answer = send(method, path, b"name=x", "application/x-www-form-urlencoded")
            assert "application/json" in check_shape(answer, 415)

        check_all(WITH_BODY, check)

    @pytest.mark.parametrize("content_type", ["text/plain", "multipart/form-data; boundary=x", "", "application/jsonp"])
    def test_of_another_type_is_415(self, send, content_type):
        def check(method, path):
            check_shape(send(method, path, b'{"name": "x"}', content_type), 415)

        check_all(WITH_BODY, check)

    def test_that_is_too_large_is_413(self, app, send, monkeypatch):
        monkeypatch.setitem(app.config, "MAX_CONTENT_LENGTH", 1_000)
        check_all(WITH_BODY, lambda method, path: check_shape(send(method, path, b" " * 1_001), 413))


@pytest.mark.parametrize("path", ["/api/runs/{run}/cancel"])
@pytest.mark.parametrize(
    ("data", "content_type", "status"), [("{", "application/json", 400), ("a=1", FORM["content_type"], 415)]
)
def test_a_wrong_body_is_refused_where_none_is_needed_too(owner, run, path, data, content_type, status):
    answer = owner.post(path.format(run=run["id"]), data=data, content_type=content_type)
    check_shape(answer, status)


BAD_QUERIES = [
    ("/api/flows", "limit", ("0", "201", "-1", "x", "1.5", "9" * 30, "%00")),
    ("/api/runs", "limit", ("0", "201", "-1", "x")),
    ("/api/runs/{run}/steps", "limit", ("0", "201", "-1", "x")),
    ("/api/logs", "limit", ("0", "201", "-1", "x")),
    ("/api/logs/{run}", "limit", ("0", "1001", "-1", "x")),
    ("/api/agent/logs", "limit", ("0", "201", "-1", "x")),
    ("/api/agent/memory", "limit", ("0", "201", "-1", "x")),
    ("/api/workflows/{flow}/versions", "limit", ("0", "201", "-1", "x")),
    ("/api/flows", "cursor", ("x", "%00", "%C3%A9", "!!!!", "A" * 5_000)),
    ("/api/runs", "cursor", ("x", "%00")),
    ("/api/runs/{run}/steps", "cursor", ("x", "%00", "QQ", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5")),
    ("/api/logs/{run}", "cursor", ("x", "%00")),
    ("/api/workflows/{flow}/versions", "cursor", ("x", "%00", "QQ", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5")),
    ("/api/flows", "status", ("deleted", "DRAFT")),
    ("/api/flows", "search", ("%00", "x" * 201)),
    ("/api/runs", "status", ("cancelled", "Success")),
    ("/api/runs", "triggered_by", ("api",)),
    ("/api/runs", "since", ("x", "2026-13-01", "0001-01-01", "9999-12-31T23:59:59-23:59", "1e9", "%00")),
    ("/api/runs", "until", ("x", "yesterday")),
    ("/api/runs", "workflow_id", ("%00", "x" * 65)),
    ("/api/logs", "level", ("fatal",)),
    ("/api/logs", "run_id", ("%00", "x" * 65)),
    ("/api/agent/memory", "search", ("%00", "x" * 201)),
    ("/api/agent/memory", "session", ("%00", "x" * 201)),
    ("/api/agent/memory", "agent_id", ("%00", "x" * 65)),
    ("/api/agent/memory", "cursor", ("x", "%00", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5")),
    ("/api/credentials", "limit", ("0", "201", "-1", "x")),
    ("/api/credentials", "cursor", ("x", "%00")),
    ("/api/presets", "limit", ("0", "201", "-1", "x")),
    ("/api/presets", "cursor", ("x", "%00")),
    ("/api/presets", "search", ("%00", "x" * 201)),
    ("/api/presets", "source", ("%00", "x" * 65)),
    ("/api/metrics", "days", ("0", "366", "-1", "x", "9" * 30)),
    ("/api/nodes", "search", ("%00", "x" * 201)),
]
BAD_QUERIES = [case for case in BAD_QUERIES if has_pack(f"GET {case[0]}")]


def test_a_bad_query_is_400_and_names_the_parameter(owner, flow, run):
    def check(path, name, value):
        path = path.format(flow=flow["id"], run=run["id"])
        answer = owner.get(f"{path}{'&' if '?' in path else '?'}{name}={value}")
        assert check_shape(answer, 400).startswith(f"{name}: ")

    check_all(((path, name, value) for path, name, values in BAD_QUERIES for value in values), check)


@pytest.mark.parametrize("value", ["-1", "61", "x", "nan", "inf", "1e400"])
def test_a_bad_wait_is_400_and_names_it(owner, flow, value):
    answer = owner.post(f"/api/workflows/{flow['id']}/run?wait={value}", {})
    assert check_shape(answer, 400).startswith("wait: ")


# 401 and 403 of every route are in test_every_route.py


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Cookie": "headrace_session=nonsense"},
        {"Cookie": "headrace_session="},
        {"Authorization": "Bearer nonsense"},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic b3duZXI6eA=="},
        {"Authorization": "Bearer \xff\xfe"},
        {"Authorization": "Bearer " + "x" * 10_000},
    ],
)
def test_without_a_session_it_is_401(client, headers):
    check_shape(client.get("/api/flows", headers=headers), 401)


def test_a_wrong_token_is_not_made_good_by_a_session(owner):
    check_shape(owner.get("/api/flows", headers={"Authorization": "Bearer nonsense"}), 401)


@pytest.mark.parametrize("name", ["nothing", "%00", "ws_01ARZ3NDEKTSV4RRFFQ69G5FAV", "%C3%A9", "x" * 5_000])
def test_a_foreign_workspace_is_403(owner, name):
    check_shape(owner.get(f"/api/flows?workspace_id={name}"), 403)


# 404

UNKNOWN = [
    "nothing",
    "%00",
    "a%00b",
    "%ff",
    "%ed%a0%80",
    "x" * 5_000,
    "%F0%9F%98%80",
    "'; DROP TABLE runs; --",
    "0",
    "-1",
]


WITH_ID = [
    ("GET", "/api/workflows/{}"),
    ("PUT", "/api/workflows/{}"),
    ("DELETE", "/api/workflows/{}"),
    ("POST", "/api/workflows/{}/run"),
    ("GET", "/api/workflows/{}/versions"),
    ("GET", "/api/runs/{}"),
    ("GET", "/api/runs/{}/steps"),
    ("POST", "/api/runs/{}/cancel"),
    ("GET", "/api/logs/{}"),
    ("GET", "/api/agents/{}"),
    ("POST", "/api/templates/{}/use"),
    ("DELETE", "/api/tokens/{}"),
    ("GET", "/api/agent/memory/{}"),
    ("DELETE", "/api/agent/memory/{}"),
    ("PUT", "/api/credentials/{}"),
    ("DELETE", "/api/credentials/{}"),
    ("DELETE", "/api/presets/{}"),
]


@pytest.mark.parametrize(("method", "path"), WITH_ID)
def test_an_id_that_exists_nowhere_is_404(owner, method, path):
    body = None if method in ("GET", "DELETE") else {}
    check_all(
        ((id_,) for id_ in UNKNOWN), lambda id_: check_shape(owner.open(path.format(id_), body, method=method), 404)
    )


@pytest.mark.parametrize("number", ["0", "2", "-1", "x", "1.0", "9" * 30])
@pytest.mark.parametrize("path", ["/api/workflows/{flow}/versions/{number}", "/api/runs/{run}/steps/{number}/output"])
def test_a_number_that_exists_nowhere_is_404(owner, flow, run, path, number):
    if path.startswith("/api/runs") and number == "0":
        number = "1"
    check_shape(owner.get(path.format(flow=flow["id"], run=run["id"], number=number)), 404)


@pytest.mark.parametrize(
    "path",
    [
        "/api",
        "/api/",
        "/api/nothing",
        "/api/flows/",
        "/api/flows/x/y",
        "/api/%00",
        "/api/%ff",
        "/api/../api/x",
        "/api/docs/nothing.js",
        "/api/" + "x" * 5_000,
        "/nothing",
    ],
)
def test_an_unknown_url_is_404(client, owner, path):
    for method in ("GET",) if path.startswith("/api/docs") else ("GET", "POST", "DELETE", "PATCH"):
        check_shape(client.open(path, method=method), 404)
        check_shape(owner.open(path, method=method), 404)


@pytest.mark.parametrize("path", ["/api//flows", "//api/flows", "/api/workflows//run"])
def test_a_doubled_slash_is_an_unknown_url_too(owner, path):
    check_shape(owner.get(f"http://localhost{path}"), 404)


# 405


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/api/flows"),
        ("PATCH", "/api/flows"),
        ("DELETE", "/api/flows"),
        ("TRACE", "/api/flows"),
        ("PROPFIND", "/api/flows"),
        ("GET", "/api/auth/login"),
        ("POST", "/api/auth/session"),
        ("POST", "/api/health"),
        ("POST", "/api/workflows/x"),
        ("GET", "/api/workflows/x/run"),
        ("DELETE", "/api/metrics"),
        ("PUT", "/api/runs/x"),
        ("POST", "/api/logs/x"),
        ("POST", "/api/nodes"),
        ("POST", "/api/templates"),
        ("POST", "/api/openapi.json"),
        pytest.param("POST", "/metrics", marks=pytest.mark.pack("prometheus")),
        ("PATCH", "/api/credentials"),
        ("GET", "/api/expressions/preview"),
        ("PATCH", "/api/credentials/x"),
        ("PROPFIND", "/api/webhooks/x"),
    ],
)
def test_a_wrong_method_is_405_with_the_allowed_methods(client, method, path):
    answer = client.open(path, method=method)
    assert method in check_shape(answer, 405)
    assert answer.headers["Allow"]


# 409


def test_a_state_that_refuses_is_409(owner, run):
    check_shape(owner.post(f"/api/runs/{run['id']}/cancel"), 409)


# 413


@pytest.mark.parametrize("as_text", [True, False])
def test_a_definition_over_its_bound_is_413(owner, config, as_text):
    definition = {"nodes": [{"id": "a", "type": "noop", "notes": "x" * config.max_definition_bytes}]}
    body = {"name": "Big", **({"definition_json": json.dumps(definition)} if as_text else {"definition": definition})}
    check_shape(owner.post("/api/flows", body), 413)


# 429


def test_after_many_failed_logins_it_is_429_with_retry_after(client):
    keys = [f"account:{'nobody@example.org'}"]
    for _ in range(login_throttle.MAX_FAILURES["pair"]):
        users.note_failures(keys, login_throttle.WINDOW_MS)
    answer = client.post("/api/auth/login", {"email": "nobody@example.org", "password": "x"})
    check_shape(answer, 429)
    assert 0 < int(answer.headers["Retry-After"]) <= login_throttle.WINDOW_MS // 1000


# 503


def test_a_server_that_takes_no_runs_is_503_with_retry_after(owner, server, flow, monkeypatch):
    monkeypatch.setattr(server.dispatcher, "is_open", lambda: False)
    answer = owner.post(f"/api/workflows/{flow['id']}/run", {})
    check_shape(answer, 503)
    assert int(answer.headers["Retry-After"]) > 0


def test_a_server_that_takes_no_runs_is_not_ready(client, server, monkeypatch):
    assert client.get("/api/ready").status_code == 200
    monkeypatch.setattr(server.dispatcher, "is_open", lambda: False)
    check_shape(client.get("/api/ready"), 503)
    assert client.get("/api/health").status_code == 200


def test_a_paused_server_is_ready_and_refuses_runs_and_webhooks(owner, client, server, make_flow):
    hook = {"nodes": [{"id": "hook", "type": "webhook", "config": {"path": "paused"}}]}
    flow = make_flow(hook, status="active")
    assert client.get("/api/ready").json["paused"] is False
    server_state.pause("by a test")
    server.dispatcher.look_for_pause()
    assert client.get("/api/ready").json["paused"] is True
    for answer in (
        owner.post(f"/api/workflows/{flow['id']}/run", {}),
        client.post("/api/webhooks/paused", {"a": 1}),
    ):
        check_shape(answer, 503)
        assert answer.headers["Retry-After"] == "60"
    assert not owner.get("/api/runs").json["items"]
