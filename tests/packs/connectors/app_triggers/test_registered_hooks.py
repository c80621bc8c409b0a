"""Webhooks that the server adds in services: with the flow they come and go, and failures are told and repeated."""

from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from authorization_server import authorization_server
from hook_service import HookService
from oauth_accounts import connected_account
from test_app_triggers import PRESETS, call

from database import execute, write
from models import LogEntry, OAuthGrant, RegisteredHook, Run
from net.egress import HttpClient, Rule
from nodes.base import Once
from packs.connectors.app_triggers.registration import HookKeeper

pytestmark = pytest.mark.usefixtures("shared_server")

PUBLIC = "https://flows.example.com"
PATH = "apps/7f3a9c0e5b2d48d1a6c47f3a"
URL = f"{PUBLIC}/api/webhooks/{PATH}"
SETTINGS = {
    "telegram": {},
    "github": {"repository": "octocat/Hello-World"},
    "stripe": {},
    "shopify": {"shop": "tea.myshopify.com", "events": ["orders/create", "orders/paid"], "credential": "client secret"},
    "typeform": {"form_id": "lT4Z3j"},
    "jotform": {"form_id": "233494569850668"},
    "calendly": {"organization": "https://api.calendly.com/organizations/AAAA"},
}
ACCOUNTS = {
    "secret": {"value": "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"},
    "http_bearer": {"token": "sk_test_abc"},
    "http_header": {"name": "X-Api-Key", "value": "key-abc"},
}


@pytest.fixture
def service():
    found = HookService()
    yield found
    found.close()


@pytest.fixture
def keeper(app, monkeypatch):
    """Does due work when it is asked, in the test's thread. `keeper.tick()`."""
    server = app.extensions["headrace"]
    monkeypatch.setattr(server, "config", replace(server.config, public_url=PUBLIC))
    monkeypatch.setattr(server.dispatcher, "config", server.config)
    services = server.dispatcher.resources.services
    local = Once(lambda: HttpClient(Rule(["127.0.0.1"])))
    monkeypatch.setattr(server.dispatcher.resources, "services", replace(services, http=local))
    yield HookKeeper(server.dispatcher, server.vault, lambda: True, lambda work: work())
    local.close()


@pytest.fixture
def register(owner, make_flow, service, keeper):
    """`register(name)` makes an active flow with the service's trigger, which registers itself at the stub."""

    def make(name, path=PATH, account="account", status="active", type_=None, data=None, **config):
        type_ = type_ or PRESETS[name]["register"]["account"][0]
        body = {"name": account, "type": type_, "data": data or ACCOUNTS[type_], "hosts": ["127.0.0.1"]}
        owner.post("/api/credentials", body)
        if name == "shopify":
            secret = {"name": "client secret", "type": "secret", "data": {"value": "shpss_1"}}
            owner.post("/api/credentials", secret)
        config = {"path": path, "account": account, "api_url": service.url, **SETTINGS[name], **config}
        node = {"id": "event", "type": f"{name}_trigger", "config": config}
        return make_flow({"nodes": [node], "edges": []}, status=status, name=name)

    return make


def due():
    """Make all work due."""
    with write():
        execute("UPDATE registered_hooks SET next_at = 0")


def logged(word):
    return [entry.message for entry in LogEntry.select() if word in entry.message]


@pytest.mark.parametrize("name", SETTINGS)
def test_activation_adds_the_webhook_and_deactivation_removes_it(owner, service, keeper, register, name):
    flow = register(name)
    assert service.asked == []  # nothing before the flow is on record
    keeper.tick()
    events = SETTINGS[name].get("events", [""])
    assert service.urls == [URL] * len(events) and RegisteredHook.get().state == "added"
    assert len(logged("was added")) == 1
    keeper.tick()
    due()
    before = len(service.asked)
    keeper.tick()  # the daily check
    assert service.urls == [URL] * len(events) and {text.split()[0] for text in service.asked[before:]} == {"GET"}
    assert owner.put(f"/api/workflows/{flow['id']}", {"status": "draft"}).status_code == 200
    keeper.tick()
    assert service.urls == [] and RegisteredHook.select().count() == 0 and len(logged("was removed")) == 1
    assert not any("sk_test_abc" in entry.message + (entry.data or "") for entry in LogEntry.select())


@pytest.mark.parametrize("name", [name for name in SETTINGS if name not in ("shopify", "jotform")])
def test_events_are_signed_with_the_secret_that_the_service_was_told(
    client, service, keeper, register, monkeypatch, name
):
    register(name)
    assert call(client, name).status_code == 401
    keeper.tick()
    (hook,) = service.hooks.values()
    monkeypatch.setattr("test_app_triggers.SECRET", hook["secret"])
    assert call(client, name).status_code == 200 and Run.select().count() == 1
    assert hook["secret"] not in Run.get().input


