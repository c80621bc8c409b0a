"""Webhooks that the server could not remove from a service: the dashboard says so, and what to do."""

import pytest
from hook_service import HookService
from playwright.sync_api import expect
from servers import serving, until

PUBLIC = "https://flows.example.com"


@pytest.fixture(scope="module")
def service():
    made = HookService()
    yield made
    made.close()


@pytest.fixture(scope="module")
def server(equipped, tmp_path_factory):
    with serving(tmp_path_factory.mktemp("data"), HEADRACE_PUBLIC_URL=PUBLIC) as server:
        yield server


def fail_removal(server, service, path):
    """Create a flow whose webhook is added at GitHub and cannot be removed. Return the flow's id."""
    service.fails = None
    name = f"account of {path}"
    account = {"name": name, "type": "http_bearer", "data": {"token": "t"}, "hosts": ["127.0.0.1"]}
    server.call("POST", "/api/credentials", account)
    config = {"path": path, "account": name, "api_url": service.url, "repository": "a/b"}
    node = {"id": "event", "type": "github_trigger", "config": config}
    body = {"name": "Pushes", "status": "active", "definition": {"nodes": [node], "edges": []}}
    flow = server.call("POST", "/api/flows", body)["id"]
    address = f"{PUBLIC}/api/webhooks/{path}"
    until(lambda: address in service.urls, "the webhook is added")
    service.fails = 404
    server.call("PUT", f"/api/workflows/{flow}", {"status": "draft"})
    until(lambda: server.call("GET", "/api/registered-webhooks")["items"], "the removal fails")
    return flow


def test_a_webhook_is_removed_by_hand(page, server, service, log_in, axe):
    fail_removal(server, service, "apps/hook")
    log_in(page)
    page.goto("/")
    expect(page.get_by_text("The webhook could not be removed from GitHub")).to_be_visible()
    axe(page)
    page.get_by_role("button", name="Remove by hand").click()
    dialog = page.get_by_role("dialog", name="Remove the webhook from GitHub")
    expect(dialog).to_contain_text("Settings, Webhooks")
    expect(dialog).to_contain_text(f"{PUBLIC}/api/webhooks/apps/hook")
    axe(page)
    dialog.get_by_role("button", name="I removed it").click()
    expect(page.get_by_text("The webhook could not be removed from GitHub")).to_have_count(0)
    assert server.call("GET", "/api/registered-webhooks")["items"] == []


def test_it_is_told_without_any_flow_too(page, server, service, log_in, axe):
    fail_removal(server, service, "apps/other")
    for flow in server.call("GET", "/api/flows")["items"]:
        server.call("DELETE", f"/api/workflows/{flow['id']}", status=(204,))
    log_in(page)
    page.goto("/")
    expect(page.get_by_role("heading", name="Welcome")).to_be_visible()
    expect(page.get_by_text("The webhook could not be removed from GitHub")).to_be_visible()
    expect(page.get_by_role("button", name="Remove by hand")).to_be_visible()
    axe(page)
