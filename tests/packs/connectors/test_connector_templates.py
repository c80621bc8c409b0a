"""Every template of the connectors as a flow, run by the server from its sample against stubs of its services.

A template's `trial` lists the requests in order: `by` which node, `request` (method and URL), `query` and `body` (what
they must have at least), and `answer`, which is the one of the operation's example unless it is given.
"""

import base64
import copy
import email.policy
from functools import cache

import on_postgres
import pytest
from apps import EMAIL, copy_database, logged_in, make_config, started
from connector_stub import HOST, Stub, aim, aim_back, values_of

from database.queries import users
from dispatch import Start
from models import Step, Workflow, Workspace
from packs.connectors import connector_files, template_files
from packs.connectors.app_triggers import app_trigger
from packs.connectors.inputs import POLL
from packs.connectors.node import make, make_trigger
from registry import registry

TEMPLATES = {template["id"]: template for template in template_files.read()}
FILES = {type_: connector_files.read(type_) for type_ in sorted(connector_files.types())}
# What users choose, if it is not in the example of the operation.
CHOSEN = {
    "base": "app1",
    "board": "5f0",
    "calendar": "primary",
    "channel": "UC1",
    "folder": "1Dir",
    "site": "c1",
    "form_id": "233494569850668",
    "list": "@default",
    "organization": "https://api.calendly.com/organizations/AAAA",
    "repository": "octocat/Hello-World",
    "shop": "my-shop.myshopify.com",
    "verify_token": "a word of your own",
}
PATIENCE = 60


def operation_of(node):
    """Return the operation of a connector's node in its file."""
    operations = FILES[node["type"].removesuffix(POLL)]["operations"]
    return next(each for each in operations if each["id"] == node["config"]["operation"])


def is_service(node):
    return node["type"].removesuffix(POLL) in FILES


class AimedConnectors:
    """The connectors, with addresses that lead to the stub; accounts that people connect have a token."""

    def __init__(self, port):
        self.port = port
        self.find = cache(self._find)

    def read(self, type_):
        file = aim(FILES[type_], self.port)
        for way in file["auth"]:
            if way["type"] in ("oauth2", "oauth2_client_credentials"):
                way.update(type="http_bearer")
        return file

    def _find(self, type_):
        service = type_.removesuffix(POLL)
        if service not in FILES:
            return None
        return (make if type_ == service else make_trigger)(type_, self.read(service))


@pytest.fixture(scope="module")
def server(first_app, tmp_path_factory):
    """A server for all templates, which may send to this machine."""
    config = make_config(tmp_path_factory.mktemp("templates") / "data", egress_allow=(HOST,))
    config = copy_database(first_app.extensions["headrace"].config, config)
    with started(first_app, config) as server:
        yield server
    on_postgres.release_database(config.database_path)


@pytest.fixture(scope="module")
def owner(server, first_app):
    return logged_in(first_app, users.by_email(EMAIL), Workspace.get())


@pytest.fixture
def services(make_httpserver, monkeypatch):
    aimed = AimedConnectors(make_httpserver.port)
    monkeypatch.setattr(registry, "node_finders", [aimed, *registry.node_finders])
    return aimed


def complete(template):
    """Return the definition with everything that users choose, and a path for its trigger."""
    definition = copy.deepcopy(template["definition"])
    for node in definition["nodes"]:
        example = operation_of(node)["example"]["config"] if is_service(node) else {}
        for name in template.get("choose", {}).get(node["id"], ()):
            node["config"][name] = example[name] if name in example else CHOSEN[name]
        if node["type"] in app_trigger.types():
            node["config"]["path"] = template["sample_input"]["path"]
    return definition


@cache
def values_for(service, type_):
    """Return the values of a credential for the service, with those that its way asks for."""
    if type_ in ("oauth2", "oauth2_client_credentials"):
        return "http_bearer", {"token": "tok-1"}
    way = next((way for way in FILES.get(service, {}).get("auth", ()) if way["type"] == type_), {"type": type_})
    if type_ == "http_query":
        return type_, {"parameters": {name: "val-1" for name in way["names"]}}
    return type_, values_of(way)


