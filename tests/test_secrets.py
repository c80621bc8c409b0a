"""A secret reaches whom it is for, and is nowhere else: in no table, no file, no log and no answer of the API.

Each story uses a secret in another way; afterwards every cell of every table is looked at, every byte of every file in
the data folder, the server's log and what the API says of the run, for each form that the secret may have.
"""

import base64
import json
import logging
import time
from dataclasses import replace
from types import SimpleNamespace
from urllib.parse import quote, quote_plus

import pytest
from werkzeug import Response
from world import PATIENCE, Types, chain, flow, node

from database import execute
from database.base import now_ms
from errors import NodeError
from models import Run
from nodes.base import Branch, Suspend

SECRET = 's3cr3t/T0ken+with=odd&chars"\\é'
LONG = "eyJ" + "Long0Secret/" * 60
BASIC = {"username": "ada", "password": "open s3same!"}
PIN = "47114711"
WORDS = (SECRET, LONG, BASIC["password"], PIN)


def written(word):
    """The ways in which a word may turn up, by the standard library alone."""
    pairs = [f"ada:{word}", f"{word}:", f"u:{word}:x", word]
    encoded = [base64.b64encode(pair.encode()).decode().rstrip("=") for pair in pairs]
    return {
        *(word, quote(word), quote(word, safe=""), quote_plus(word), json.dumps(word)[1:-1], repr(word)[1:-1]),
        json.dumps(word, ensure_ascii=False)[1:-1],
        *encoded,
        *(text.replace("+", "-").replace("/", "_") for text in encoded),
    }


FORMS = {form for word in WORDS for form in written(word)}
# A word is told by its pieces too; no other text of these tests has them.
PIECES = {word[at : at + 12] for word in (SECRET, LONG) for at in range(0, len(word) - 12, 4)}


@pytest.fixture
def config(config):
    """A server that may reach this machine."""
    return replace(config, egress_allow=("127.0.0.0/8", "localhost"), inline_value_bytes=2_000, run_threads=2)


@pytest.fixture
def echo(httpserver):
    """A service that answers with all that it was sent; `echo.got` are its requests."""

    def answer(request):
        said = {
            "url": request.url,
            "query": request.args.to_dict(),
            "headers": dict(request.headers),
            "body": request.get_data(as_text=True),
            request.headers.get("X-Key", "none"): "as a key",
        }
        return Response(json.dumps(said), content_type="application/json")

    httpserver.expect_request("/echo").respond_with_handler(answer)
    httpserver.expect_request("/no").respond_with_handler(
        lambda request: Response(f"no, {request.headers.get('X-Key')}", status=400)
    )
    return SimpleNamespace(
        url=httpserver.url_for("/echo"),
        no=httpserver.url_for("/no"),
        got=lambda: [request for request, _ in httpserver.log],
    )


@pytest.fixture
def types(app):
    """Node types that leak what they are given, each in its own way."""

    def fail(config, input, ctx):
        raise NodeError(f"cannot use {config['value']}")

    def crash(config, input, ctx):
        raise RuntimeError("cannot use", config["value"], {"inside": [config["value"]]})

    def log(config, input, ctx):
        value = config["value"]
        ctx.log("info", f"using {value}", {"data": [value], value: 1})
        ctx.log("info", "raw", {"raw": value.encode(), "set": {value}})
        return "logged"

    def hesitate(config, input, ctx):
        if ctx.store.increment(ctx.idempotency_key) == 1:
            raise NodeError(f"not yet: {config['value']}")
        return config["value"]

    with Types() as types:
        types.offer("leak", lambda config, input, ctx: {"a": [config["value"]], str(config["value"]): 1}, pure=False)
        types.offer("spoil", lambda config, input, ctx: input.update(key=config["value"]) or input)
        types.offer("fail_with", fail, pure=False)
        types.offer("crash_with", crash)
        types.offer("log_it", log)
        types.offer("hesitate", hesitate, pure=False)
        types.offer("keep_it", lambda config, input, ctx: ctx.store.set(config["value"], {"x": config["value"]}))
        types.offer("count_it", lambda config, input, ctx: ctx.store.increment(config["value"], 1))
        types.offer(
            "wait_for_it",
            lambda config, input, ctx: Suspend(now_ms() + 300, f"someone who knows {config['value']}"),
            suspends=True,
            resume=lambda self, config, input, answer: f"waited for {config['value']}",
        )
        types.offer("branch", lambda config, input, ctx: Branch("on", config["value"]), branches=("on",))
        yield types


