"""A secret goes only to its own service: if a service returns it in any form, it is redacted."""

import base64
import dataclasses
import json
from urllib.parse import quote

import pytest
from llm_server import call, calls, raw, say, status
from werkzeug import Response

from models import Run
from nodes.credentials.keyring import Keyring
from packs.agents.tools.base import shorten

KEY = "sk-Model/Key+0123456789=abcdef"
TOKEN = "t0k&n of the/shop+42"
FORMS = {
    "plain": lambda text: text,
    "quoted": lambda text: quote(text, safe=""),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "basic": lambda text: base64.b64encode(f"someone:{text}".encode()).decode(),
    "hex": lambda text: text.encode().hex(),
    "upper": str.upper,
    "json": lambda text: json.dumps(json.dumps({"key": text})),
    "html": lambda text: text.replace("&", "&amp;"),
}
EACH_FORM = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)


@pytest.fixture
def config(config):
    """Settings with a key for the model, and access to servers on this machine."""
    return dataclasses.replace(config, openai_api_key=KEY, egress_allow=("127.0.0.1",))


@pytest.fixture
def keep(owner):
    """`keep("shop", "http_bearer", token=TOKEN)` creates a credential for this machine."""

    def make(name, type_, /, **data):
        body = {"name": name, "type": type_, "data": data, "hosts": ["127.0.0.1"]}
        answer = owner.post("/api/credentials", body)
        assert answer.status_code == 201, answer.text

    return make


@pytest.fixture
def nowhere(llm, all_text, config, capfd, caplog, owner):
    """`nowhere(secret)` checks that it is in no request to the model, answer, table, file or log."""

    def search(secret, *answers):
        told = {f"request {number}": request.text for number, request in enumerate(llm.requests)}
        told |= {
            f"answer {number}": answer if isinstance(answer, str) else json.dumps(answer)
            for number, answer in enumerate(answers)
        }
        told["tables"] = all_text()
        for path in ("logs", "runs", "agent/logs", "agent/memory"):
            told[path] = owner.get(f"/api/{path}").text
        for run in Run.select():
            told[f"steps of {run.id}"] = owner.get(f"/api/runs/{run.id}/steps").text
        files = [path for path in config.data_dir.rglob("*") if path.is_file() and path.name != "secret.key"]
        told |= {path.name: path.read_bytes().decode(errors="replace") for path in files}
        captured = capfd.readouterr()
        told |= {"stdout": captured.out, "stderr": captured.err, "log": caplog.text}
        for name, text in told.items():
            for shape, form in FORMS.items():
                assert form(secret) not in text, f"{shape} in {name}"

    return search


# The key of the model


def test_a_model_that_returns_its_own_key_is_redacted(add_agent, ask, llm, nowhere):
    answers = []
    for shape, form in FORMS.items():
        add_agent(id=shape, tools=["store", "memory"], memory=True)
        llm.start_over(*repeated(form(KEY)))
        answer = ask(agent_id=shape, session="s")
        assert answer["status"] == "success" and "***" in answer["text"], shape
        answers += [answer, ask("What was it?", agent_id=shape, session="s")]
    nowhere(KEY, *answers)
    assert {request.headers["authorization"] for request in llm.requests} == {f"Bearer {KEY}"}


def repeated(spoken):
    """Return a script whose model repeats this everywhere."""
    return (
        calls(
            [
                ("store_set", {"key": f"k {spoken}", "value": {spoken: [spoken]}}),
                ("memory_write", {"key": f"k {spoken}", "content": f"it is {spoken}", "tags": [spoken]}),
                (f"tool_{spoken}", {"a": spoken}),
                ("store_get", {spoken: spoken}),
            ],
            text=f"My key is {spoken}.",
        ),
        lambda request: say(f"I said {request.headers['authorization']} and {spoken}."),
        say("Again."),
    )


