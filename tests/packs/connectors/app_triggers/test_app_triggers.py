"""Triggers of services: a recorded call of each, written from its documentation, and what is not a call of it."""

import base64
import hashlib
import hmac
import json
import time
from urllib.parse import urlencode

import pytest
from jsonschema import Draft202012Validator

from models import LogEntry, Run
from nodes import catalogue
from packs.connectors.app_triggers import app_trigger
from packs.connectors.app_triggers.app_events import is_signed

pytestmark = pytest.mark.usefixtures("shared_server")

SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
FOLDER = app_trigger.FOLDER
NAMES = sorted(type_.removesuffix("_trigger") for type_ in app_trigger.types())
PRESETS = {name: app_trigger.read(f"{name}_trigger") for name in NAMES}
PATH = "apps/7f3a9c0e5b2d48d1a6c47f3a"


def sign(text, encoding="hex"):
    digest = hmac.new(SECRET.encode(), text, hashlib.sha256)
    return digest.hexdigest() if encoding == "hex" else base64.b64encode(digest.digest()).decode()


def pairs(body, at):
    return f"t={at},v1={sign(f'{at}.'.encode() + body)}"


# The headers of each service for a body at a time, as its documentation describes them.
HEADERS = {
    "telegram": lambda body, at: {"X-Telegram-Bot-Api-Secret-Token": SECRET},
    "github": lambda body, at: {
        "X-Hub-Signature-256": f"sha256={sign(body)}", "X-GitHub-Event": "push",
        "X-GitHub-Delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958", "User-Agent": "GitHub-Hookshot/044aadd",
    },
    "stripe": lambda body, at: {"Stripe-Signature": f"{pairs(body, at)},v0=6ffbb59b2300aae63f272406069a9788598b"},
    "slack": lambda body, at: {
        "X-Slack-Signature": f"v0={sign(f'v0:{at}:'.encode() + body)}", "X-Slack-Request-Timestamp": str(at),
    },
    "shopify": lambda body, at: {
        "X-Shopify-Hmac-SHA256": sign(body, "base64"), "X-Shopify-Topic": "orders/create",
        "X-Shopify-Webhook-Id": "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043", "X-Shopify-Shop-Domain": "tea.myshopify.com",
    },
    "typeform": lambda body, at: {"Typeform-Signature": f"sha256={sign(body, 'base64')}"},
    "jotform": lambda body, at: {},
    "whatsapp": lambda body, at: {"X-Hub-Signature-256": f"sha256={sign(body)}"},
    "calendly": lambda body, at: {"Calendly-Webhook-Signature": pairs(body, at)},
}  # fmt: skip
SIGNED = [name for name in NAMES if name != "jotform"]
TIMED = ["stripe", "slack", "calendly"]


def encode(name, body):
    """Return a body as the service sends it, and its content type."""
    if name != "jotform":
        return json.dumps(body).encode(), "application/json"
    form = {key: json.dumps(value) if isinstance(value, dict) else value for key, value in body.items()}
    return urlencode(form).encode(), "application/x-www-form-urlencoded"


def call(client, name, body=None, at=None, headers=None, path=f"/api/webhooks/{PATH}"):
    """Call the trigger as the service does."""
    raw, kind = encode(name, PRESETS[name]["example"]["body"] if body is None else body)
    sent = HEADERS[name](raw, int(time.time()) if at is None else at) | (headers or {})
    return client.post(path, data=raw, content_type=kind, headers=sent)


def config_of(name, **config):
    found = {"path": PATH, **config}
    if name in SIGNED:
        found["credential"] = "signing"
    if name == "whatsapp":
        found["verify_token"] = "a word of ours"
    return found


@pytest.fixture
def trigger(owner, make_flow):
    """`trigger(name, **config)` makes an active flow with the service's trigger."""
    body = {"name": "signing", "type": "secret", "data": {"value": SECRET}}
    assert owner.post("/api/credentials", body).status_code == 201

    def make(name, status="active", **config):
        node = {"id": "event", "type": f"{name}_trigger", "config": config_of(name, **config)}
        return make_flow({"nodes": [node], "edges": []}, status=status)

    return make


# Files


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_as_its_schema_says(name):
    Draft202012Validator(json.loads((FOLDER / "_schema.json").read_text())).validate(PRESETS[name])
    assert PRESETS[name]["example"]["event"] in PRESETS[name]["events"]


