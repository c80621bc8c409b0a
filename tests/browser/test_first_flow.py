"""A first flow: from the dashboard to an answered call with at most 16 clicks, each node tried when it is made."""

import json
import re
import urllib.request

from playwright.sync_api import expect

MOST_CLICKS, MOST_ENTRIES = 16, 9


class Newcomer:
    """A user with a mouse: every click and every text that is typed is noted."""

    def __init__(self, editor):
        self.editor, self.page, self.panel = editor, editor.page, editor.panel
        self.clicks, self.entries = [], []

    def click(self, what, target, **options):
        target.click(**options)
        self.clicks.append(what)

    def type(self, text):
        """Type into the focused field, in place of its content."""
        self.page.keyboard.press("Control+A")
        self.page.keyboard.insert_text(text)
        self.entries.append(text)

    def add(self, name):
        """Add a node from the list, after the selected one."""
        nodes = self.page.get_by_role("region", name="Node list")
        suggested = nodes.get_by_role("group", name="Suggested")
        self.click(f"{name} in the list", suggested.get_by_role("option", name=name))

    def try_out(self):
        self.click("Run this node", self.panel.get_by_role("button", name="Run this node"))
        self.editor.ended()

    def begin(self):
        self.page.goto("/")
        self.click("Start from scratch", self.page.get_by_role("button", name="Start from scratch"))
        self.editor.is_open()
        self.editor.flow = self.page.url.rpartition("/")[2]

    def add_webhook(self):
        self.add("Webhook")
        expect(self.editor.field("Path")).to_have_value(re.compile("^[a-z0-9-]+-[0-9a-f]{6}$"))
        expect(self.panel.get_by_text("Path is required")).to_have_count(0)
        expect(self.panel.get_by_text("Inactive: it answers once the flow is active")).to_be_visible()
        expect(self.panel.get_by_text(f"/api/webhooks-test/{self.editor.flow}/")).to_be_visible()
        self.click("Listen", self.panel.get_by_role("button", name="Listen for a test call"))
        address = self.page.get_by_role("region", name="Test call").get_by_text(re.compile("^POST http"))
        call(address.inner_text().removeprefix("POST "), {"city": "Bern"})
        self.editor.ended()

    def add_request(self, url):
        self.add("HTTP request")
        expect(self.editor.field("URL")).to_be_focused()
        expect(self.panel.get_by_text("Query parameters", exact=True)).to_be_visible()
        expect(self.panel.get_by_text("Headers", exact=True)).to_be_visible()
        # The focus scrolls the name of the node out of sight only if it must.
        expect(self.panel.get_by_label("Node name")).to_be_in_viewport()
        self.type(url)
        self.try_out()

    def add_condition(self):
        self.add("If")
        expect(self.panel.get_by_label("Condition, condition 1: field")).to_be_focused()
        # The response of the request that has just run is offered at once.
        self.type("degrees")
        expect(self.page.get_by_role("option", name="input.body.degrees 21")).to_be_visible()
        self.page.keyboard.press("ArrowDown")
        self.page.keyboard.press("Enter")
        self.click("operator", self.panel.get_by_label("Condition, condition 1: operator"))
        self.click("is greater than", self.page.get_by_role("option", name="is greater than"))
        expect(self.panel.get_by_role("textbox", name="Condition, condition 1: value")).to_be_focused()
        self.type("15")
        self.try_out()

    def add_values(self):
        self.add("Set values")
        expect(self.panel.get_by_label("Values: name 1")).to_be_focused()
        self.type("warm")
        self.page.keyboard.press("Tab")
        self.page.keyboard.type("{{ input.body.")
        expect(self.page.get_by_role("option", name="degrees")).to_be_visible()
        self.type("{{ trigger.body.city }}")
        self.try_out()

    def activate(self):
        self.editor.saved()
        self.click("Active", self.page.get_by_role("switch"), force=True)
        expect(self.page.get_by_text("Active", exact=True)).to_be_visible()

    def copy_address(self):
        """Copy the live address, which the panel shows while nothing is selected."""
        self.click("the canvas", self.editor.canvas, position={"x": 250, "y": 250})
        self.click("Copy URL", self.page.get_by_role("button", name="Copy URL").first)
        return self.page.evaluate("navigator.clipboard.readText()")


def call(url, body):
    """Call the webhook as a client elsewhere would, and return its answer."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


def test_a_first_flow_answers_a_call_after_at_most_16_clicks(editor, context, httpserver):
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    httpserver.expect_request("/weather").respond_with_json({"degrees": 21})
    newcomer = Newcomer(editor)
    newcomer.begin()
    newcomer.add_webhook()
    newcomer.add_request(httpserver.url_for("/weather"))
    newcomer.add_condition()
    newcomer.add_values()
    newcomer.add("Respond to webhook")
    newcomer.try_out()
    newcomer.activate()
    assert call(newcomer.copy_address(), {"city": "Thun"}) == {"warm": "Thun"}
    print(f"{len(newcomer.clicks)} clicks: {', '.join(newcomer.clicks)}; {len(newcomer.entries)} text entries")
    assert len(newcomer.clicks) <= MOST_CLICKS and len(newcomer.entries) <= MOST_ENTRIES