@pytest.mark.parametrize("code", [400, 401, 500])
def test_an_error_of_a_model_with_its_key_is_redacted(add_agent, ask, llm, nowhere, code, monkeypatch):
    monkeypatch.setattr("packs.agents.runtime.model_client.FIRST_PAUSE", 0.0)
    add_agent()
    answers = []
    for form in FORMS.values():
        spoken = form(KEY)
        llm.start_over(*[status(code, message=f"Incorrect key: {spoken} " + "x" * 270 + spoken)] * 3)
        answer = ask()
        assert answer["status"] == "failed", spoken
        assert "Incorrect key: " in answer["error_text"] and "***" in answer["error_text"], answer["error_text"]
        answers.append(answer)
    nowhere(KEY, *answers)


@pytest.mark.parametrize(
    "body",
    [
        f'{{"id": "{KEY}", "model": "{KEY}", "choices": [{{"index": 0, "finish_reason": "{KEY}", '
        f'"delta": {{"content": "x", "refusal": "{KEY}"}}}}]}}',
        f'{{"error": {{"message": "{KEY}", "type": "{KEY}", "code": "{KEY}"}}}}',
        f"{KEY}",
        f'{{"choices": "{KEY}"}}',
    ],
)
def test_an_invalid_stream_with_the_key_is_redacted(add_agent, ask, llm, nowhere, body, monkeypatch):
    monkeypatch.setattr("packs.agents.runtime.model_client.FIRST_PAUSE", 0.0)
    add_agent()
    llm.then(*[raw(f"data: {body}\n\ndata: [DONE]\n\n".encode(), "text/event-stream")] * 3)
    nowhere(KEY, ask())


def test_the_key_of_a_credential_is_redacted_too(add_agent, ask, llm, nowhere, keep):
    keep("ours", "llm", provider="openai", api_key=TOKEN, base_url=llm.openai_url, model="gpt-4o-mini")
    add_agent(credential="ours", tools=["store"])
    llm.then(
        lambda request: call("store_set", {"key": "a", "value": request.headers["authorization"]}),
        lambda request: say(request.headers["authorization"]),
    )
    answer = ask()
    assert answer["text"] == "Bearer ***" and llm.requests[0].headers["authorization"] == f"Bearer {TOKEN}"
    nowhere(TOKEN, answer)


# Input of tools


def test_a_service_that_returns_a_token_is_redacted(add_agent, ask, llm, nowhere, keep, httpserver):
    keep("shop", "http_bearer", token=TOKEN)
    add_agent(tools=[{"type": "http", "credential": "shop"}], limits={"tokens": 1_000_000})
    answers = []
    for shape, form in FORMS.items():
        httpserver.clear()
        urls = [httpserver.url_for(path) for path in serve_repeating(httpserver, form(TOKEN))]
        llm.start_over(
            calls([("http_request", {"url": url.replace("localhost", "127.0.0.1")}) for url in urls]), say("Done.")
        )
        answer = ask()
        assert answer["status"] == "success" and len(answer["tool_calls"]) == 5, shape
        assert llm.requests[-1].text.count("***") >= 5, shape
        answers.append(answer)
    nowhere(TOKEN, *answers)


def serve_repeating(httpserver, spoken):
    """Serve pages that repeat this in every part of an answer. Return their paths."""
    headers = {"ETag": f'"{quote(spoken)}"', "Content-Type": "text/plain"}

    def echo(request):
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        return Response(f"you sent {spoken}", 200, headers)

    page = f"<html><body><p>It is {spoken}</p><a href='/?t={quote(spoken)}'>on</a></body></html>"
    httpserver.expect_request("/text").respond_with_handler(echo)
    httpserver.expect_request("/json").respond_with_json({"token": spoken, spoken: [spoken]})
    httpserver.expect_request("/page").respond_with_data(page, content_type="text/html")
    httpserver.expect_request("/fail").respond_with_data(spoken * 3, 500, content_type="text/plain")
    httpserver.expect_request("/away").respond_with_data("", 302, {"Location": f"http://127.0.0.1:1/{quote(spoken)}"})
    return "/text", "/json", "/page", "/fail", "/away"