def test_each_service_has_an_entry_in_the_catalog(owner):
    entries = {entry["type"]: entry for entry in catalogue() if entry["trigger"]}
    for name in NAMES:
        entry = entries[f"{name}_trigger"]
        assert entry["name"] == f"{PRESETS[name]['name']} trigger" and entry["mark"] == PRESETS[name]["icon"]
        assert entry["config_schema"]["properties"]["path"]["x-steps"] == PRESETS[name]["steps"]
    assert {item["type"] for item in owner.get("/api/nodes?search=pull request&limit=200").json["items"]} >= {
        "github_trigger"
    }


def test_nine_services_have_a_test():
    assert set(NAMES) == set(HEADERS)


# Calls


@pytest.mark.parametrize("name", NAMES)
def test_a_call_of_the_service_starts_a_run_with_its_event(client, trigger, name):
    trigger(name)
    answer = call(client, name)
    assert answer.status_code == 200
    run = Run.find(answer.json["run_id"])
    input = json.loads(run.input)
    assert (input["event"], input["body"]) == (PRESETS[name]["example"]["event"], PRESETS[name]["example"]["body"])
    assert SECRET not in run.input and run.triggered_by == "webhook"
    assert (
        not {header.lower() for header in HEADERS[name](b"", 0)}
        & {PRESETS[name]["verify"].get("header", "").lower()}
        & (input["headers"].keys())
    )


@pytest.mark.parametrize("name", SIGNED)
def test_a_wrong_signature_starts_no_run_and_is_logged(app, client, trigger, name):
    trigger(name)
    header = PRESETS[name]["verify"]["header"]
    right = HEADERS[name](encode(name, PRESETS[name]["example"]["body"])[0], int(time.time()))
    sent = next(value for key, value in right.items() if key.lower() == header.lower())
    for wrong in ("", "x", "é", sent[:20], sent.swapcase(), f" {sent}x"[1:20]):
        assert call(client, name, headers={header: wrong}).status_code == 401, wrong
    changed = {**PRESETS[name]["example"]["body"], "more": 1}
    raw, kind = encode(name, changed)
    if name != "telegram":
        assert client.post(f"/api/webhooks/{PATH}", data=raw, content_type=kind, headers=right).status_code == 401
    assert Run.select().count() == 0
    app.extensions["headrace"].recorder.commit([])
    assert LogEntry.select().where(LogEntry.message.contains("signature is missing, wrong or too old")).count() == 1


@pytest.mark.parametrize("name", TIMED)
@pytest.mark.parametrize("age", [301, -301, 10**6])
def test_a_call_that_was_recorded_long_ago_is_refused(client, trigger, name, age):
    trigger(name)
    assert call(client, name, at=int(time.time()) - age).status_code == 401
    assert Run.select().count() == 0


@pytest.mark.parametrize("name", NAMES)
def test_a_repeated_call_starts_no_second_run(client, trigger, name):
    trigger(name)
    first, second = call(client, name), call(client, name)
    assert (first.status_code, second.status_code) == (200, 200) and first.json == second.json
    assert Run.select().count() == 1


@pytest.mark.parametrize("name", [name for name in NAMES if len(PRESETS[name]["events"]) > 1])
def test_an_event_that_was_not_chosen_is_answered_without_a_run(client, trigger, name):
    other = next(event for event in PRESETS[name]["events"] if event != PRESETS[name]["example"]["event"])
    trigger(name, events=[other])
    answer = call(client, name)
    assert (answer.status_code, answer.json) == (200, {"ok": True}) and Run.select().count() == 0


def test_the_example_of_github_s_documentation_is_signed_right():
    headers = {"X-Hub-Signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"}
    assert is_signed(PRESETS["github"]["verify"], "It's a Secret to Everybody", headers, b"Hello, World!", 0)


def test_the_example_of_slack_s_documentation_is_signed_right():
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar"
        b"&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com"
        b"%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d"
        b"10d2c447fce8b6703c"
    )
    headers = {
        "X-Slack-Signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
        "X-Slack-Request-Timestamp": "1531420618",
    }
    assert is_signed(PRESETS["slack"]["verify"], SECRET, headers, body, 1531420618)


# Challenges


def test_slack_is_answered_its_challenge(client, trigger):
    trigger("slack", events=["app_mention"])
    answer = call(client, "slack", {"token": "x", "challenge": "3eZbrw1aB", "type": "url_verification"})
    assert (answer.status_code, answer.json) == (200, {"challenge": "3eZbrw1aB"}) and Run.select().count() == 0
    forged = call(
        client, "slack", {"challenge": "x", "type": "url_verification"}, headers={"X-Slack-Signature": "v0=1"}
    )
    assert forged.status_code == 401