def test_the_service_is_asked_as_its_api_says(service, keeper, register):
    register("github", events=["push", "issues"])
    keeper.tick()
    assert service.asked == [
        "GET /repos/octocat/Hello-World/hooks?per_page=100",
        "POST /repos/octocat/Hello-World/hooks",
    ]
    assert service.headers[-1]["Authorization"] == "Bearer sk_test_abc"
    assert service.headers[-1]["X-GitHub-Api-Version"] == "2022-11-28"
    body = service.bodies[-1]
    assert body["events"] == ["push", "issues"] and body["config"]["content_type"] == "json" and body["active"]


def test_shopify_is_asked_with_a_token_for_the_app(service, keeper, register):
    app = {"token_url": f"{service.url}/admin/oauth/access_token", "client_id": "app-1", "client_secret": "shpss_2"}
    register("shopify", type_="oauth2_client_credentials", data={**app, "auth": "body"}, events=["orders/create"])
    keeper.tick()
    assert service.urls == [URL]
    assert service.headers[-1]["X-Shopify-Access-Token"] == "shpat_of_a_day"
    assert "Authorization" not in service.headers[-1]


@pytest.mark.parametrize("end", ["archive", "delete", "path", "disable", "account"])
def test_every_end_of_a_trigger_removes_its_webhook(owner, service, keeper, register, end):
    flow = register("github")
    keeper.tick()
    address = f"/api/workflows/{flow['id']}"
    definition = owner.get(address).json["definition_json"]
    if end == "archive":
        assert owner.put(address, {"status": "archived"}).status_code == 200
    elif end == "delete":
        assert owner.delete(address).status_code == 204
    elif end == "path":
        assert owner.put(address, {"definition_json": definition.replace(PATH, "apps/other")}).status_code == 200
    elif end == "disable":
        changed = definition.replace('"id":"event"', '"id":"event","disabled":true')
        assert owner.put(address, {"definition_json": changed}).status_code == 200
    else:
        body = {"name": "other", "type": "http_bearer", "data": {"token": "sk_other"}, "hosts": ["127.0.0.1"]}
        assert owner.post("/api/credentials", body).status_code == 201
        changed = definition.replace('"account":"account"', '"account":"other"')
        assert owner.put(address, {"definition_json": changed}).status_code == 200
    keeper.tick()
    keeper.tick()
    left = {"path": [f"{PUBLIC}/api/webhooks/apps/other"], "account": [URL]}.get(end, [])
    assert service.urls == left


def test_other_events_replace_the_webhook_at_the_same_address(owner, service, keeper, register):
    flow = register("github", events=["push"])
    keeper.tick()
    definition = owner.get(f"/api/workflows/{flow['id']}").json["definition_json"].replace('"push"', '"issues"')
    assert owner.put(f"/api/workflows/{flow['id']}", {"definition_json": definition}).status_code == 200
    for _ in range(3):
        keeper.tick()
    (hook,) = service.hooks.values()
    assert (hook["url"], hook["events"]) == (URL, ["issues"]) and RegisteredHook.select().count() == 1


def test_a_flow_that_changes_back_and_forth_keeps_its_webhook(owner, service, keeper, register):
    flow = register("github")
    for status in ("draft", "active", "draft", "active"):
        assert owner.put(f"/api/workflows/{flow['id']}", {"status": status}).status_code == 200
    for _ in range(6):
        keeper.tick()
    assert service.urls == [URL] and [row.state for row in RegisteredHook.select()] == ["added"]


def test_two_flows_have_a_webhook_each(owner, service, keeper, register):
    first = register("github")
    register("github", path="apps/second")
    for _ in range(2):
        keeper.tick()
    assert service.urls == sorted([URL, f"{PUBLIC}/api/webhooks/apps/second"])
    assert owner.delete(f"/api/workflows/{first['id']}").status_code == 204
    keeper.tick()
    assert service.urls == [f"{PUBLIC}/api/webhooks/apps/second"]


def test_webhooks_of_others_are_left_alone(owner, service, keeper, register):
    service.add("https://other.example/hook", at="repos/octocat/Hello-World")
    flow = register("github")
    keeper.tick()
    assert owner.delete(f"/api/workflows/{flow['id']}").status_code == 204
    keeper.tick()
    assert service.urls == ["https://other.example/hook"]


def test_a_bot_that_sends_elsewhere_is_not_taken_over(service, keeper, register):
    service.add("https://other.example/hook", "bot")
    register("telegram")
    keeper.tick()
    assert service.urls == ["https://other.example/hook"]
    assert "can have only one" in RegisteredHook.get().last_error and len(logged("can have only one")) == 1


def test_a_webhook_that_somebody_removed_is_added_again(service, keeper, register):
    register("stripe")
    keeper.tick()
    service.hooks.clear()
    due()
    keeper.tick()
    assert service.urls == [URL] and RegisteredHook.get().state == "added"


def test_a_failure_is_logged_once_and_repeated_later(service, keeper, register):
    register("github")
    service.fails = 503
    keeper.tick()
    row = RegisteredHook.get()
    assert row.attempts == 1 and "503" in row.last_error and len(logged("could not be added")) == 1
    asked = len(service.asked)
    keeper.tick()
    assert len(service.asked) == asked  # not at once
    due()
    keeper.tick()
    assert RegisteredHook.get().attempts == 2 and len(logged("could not be added")) == 1
    service.fails = None
    due()
    keeper.tick()
    assert service.urls == [URL] and RegisteredHook.get().last_error is None