@EACH_FORM
def test_an_mcp_server_that_returns_its_token_is_redacted(add_agent, ask, llm, nowhere, keep, httpserver, form):
    spoken = form(TOKEN)
    schema = {"type": "object", "properties": {"a": {"type": "string", "description": f"for {spoken}"}}}
    tools = [
        {"name": "good", "description": f"The token is {spoken}.", "inputSchema": schema},
        {"name": f"bad {spoken}", "inputSchema": schema},
        {"name": "odd", "inputSchema": {"type": "object", "properties": {"a": {"type": spoken}}}},
    ]
    results = {
        "initialize": {
            "protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
            "serverInfo": {"name": spoken, "version": "1"}, "instructions": spoken,
        },
        "tools/list": {"tools": tools},
        "tools/call": {"content": [{"type": "text", "text": f"I was sent {spoken}"}], "isError": False},
    }  # fmt: skip

    def answer_rpc(request):
        message = request.json
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        if "id" not in message:
            return Response(status=202)
        if message["method"] == "tools/call" and message["params"].get("arguments"):
            reply = {"error": {"code": -32000, "message": f"not with {spoken}"}}
        elif message["method"] in results:
            reply = {"result": results[message["method"]]}
        else:
            reply = {"error": {"code": -32601, "message": f"no method for {spoken}"}}
        return Response(json.dumps({"jsonrpc": "2.0", "id": message["id"], **reply}), 200, mimetype="application/json")

    httpserver.expect_request("/mcp").respond_with_handler(answer_rpc)
    keep("tools", "mcp", url=f"http://127.0.0.1:{httpserver.port}/mcp", token=TOKEN)
    add_agent(tools=[{"type": "mcp", "credential": "tools"}], limits={"tokens": 1_000_000})
    llm.then(calls([("tools_good", {}), ("tools_good", {"a": "x"})]), say("Done."))
    answer = ask()
    assert answer["status"] == "success", answer["error_text"]
    assert [made["status"] for made in answer["tool_calls"]] == ["success", "failed"]
    nowhere(TOKEN, answer)


def test_a_secret_cut_in_two_is_redacted_too():
    keyring = Keyring()
    keyring.hide(TOKEN)
    for before in range(2 * len(TOKEN)):
        shown = shorten({"a": "x" * before + f"{TOKEN} " * 2_000}, clean=keyring.clean_text)
        assert TOKEN[:12] not in json.dumps(keyring.clean_data(shown))


# Secrets from flows


def test_a_secret_in_the_settings_of_an_agent_reaches_no_model(add_agent, owner, llm, nowhere, keep, make_flow):
    keep("shop", "http_bearer", token=TOKEN)
    add_agent(tools=["memory", "store", "code"], memory=True)
    config = {
        "agent_id": "helper",
        "task": "Use {{ secrets.shop }} well.",
        "input": {"it": "{{ secrets.shop }}", "list": ["{{ secrets.shop | upper }}"]},
        "session": "of {{ secrets.shop }}",
    }
    flow = make_flow({"nodes": [{"id": "agent", "type": "agent", "config": config}], "edges": []})
    written = {"key": "a", "content": "b"}
    llm.then(calls([("memory_write", written), ("run_code", {"code": "print(input)\ninput"})]), say("Done."))
    run = owner.post(f"/api/workflows/{flow['id']}/run", {}).json
    assert run["status"] == "success", run["error_text"]
    llm.then(say("Again."))
    again = owner.post(f"/api/workflows/{flow['id']}/run", {}).json
    assert len(llm.requests[2].messages) == 4  # the session is the same one
    nowhere(TOKEN, run, again)


def test_a_secret_in_the_input_of_a_flow_reaches_no_model(add_agent, llm, keep, httpserver, ask):
    """The input of a run is recorded unchanged, but values of the agent's credentials are redacted for the model."""
    keep("shop", "http_bearer", token=TOKEN)
    httpserver.expect_request("/").respond_with_data("fine")
    add_agent(tools=[{"type": "http", "credential": "shop"}, "code"])
    llm.then(
        calls([("http_request", {"url": f"http://127.0.0.1:{httpserver.port}/"}), ("run_code", {"code": "input"})]),
        say("Done."),
    )
    answer = ask(f"The token is {TOKEN}.", input={"token": TOKEN})
    assert answer["status"] == "success" and len(answer["tool_calls"]) == 2
    assert all(TOKEN not in request.text for request in llm.requests)