def test_whatsapp_is_answered_its_challenge_if_it_knows_the_verify_token(client, trigger):
    trigger("whatsapp")
    asked = {"hub.mode": "subscribe", "hub.verify_token": "a word of ours", "hub.challenge": "1158201444"}
    answer = client.get(f"/api/webhooks/{PATH}", query_string=asked)
    assert (answer.status_code, answer.text, answer.mimetype) == (200, "1158201444", "text/plain")
    for wrong in ({"hub.verify_token": "x"}, {"hub.mode": "x"}, {"hub.verify_token": ""}):
        assert client.get(f"/api/webhooks/{PATH}", query_string={**asked, **wrong}).status_code == 403
    assert client.get(f"/api/webhooks/{PATH}").status_code == 403 and Run.select().count() == 0


def test_guesses_at_a_verify_token_are_limited_and_do_not_keep_out_events(client, trigger):
    trigger("whatsapp")
    asked = {"hub.mode": "subscribe", "hub.verify_token": "guess", "hub.challenge": "1"}
    statuses = [
        client.get(
            f"/api/webhooks/{PATH}", query_string=asked, headers={"X-Forwarded-For": f"203.0.113.{number}"}
        ).status_code
        for number in range(40)
    ]
    assert statuses[:10] == [403] * 10 and statuses.count(429) > 25
    assert call(client, "whatsapp").status_code == 200 and Run.select().count() == 1


def test_a_ping_of_github_is_answered_without_a_run(client, trigger):
    trigger("github")
    answer = call(client, "github", {"zen": "Keep it logically awesome."}, headers={"X-GitHub-Event": "ping"})
    assert answer.json == {"ok": True} and Run.select().count() == 0


def test_statuses_of_one_message_of_whatsapp_are_events_of_their_own(client, trigger):
    trigger("whatsapp")
    for status, runs in (("sent", 1), ("sent", 1), ("delivered", 2)):
        change = {"field": "messages", "value": {"statuses": [{"id": "wamid.1", "status": status}]}}
        assert call(client, "whatsapp", {"entry": [{"changes": [change]}]}).status_code == 200
        assert Run.select().count() == runs


@pytest.mark.parametrize("name", SIGNED)
@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'"x"', b"[[[", b"7"])
def test_any_signed_body_is_answered(client, trigger, name, body):
    trigger(name, events=[PRESETS[name]["example"]["event"]])
    headers = HEADERS[name](body, int(time.time()))
    answer = client.post(f"/api/webhooks/{PATH}", data=body, content_type="application/json", headers=headers)
    assert answer.status_code in (200, 400)


# Flows


@pytest.mark.parametrize("name", NAMES)
def test_a_trigger_without_a_proof_cannot_be_activated(owner, name):
    config = {"path": "apps/hook"} | ({"verify_token": "a word of ours"} if name == "whatsapp" else {})
    body = {"name": "x", "status": "active", "definition": {"nodes": [
        {"id": "event", "type": f"{name}_trigger", "config": config},
    ]}}  # fmt: skip
    answer = owner.post("/api/flows", body)
    assert answer.status_code == 400
    words = ["random characters"] if name == "jotform" else ["signs with", "or enter a signing secret"]
    assert any(text in answer.json["error"] for text in words)


def test_an_inactive_flow_keeps_its_address(owner, client, trigger):
    flow = trigger("whatsapp")
    assert owner.put(f"/api/workflows/{flow['id']}", {"status": "draft"}).status_code == 200
    assert client.post(f"/api/webhooks/{PATH}").status_code == 404
    other = {"id": "hook", "type": "webhook", "config": {"path": PATH, "methods": ["GET"]}}
    body = {"name": "x", "status": "active", "definition": {"nodes": [other]}}
    assert owner.post("/api/flows", body).status_code == 409


def test_the_credential_of_an_active_trigger_cannot_be_deleted(owner, trigger):
    trigger("stripe")
    (row,) = owner.get("/api/credentials").json["items"]
    assert owner.delete(f"/api/credentials/{row['id']}").status_code == 409


@pytest.mark.parametrize("name", NAMES)
def test_a_test_call_takes_an_event(owner, client, trigger, name):
    flow = trigger(name, status="draft")
    begun = owner.post(f"/api/workflows/{flow['id']}/test-call", {})
    assert begun.status_code == 201
    path = f"/api/webhooks-test/{flow['id']}/{PATH}"
    assert {address["path"] for address in begun.json["addresses"]} == {path}
    if name in SIGNED:
        assert call(client, name, path=path, headers={PRESETS[name]["verify"]["header"]: "x"}).status_code == 401
    answer = call(client, name, path=path)
    assert answer.status_code == 200
    assert json.loads(Run.find(answer.json["run_id"]).input)["event"] == PRESETS[name]["example"]["event"]