@pytest.mark.parametrize(
    ("name", "header", "value"),
    [
        ("github", "Authorization", "Bearer {}"),
        ("typeform", "Authorization", "Bearer {}"),
        ("calendly", "Authorization", "Bearer {}"),
    ],
)
def test_a_connected_account_registers_and_its_token_is_refreshed(
    owner, service, keeper, register, name, header, value
):
    with authorization_server() as there:
        body = {"name": "mine", "type": "oauth2", "data": there.credential(), "hosts": ["127.0.0.1"]}
        account = owner.post("/api/credentials", body).json
        url = owner.post(f"/api/credentials/{account['id']}/connect").json["authorization_url"]
        back = urlsplit(there.consent(url))
        assert owner.get(f"{back.path}?{back.query}").status_code == 200
        flow = register(name, account="mine")
        keeper.tick()
        first = service.headers[-1][header]
        assert set(service.urls) == {URL} and first == value.format(there.tokens[-1].values["access_token"])
        with write():
            OAuthGrant.update(refresh_at=1, expires_at=1).execute()
        assert owner.delete(f"/api/workflows/{flow['id']}").status_code == 204
        keeper.tick()
        last = service.headers[-1][header]
        assert service.urls == [] and there.refreshes == 1 and last != first
        assert last == value.format(there.tokens[-1].values["access_token"])


def test_an_account_of_a_service_that_has_none_is_refused(owner, register):
    flow = register("stripe", status="draft")
    account = connected_account(owner, "mine")
    definition = owner.get(f"/api/workflows/{flow['id']}").json["definition_json"]
    changed = definition.replace('"account":"account"', '"account":"mine"')
    answer = owner.put(f"/api/workflows/{flow['id']}", {"status": "active", "definition_json": changed})
    assert account and answer.status_code == 400 and "it must be http_bearer" in answer.json["error"]


def test_a_token_in_an_address_is_not_logged(service, keeper, register):
    register("telegram")
    service.fails = 401
    keeper.tick()
    assert "AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw" not in RegisteredHook.get().last_error
    assert not logged("AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw") and logged("could not be added")


def test_an_account_is_sent_to_its_hosts_only(owner, service, keeper, register):
    register("github", status="draft")
    (row,) = owner.get("/api/credentials").json["items"]
    other = {"hosts": ["api.github.com"], "data": ACCOUNTS["http_bearer"]}
    answer = owner.put(f"/api/credentials/{row['id']}", other)
    assert answer.status_code == 200, answer.text
    (flow,) = owner.get("/api/flows").json["items"]
    assert owner.put(f"/api/workflows/{flow['id']}", {"status": "active"}).status_code == 200
    keeper.tick()
    assert service.asked == [] and "may not be sent to 127.0.0.1" in RegisteredHook.get().last_error


def test_the_account_of_an_active_flow_cannot_be_deleted(owner, register):
    register("github")
    (row,) = owner.get("/api/credentials").json["items"]
    assert owner.delete(f"/api/credentials/{row['id']}").status_code == 409


def test_without_a_public_address_the_flow_cannot_be_activated(app, owner, register, monkeypatch):
    server = app.extensions["headrace"]
    monkeypatch.setattr(server, "config", replace(server.config, public_url=""))
    flow = register("github", status="draft")
    answer = owner.put(f"/api/workflows/{flow['id']}", {"status": "active"})
    assert answer.status_code == 400 and "HEADRACE_PUBLIC_URL" in answer.json["error"]


@pytest.mark.parametrize(
    ("name", "config", "text"),
    [
        ("github", {"repository": None}, "repository: is required"),
        ("github", {"organization": "octo"}, "Cannot be combined"),
        ("github", {"repository": "octocat"}, "Does not look right"),
        ("shopify", {"credential": None}, "signs with"),
        ("telegram", {"events": ["nothing"]}, "Must be one of"),
    ],
)
def test_wrong_settings_are_refused(owner, register, name, config, text):
    flow = register(name, status="draft", **config)
    definition = owner.get(f"/api/workflows/{flow['id']}").json["definition_json"]
    for key, value in config.items():
        definition = (
            definition.replace(f'"{key}":null,', "").replace(f',"{key}":null', "") if value is None else definition
        )
    answer = owner.put(f"/api/workflows/{flow['id']}", {"status": "active", "definition_json": definition})
    assert answer.status_code == 400 and text.lower() in answer.json["error"].lower()


def test_an_account_that_does_not_exist_is_refused(owner, register):
    flow = register("github", status="draft")
    definition = owner.get(f"/api/workflows/{flow['id']}").json["definition_json"]
    changed = definition.replace('"account":"account"', '"account":"nobody"')
    answer = owner.put(f"/api/workflows/{flow['id']}", {"status": "active", "definition_json": changed})
    assert answer.status_code == 400 and "there is no credential 'nobody'" in answer.json["error"]