@pytest.fixture
def credentials(owner):
    """What the workspace has: four secrets that may go to this machine, and one that may not."""
    for name, type_, data, hosts in (
        ("shop", "secret", {"value": SECRET}, ["localhost"]),
        ("far", "secret", {"value": SECRET}, ["api.example.com"]),
        ("unbound", "secret", {"value": SECRET}, None),
        ("long", "secret", {"value": LONG}, ["localhost"]),
        ("pin", "secret", {"value": PIN}, ["localhost"]),
        ("till", "http_basic", BASIC, ["localhost"]),
    ):
        body = {"name": name, "type": type_, "data": data, "hosts": hosts}
        assert owner.post("/api/credentials", body).status_code == 201


@pytest.fixture
def start(owner, make_flow, types, credentials, caplog):
    """`start(definition)` runs it to its end; the JSON of the run."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.ERROR, "werkzeug")  # the service, which may know it

    def begin(definition, input=None):
        made = make_flow(definition)
        run = owner.post(f"/api/workflows/{made['id']}/run?wait=20", {"input": input}).json
        return ended(run["id"])

    def ended(id_):
        deadline = time.monotonic() + PATIENCE
        while (run := owner.get(f"/api/runs/{id_}").json)["status"] in ("pending", "running"):
            assert time.monotonic() < deadline, run
            time.sleep(0.02)
        return run

    return begin


def cells():
    """`(table.column, text)` of every cell of the database."""
    tables = [row[0] for row in execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()]
    for table in tables:
        cursor = execute(f'SELECT * FROM "{table}"')
        names = [column[0] for column in cursor.description]
        for row in cursor.fetchall():
            yield from ((f"{table}.{name}", str(value)) for name, value in zip(names, row, strict=True))


def files(folder):
    """`(path, text)` of every file in the data folder, the database itself and its log among them."""
    for path in folder.rglob("*"):
        if path.is_file():
            yield str(path.relative_to(folder)), path.read_bytes().decode("utf-8", "replace")


@pytest.fixture
def check(owner, server, caplog):
    """`check()` fails where a form of a secret is anywhere but where it is encrypted."""

    def look():
        said = [("log", caplog.text)]
        for run in Run.select():
            for path in ("", "/steps", "/input", "/output"):
                said.append((f"GET {run.id}{path}", owner.get(f"/api/runs/{run.id}{path}").text))
            said.append((f"GET logs of {run.id}", owner.get(f"/api/logs/{run.id}").text))
        looked = [*said, *cells(), *files(server.config.data_dir)]
        assert len(looked) > 100
        found = {(place, form) for place, text in looked for form in FORMS | PIECES if form in text}
        assert not found

    return look


def http(url, **config):
    return node("ask", "http", {"url": url, **config})


# Whom it reaches


def test_a_secret_reaches_the_host_that_it_is_bound_to_and_the_echo_is_cleaned(start, check, echo):
    secret = "{{ secrets.shop }}"
    body = {
        "method": "POST",
        "headers": {"X-Key": "k {{ secrets.pin }}"},
        "query": {"key": secret},
        "body": {"a": secret},
    }
    run = start(flow(http(echo.url, **body)))
    assert run["status"] == "success", run["error_text"]
    (request,) = echo.got()
    assert request.args["key"] == SECRET and request.json == {"a": SECRET} and request.headers["X-Key"] == f"k {PIN}"
    assert run["output"]["body"]["query"]["key"] == "***" and run["output"]["body"]["headers"]["X-Key"] == "k ***"
    assert run["output"]["body"]["k ***"] == "as a key"
    check()


@pytest.mark.parametrize(
    "value",
    [
        "Basic {{ (secrets.till.username ~ ':' ~ secrets.till.password)|b64encode }}",
        "Basic {{ (secrets.shop ~ ':')|b64encode }}",
        "Basic {{ ('u:' ~ secrets.shop ~ ':x')|b64encode }}",
    ],
)
def test_what_is_made_of_it_for_basic_authentication_is_known_too(start, check, echo, value):
    run = start(flow(http(echo.url, headers={"Authorization": value})))
    sent = base64.b64decode(echo.got()[0].headers["Authorization"].removeprefix("Basic ")).decode()
    assert any(word in sent for word in WORDS)
    assert "***" in run["output"]["body"]["headers"]["Authorization"]
    check()


@pytest.mark.parametrize("name", ["far", "unbound"])
def test_a_secret_does_not_reach_another_host(start, check, echo, name):
    secret = "{{ secrets." + name + " }}"
    ways = {
        "query": {"query": {"a": secret}},
        "path": {"url": echo.url + "?a={{ secrets." + name + "|urlencode }}"},
        "body": {"method": "POST", "body": {"a": secret}},
        "header": {"headers": {"X-Key": "{{ secrets." + name + "|urlencode }}"}},
        "basic": {"headers": {"Authorization": "Basic {{ ('x:' ~ secrets." + name + ")|b64encode }}"}},
        "form": {"method": "POST", "body_type": "form", "body": {"a": secret}},
    }
    for way, config in ways.items():
        run = start(flow(http(**{"url": echo.url, **config})))
        assert run["status"] == "failed" and f"{name!r} may not be sent to localhost" in run["error_text"], way
        assert not echo.got(), way
    check()


def test_a_service_that_refuses_and_repeats_it_tells_nobody(start, check, echo):
    run = start(flow(http(echo.no, headers={"X-Key": "{{ secrets.pin }}"})))
    assert run["status"] == "failed" and "400" in run["error_text"] and echo.got()[0].headers["X-Key"] == PIN
    check()


# What nodes do with it

SHOP = {"value": "{{ secrets.shop }}"}


USES = [
    (node("a", "leak", SHOP), "success", "***"),
    (node("a", "leak", {"value": "{{ secrets.long }}"}), "success", "***"),
    (node("a", "leak", {"value": "{{ secrets.shop|urlencode }} {{ secrets.shop|b64encode }}"}), "success", "***"),
    (node("a", "leak", {"value": "{{ secrets.shop|tojson }} {{ secrets.shop|escape }}"}), "success", "***"),
    (node("a", "leak", {"value": "{{ secrets.pin|int }}"}), "success", "***"),
    (node("a", "leak", {"value": "{{ secrets.till }}"}), "success", "***"),
    (node("a", "set", {"values": {"a": "{{ secrets.shop }}", "b": ["{{ secrets.pin|float }}"]}}), "success", "***"),
    (node("a", "fail_with", SHOP), "failed", "cannot use ***"),
    (node("a", "fail_with", SHOP, on_error="continue"), "success", "cannot use ***"),
    (node("a", "fail_with", {"value": "{{ secrets.long[:200] }}"}), "failed", "cannot use ***"),
    (node("a", "fail_with", {"value": "{{ secrets.long[300:] }}"}), "failed", "cannot use ***"),
    (node("a", "crash_with", SHOP), "failed", "RuntimeError"),
    (node("a", "crash_with", {"value": "{{ secrets.till }}"}), "failed", "RuntimeError"),
    (node("a", "log_it", SHOP), "success", "logged"),
    (node("a", "log", {"message": "it is {{ secrets.shop }}", "data": ["{{ secrets.till }}"]}), "success", ""),
    (node("a", "stop", {"message": "it is {{ secrets.shop }}"}), "failed", "it is ***"),
    (node("a", "keep_it", SHOP), "success", ""),
    (node("a", "count_it", SHOP), "success", ""),
    (node("a", "store", {"operation": "set", "key": "k", "value": {"x": "{{ secrets.shop }}"}}), "success", "***"),
    (node("a", "hesitate", SHOP, retry={"attempts": 2, "delay": 0}), "success", "***"),
    (node("a", "wait_for_it", SHOP), "success", "waited for ***"),
    (node("a", "branch", SHOP), "success", "***"),
    (node("a", "leak", SHOP, foreach="{{ [secrets.shop, secrets.pin, 'x'] }}"), "success", "***"),
    (node("a", "leak", {"value": "{{ item }}"}, foreach="{{ [secrets.shop, secrets.pin] }}"), "success", "***"),
    (
        node("a", "fail_with", {"value": "{{ item }}"}, foreach="{{ [secrets.shop] }}"),
        "failed",
        "item 0: cannot use",
    ),
    (
        node("a", "fail_with", {"value": "{{ item }}"}, foreach="{{ [secrets.shop] }}", on_error="continue"),
        "success",
        "cannot use ***",
    ),
    (node("a", "noop", foreach="{{ secrets.shop }}"), "failed", "foreach"),
    (node("a", "filter", {"items": ["{{ secrets.shop }}"], "keep": "{{ item }}"}), "success", "***"),
    (node("a", "filter", {"items": [1], "keep": "{{ secrets.shop[item * 900] }}"}), "failed", ""),
    (node("a", "leak", {"value": "{{ input[secrets.long] }}"}), "failed", "has no"),
    (node("a", "leak", {"value": "{{ secrets.long|int }}"}), "failed", ""),
    (node("a", "leak", {"value": "{{ secrets.shop|int }}"}), "failed", ""),
    (node("a", "leak", {"value": "{{ datetime(secrets.shop) }}"}), "failed", ""),
    (node("a", "http", {"url": "{{ secrets.shop }}"}), "failed", ""),
    (node("a", "http", {"url": "http://{{ secrets.pin }}x.invalid/"}), "failed", ""),
    (node("a", "http", {"url": "http://localhost/", "method": "{{ secrets.shop }}"}), "failed", ""),
    (node("a", "http", {"url": "http://localhost/", "headers": {"X": "{{ secrets.shop }}\n"}}), "failed", ""),
    (node("a", "jmespath", {"query": "a", "data": {"a": "{{ secrets.shop }}"}}), "success", "***"),
    (
        node("a", "validate", {"schema": {"type": "integer"}, "data": "{{ secrets.shop }}"}),
        "success",
        "***",
    ),
    (node("a", "validate", {"schema": {"type": "integer"}, "data": "{{ secrets.long }}"}), "success", ""),
    (node("a", "switch", {"value": "{{ secrets.shop }}", "cases": ["x"]}), "success", ""),
    (
        node("a", "respond", {"body": "{{ secrets.shop }}", "headers": {"X-A": "{{ secrets.pin }}"}}),
        "success",
        "***",
    ),
]


# In several tests: two neighbours write under the same key of the store.
@pytest.mark.parametrize("uses", [USES[at::4] for at in range(4)], ids=range(4))
def test_whatever_a_node_does_with_a_secret_it_is_on_no_record(start, check, uses):
    after = node("after", "leak", {"value": "{{ [input, steps] }}"})
    for made, status, seen in uses:
        run = start(chain(made, after) if made["type"] not in ("branch", "switch", "validate") else flow(made))
        assert run["status"] == status, (made, run["error_text"])
        assert seen in json.dumps(run), made
    check()


def test_large_values_in_files_are_cleaned_too(start, check, server):
    value = "{{ ('x' * 3000) ~ secrets.shop ~ secrets.long ~ ('y' * 3000) }}"
    run = start(flow(node("a", "leak", {"value": value}), node("b", "leak", {"value": value}), edges=["a b"]))
    assert run["status"] == "success" and list((server.config.data_dir / "values").rglob("*.json"))
    check()


def test_a_flow_that_another_one_runs_is_given_none(start, check, make_flow):
    child = make_flow(flow(node("c", "called"), node("d", "leak", {"value": "{{ input }}"}), edges=["c d"]))
    for wait in (True, False):
        config = {
            "workflow_id": child["id"],
            "input": {"key": "{{ secrets.shop }}", "long": "{{ secrets.long }}"},
            "wait": wait,
        }
        assert start(flow(node("a", "subflow", config)))["status"] == "success"
    assert Run.select().where(Run.depth == 1).count() == 2
    check()


def test_a_flow_that_is_told_of_a_failure_is_told_none(start, check, make_flow):
    teller = make_flow(
        flow(node("e", "error"), node("d", "leak", {"value": "{{ input }}"}), edges=["e d"]), status="active"
    )
    start(flow(node("a", "fail_with", SHOP), error_workflow_id=teller["id"]))
    deadline = time.monotonic() + PATIENCE
    while not Run.select().where((Run.depth == 1) & (Run.status == "success")).exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    check()


def test_people_who_are_asked_are_shown_none(owner, start, check, make_flow):
    config = {"message": "Is {{ secrets.shop }} good, or {{ secrets.long }}?"}
    made = make_flow(flow(node("a", "approval", config), node("b", "leak", SHOP), edges=["a b approved"]))
    run = owner.post(f"/api/workflows/{made['id']}/run?wait=1").json
    assert run["status"] == "pending" and run["waiting"] == "approval: Is *** good, or ***?"
    check()
    answer = owner.post(f"/api/runs/{run['id']}/resume", {"node_id": "a", "answer": "approved", "comment": "yes"})
    assert answer.status_code == 200, answer.text
    deadline = time.monotonic() + PATIENCE
    while owner.get(f"/api/runs/{run['id']}").json["status"] != "success":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    check()


@pytest.mark.parametrize("respond", ["node", "last"])
def test_a_webhook_answers_none(client, start, check, make_flow, respond):
    hook = node("h", "webhook", {"path": "p", "respond": respond})
    said = node("r", "respond", {"body": {"key": "{{ secrets.shop }}"}, "headers": {"X-Key": "{{ secrets.pin }}"}})
    make_flow(chain(hook, said), status="active")
    answer = client.post("/api/webhooks/p", {})
    assert answer.status_code == 200 and "***" in answer.text
    assert not any(form in answer.text + str(answer.headers) for form in FORMS)
    check()


def test_a_retry_from_where_a_run_failed_knows_none(owner, start, check):
    run = start(chain(node("a", "leak", SHOP), node("b", "fail_with", {"value": "{{ steps.a }} {{ secrets.shop }}"})))
    again = owner.post(f"/api/runs/{run['id']}/retry?wait=10", {"from": "failed", "version": "same"})
    assert again.status_code in (200, 202), again.text
    deadline = time.monotonic() + PATIENCE
    while Run.select().where(Run.status == "failed").count() < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    check()


def test_one_that_a_node_puts_into_its_input_is_not_in_the_output_of_the_run(start, check):
    run = start(chain(node("a", "set", {"values": {"x": 1}}), node("b", "spoil", SHOP)))
    assert run["output"] == {"x": 1}  # as it is on record, and as a run would have it that goes on after a crash
    check()


def test_what_was_there_before_it_was_a_secret_is_not_in_the_output_of_the_run(start, owner):
    run = start(flow(node("a", "noop"), node("b", "leak", {"value": "{{ secrets.pin }}"})), {"given": PIN})
    assert run["output"]["a"] == {"given": "***"}


def test_a_credential_of_another_workspace_is_none(owner, other, start):
    other.post("/api/credentials", {"name": "foreign", "type": "secret", "data": {"value": "x" * 10}})
    run = start(flow(node("a", "leak", {"value": "{{ secrets.foreign }}"})))
    assert run["status"] == "failed" and "there is no credential 'foreign' in this workspace" in run["error_text"]


def test_the_search_finds_a_secret_that_is_there(owner, start, check, make_flow):
    """This test's own: without it, the others could look in the wrong places."""
    for text in (SECRET, base64.b64encode(f"ada:{SECRET}".encode()).decode(), SECRET[:14], LONG[100:140]):
        make_flow(name=f"has {text}"[:100])
        with pytest.raises(AssertionError):
            check()