def test_a_question_to_people_contains_no_secret(add_agent, ask, llm, nowhere, owner):
    add_agent(tools=[{"type": "store", "approval": True}])
    llm.then(call("store_set", {"key": KEY, "value": f"x{KEY}"}))
    answer = ask(expect=202, wait=5)
    assert answer["status"] == "waiting" and answer["waiting"].count("***") == 2
    nowhere(KEY, answer, owner.get(f"/api/runs/{answer['run_id']}/resume").text)


def test_the_secret_of_a_webhooks_caller_reaches_no_model(add_agent, llm, nowhere, keep, make_flow, client):
    keep("callers", "http_header", name="X-Key", value=TOKEN)
    add_agent()
    nodes = [
        {"id": "hook", "type": "webhook", "config": {
            "path": "mails", "auth": "header", "credential": "callers", "respond": "last",
        }},
        {"id": "agent", "type": "agent", "config": {"agent_id": "helper", "task": "Read it."}},
    ]  # fmt: skip
    make_flow({"nodes": nodes, "edges": [["hook", "agent"]]}, status="active")
    llm.then(say("It says hello."))
    answer = client.post("/api/webhooks/mails", {"text": "hello"}, headers={"X-Key": TOKEN})
    assert answer.status_code == 200 and answer.json["text"] == "It says hello."
    assert "hello" in llm.requests[0].text
    nowhere(TOKEN, answer.json)


# Ownership of credentials


def test_no_agent_uses_a_credential_of_another_workspace(add_agent, ask, llm, owner, other, httpserver, config):
    body = {"name": "theirs", "type": "http_bearer", "data": {"token": TOKEN}, "hosts": ["127.0.0.1"]}
    theirs = other.post("/api/credentials", body).json["id"]
    httpserver.expect_request("/").respond_with_data("fine")
    for name in ("theirs", theirs):
        add_agent(id=f"by-{len(name)}", tools=[{"type": "http", "credential": name}])
        for asked in ({"agent_id": f"by-{len(name)}"}, {"agent_id": f"by-{len(name)}", "credentials": {"llm": name}}):
            answer = owner.post("/api/agent/run", {"task": "x", **asked})
            text = answer.json["error"] if answer.status_code == 400 else answer.json["error_text"]
            assert "there is no credential" in text
    assert llm.requests == [] and httpserver.log == []


@pytest.mark.parametrize("type_", ["http", "sql", "mcp", "llm"])
def test_a_credential_of_another_type_is_rejected(add_agent, owner, llm, keep, type_):
    keep("plain", "secret", value=TOKEN)
    tools = [] if type_ == "llm" else [{"type": type_}]
    add_agent(tools=tools)
    answer = owner.post("/api/agent/run", {"agent_id": "helper", "task": "x", "credentials": {type_: "plain"}})
    text = answer.json["error"] if answer.status_code == 400 else answer.json["error_text"]
    assert "'plain' is of type secret" in text and TOKEN not in answer.text and llm.requests == []


def test_a_caller_cannot_replace_the_credential_of_a_definition(add_agent, ask, llm, keep, httpserver):
    keep("shop", "http_bearer", token=TOKEN)
    keep("other", "http_bearer", token="another-token-altogether")
    seen = []
    httpserver.expect_request("/").respond_with_handler(
        lambda request: seen.append(request.headers["authorization"]) or Response("fine")
    )
    add_agent(tools=[{"type": "http", "credential": "shop"}])
    llm.then(call("http_request", {"url": f"http://127.0.0.1:{httpserver.port}/"}), say("Done."))
    assert ask(credentials={"http": "other"})["status"] == "success" and seen == [f"Bearer {TOKEN}"]