@pytest.fixture
def run_template(server, owner, services, make_httpserver):
    """`run_template(template)` returns its ended run, its steps by node, and the requests that arrived."""

    def execute(template):
        nodes = {node["id"]: node for node in template["definition"]["nodes"]}
        for needed in template["credentials"]:
            service = next(
                node["type"].removesuffix(POLL) for node in nodes.values() if needed["name"] in node["config"].values()
            )
            type_, data = values_for(service, needed["type"])
            body = {"name": needed["name"], "type": type_, "hosts": [HOST], "data": data}
            made = owner.post("/api/credentials", body)
            assert made.status_code in (201, 409), made.text
        stub = Stub(make_httpserver, list_answers(template))
        definition = complete(template)
        assert owner.post("/api/workflows/validate", {"definition": definition}).json["issues"] == []
        flow = Workflow.find(owner.post("/api/flows", {"name": template["name"], "definition": definition}).json["id"])
        ticket = server.dispatcher.submit(Start(flow, template["sample_input"], "manual", next(iter(nodes))))
        run = server.dispatcher.waiting.wait(ticket, PATIENCE)
        return run, [{**each, "body": aim_back(open_mail(each["body"]), stub.port)} for each in stub.seen]

    return execute


def list_answers(template):
    """Return the answers of the services, in turn."""
    nodes, asked, found = {node["id"]: node for node in template["definition"]["nodes"]}, {}, []
    for told in template["trial"]:
        example = operation_of(nodes[told["by"]])["example"]
        exchanges = example.get("requests") or [example]
        number = asked[told["by"]] = asked.get(told["by"], -1) + 1
        answer = exchanges[number % len(exchanges)]
        found.append({**answer, "response": told["answer"]} if "answer" in told else answer)
    return found


def find_missing(told, seen, at="body"):
    """Return the first part that a request lacks, as text; None if it has all."""
    if isinstance(told, dict) and isinstance(seen, dict):
        found = (find_missing(value, seen.get(key), f"{at}.{key}") for key, value in told.items())
        return next(filter(None, found), None)
    if isinstance(told, list) and isinstance(seen, list) and len(told) == len(seen):
        found = (find_missing(*both, f"{at}[{number}]") for number, both in enumerate(zip(told, seen, strict=True)))
        return next(filter(None, found), None)
    return None if told == seen else f"{at} is {seen!r}, not {told!r}"


def open_mail(body):
    """Return a body in which a mail of Gmail can be read."""
    if isinstance(body, dict) and "raw" in body:
        raw = base64.urlsafe_b64decode(body["raw"] + "==")
        mail = email.message_from_bytes(raw, policy=email.policy.default)
        part = mail.get_body(("plain", "html"))
        return {"to": mail["To"], "subject": mail["Subject"], "text": part.get_content().replace("\r\n", "\n").strip()}
    return {key: open_mail(value) for key, value in body.items()} if isinstance(body, dict) else body


@pytest.mark.parametrize("id_", TEMPLATES)
def test_a_template_sends_what_its_trial_says(id_, run_template):
    template = TEMPLATES[id_]
    run, seen = run_template(template)
    assert (run.status, run.error_text) == ("success", None)
    assert [f"{request['method']} {request['url']}" for request in seen] == [
        told["request"] for told in template["trial"]
    ]
    for told, request in zip(template["trial"], seen, strict=True):
        assert find_missing(told.get("query", {}), request["query"], "query") is None
        assert find_missing(told.get("body"), request["body"]) is None, "body names what must arrive"
    done = {step.node_id for step in Step.select().where(Step.run_id == run.id, Step.status == "success")}
    assert {node["id"] for node in template["definition"]["nodes"]} - done == set(template.get("skipped", ()))


@pytest.mark.parametrize("id_", TEMPLATES)
def test_a_template_is_complete_and_in_plain_words(id_):
    template = TEMPLATES[id_]
    nodes = {node["id"]: node for node in template["definition"]["nodes"]}
    assert len({node["name"] for node in nodes.values()}) == len(nodes)
    assert template["description"].count(".") >= 2 and template["description"].endswith(".")
    assert any(is_service(node) or node["type"] in app_trigger.types() for node in nodes.values())
    trigger, sample = next(iter(nodes.values())), template["sample_input"]
    if trigger["type"] in app_trigger.types():
        preset = app_trigger.read(trigger["type"])
        assert sample.keys() == {"method", "path", "query", "headers", "body", "event"}
        assert sample["event"] in trigger["config"]["events"] and sample["event"] in preset["events"]
        if sample["event"] == preset["example"]["event"]:
            assert preset["example"]["body"].keys() - {"token", "api_app_id", "team_id"} <= sample["body"].keys()
    elif is_service(trigger):
        entry = operation_of(trigger)["example"]["output"]
        assert (entry[0] if isinstance(entry, list) else entry).keys() - {"Name", "Amount", "name"} <= sample.keys()


def test_ids_and_names_are_unique():
    assert len(TEMPLATES) == len(template_files.read()) == len({each["name"] for each in TEMPLATES.values()})
