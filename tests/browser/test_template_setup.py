"""A template is set up from the gallery to an active flow, step by step: on a wide screen, and on a phone."""

import json
import re

import chromium
import pytest
from connector_stub import HOST, aim
from playwright.sync_api import expect
from pytest_httpserver import HTTPServer
from servers import serving, until
from werkzeug import Response

from packs.connectors import connector_files

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
CHANNELS = {"ok": True, "channels": [{"id": "C1", "name": "general"}, {"id": "C2", "name": "sales"}]}
ANSWERS = {
    "conversations.list": CHANNELS,
    "chat.postMessage": {"ok": True, "channel": "C2", "ts": "1.0", "message": {}},
    "search": {"total": 0, "results": []},
}


@pytest.fixture(scope="module")
def service():
    """HubSpot and Slack in one server; `service.log` has the requests."""
    with HTTPServer(host=HOST) as service:

        def answer(request):
            found = ANSWERS.get(request.path.rpartition("/")[2], {"ok": True})
            return Response(json.dumps(found), content_type="application/json")

        service.expect_request(re.compile("/https/.*")).respond_with_handler(answer)
        yield service


@pytest.fixture(scope="module")
def server(equipped, service, tmp_path_factory):
    """A server whose HubSpot and Slack are the local ones, with tokens as the only way to connect."""
    folder = tmp_path_factory.mktemp("connectors")
    for type_ in ("hubspot", "slack"):
        file = aim(connector_files.read(type_), service.port)
        token = next(way for way in file["auth"] if way["type"] == "http_bearer")
        file["auth"] = [{**token, "hosts": [HOST]}]
        (folder / f"{type_}.json").write_text(json.dumps(file))
    data = tmp_path_factory.mktemp("data")
    with serving(data, HEADRACE_CONNECTORS_DIR=folder, HEADRACE_EGRESS_ALLOW=HOST) as server:
        yield server


def connect(page, service, token):
    """Connect an account in the dialog that opens."""
    page.get_by_role("button", name=re.compile(f"Connect {service}|New credential")).first.click()
    dialog = page.get_by_role("dialog", name=f"Connect {service}")
    dialog.get_by_role("textbox", name=re.compile("token", re.I)).fill(token)
    dialog.get_by_role("button", name="Save").click()
    done = dialog.get_by_role("button", name="Done")
    expect(done.or_(page.get_by_role("combobox", name=re.compile("credential|account", re.I)).first)).to_be_visible()
    if done.is_visible():
        done.click()
    expect(dialog).to_be_hidden()


def test_a_template_is_found_set_up_tested_and_switched_on(page, server, service, axe):
    chromium.log_in(page)
    page.goto("/templates")
    goals = page.get_by_role("radiogroup", name="Goal")
    goals.get_by_text("Leads and sales").click()
    page.get_by_role("combobox", name="Service").click()
    page.get_by_role("option", name="HubSpot").click()
    expect(page.get_by_role("article")).to_have_count(2)
    axe(page)
    card = page.get_by_role("article").filter(has_text="Celebrate large new deals")
    expect(card).to_contain_text("HubSpot, Slack")
    card.get_by_role("button", name="Celebrate large new deals").click()
    preview = page.get_by_role("dialog")
    expect(preview).not_to_contain_text("http_bearer")
    preview.get_by_role("button", name="Use template").click()

    # The accounts: one is there already, the other is connected.
    steps = page.get_by_role("navigation", name="Steps")
    expect(page.get_by_role("heading", name="Connect accounts")).to_be_visible()
    expect(page.get_by_role("heading", name="Slack")).to_be_visible()
    axe(page)
    connect(page, "HubSpot", "tok-1")
    body = {"name": "Team chat", "type": "http_bearer", "data": {"token": "tok-2"}, "hosts": [HOST]}
    server.call("POST", "/api/credentials", body)
    page.reload()
    page.get_by_role("combobox").last.click()
    page.get_by_role("option", name="Team chat").click()
    expect(steps.get_by_role("img", name="Done")).to_have_count(1)
    page.get_by_role("button", name="Next").click()

    # What is the user's own: the channel, from the list of the service.
    expect(page.get_by_role("heading", name="Announce the deal")).to_be_visible()
    page.get_by_role("button", name="Choose channel").click()
    page.get_by_role("option", name="sales").click()
    page.get_by_label("Variable “least”").fill("8000")
    expect(steps.get_by_role("img", name="Done")).to_have_count(2)
    axe(page)

    # To the canvas, and back to the same step.
    page.get_by_role("button", name="Open in editor").click()
    expect(page.get_by_text("3 of 5 done")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name="Announce the deal")).to_be_visible()
    page.get_by_role("button", name="Next").click()

    # The sample runs through both services.
    page.get_by_role("button", name="Run with the sample").click()
    outcome = page.get_by_role("list", name="Outcome of each step")
    expect(outcome.get_by_text("Succeeded")).to_have_count(3)
    sent = [request.get_json() for request, _ in service.log if request.path.endswith("chat.postMessage")]
    assert sent == [{"channel": "C2", "text": "New deal: Big order, worth 9000"}]
    axe(page)
    page.get_by_role("button", name="Next").click()
    page.get_by_role("button", name="Switch on").last.click()
    expect(page.get_by_text("The flow is active")).to_be_visible()
    (flow,) = server.call("GET", "/api/flows")["items"]
    assert (flow["name"], flow["status"]) == ("Celebrate large new deals in the team chat", "active")
    # A poll asks HubSpot now.
    until(lambda: any("search" in request.path for request, _ in service.log), "HubSpot is asked for deals")


def test_the_set_up_works_on_a_phone(new_context, server, axe):
    context = new_context(**PHONE)
    watch = chromium.Watch(context)
    page = context.new_page()
    chromium.log_in(page)
    page.goto("/templates?service=slack&category=sales&template=typeform-lead-to-sheets")
    page.get_by_role("dialog").get_by_role("button", name="Use template").click()
    expect(page.get_by_role("heading", name="Connect accounts")).to_be_visible()
    axe(page)
    page.get_by_role("button", name="Next").click()
    for name in ("New answer", "Add a row", "Tell the team"):
        expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()
    axe(page)
    # What is missing is told where it is refused.
    watch.allow(400, "/publish")
    page.get_by_role("navigation", name="Steps").get_by_role("button", name="Switch on").click()
    expect(page.get_by_text("Some steps are not done yet")).to_be_visible()
    page.get_by_role("button", name="Switch on").last.click()
    expect(page.get_by_role("alert")).to_contain_text("Tell the team")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("button", name="Back").click()
    expect(page.get_by_role("heading", name="Test", exact=True)).to_be_visible()
    assert not watch.complaints, "\n".join(watch.complaints)
