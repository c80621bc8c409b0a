"""A first flow: from an empty canvas to an answered call with at most 16 clicks, each node tried when it is made."""

import json
import re
import urllib.request

from playwright.sync_api import expect

MOST_CLICKS = 16


class Newcomer:
    """A user of the editor, whose clicks are counted. Keys are not: names, addresses and values are typed anyway."""

    def __init__(self, editor):
        self.editor, self.page, self.panel, self.clicks = editor, editor.page, editor.panel, 0

    def click(self, target, **options):
        target.click(**options)
        self.clicks += 1

    def button(self, name):
        return self.page.get_by_role("button", name=name, exact=True)

    def add_after(self, name, words):
        self.click(self.button(f"Add a node after {name}"))
        self.editor.pick(words)

    def try_out(self):
        self.click(self.panel.get_by_role("button", name="Run this node"))
        self.editor.ended()

    def add_webhook(self):
        self.click(self.button("Add first node"))
        self.editor.pick("webhook")
        expect(self.editor.field("Path")).to_be_focused()
        self.page.keyboard.type("weather")
        self.click(self.panel.get_by_role("combobox", name="Response"))
        self.click(self.page.get_by_role("option", name="By a Respond node"))
        self.click(self.panel.get_by_role("button", name="Listen for a test call"))
        address = self.page.get_by_role("region", name="Test call").get_by_text(re.compile("^POST http"))
        call(address.inner_text().removeprefix("POST "), {"city": "Bern"})
        self.editor.ended()

    def add_request(self, url):
        self.add_after("Webhook", "http")
        expect(self.editor.field("URL")).to_be_focused()
        self.page.keyboard.insert_text(url)
        self.try_out()

    def add_condition(self):
        self.add_after("HTTP request", "if")
        expect(self.panel.get_by_label("Condition, condition 1: field")).to_be_focused()
        # The response of the request that has just run is offered at once.
        self.page.keyboard.type("degrees")
        expect(self.page.get_by_role("option", name="input.body.degrees 21")).to_be_visible()
        self.page.keyboard.press("ArrowDown")
        self.page.keyboard.press("Enter")
        self.click(self.panel.get_by_label("Condition, condition 1: operator"))
        self.click(self.page.get_by_role("option", name="is greater than"))
        self.click(self.panel.get_by_role("textbox", name="Condition, condition 1: value"))
        self.page.keyboard.press("Control+A")
        self.page.keyboard.type("15")
        self.try_out()

    def add_values(self):
        self.add_after("If, true", "set")
        expect(self.panel.get_by_label("Values: name 1")).to_be_focused()
        self.page.keyboard.type("warm")
        self.page.keyboard.press("Tab")
        self.page.keyboard.type("{{ input.body.")
        expect(self.page.get_by_role("option", name="degrees")).to_be_visible()
        self.page.keyboard.press("Control+A")
        self.page.keyboard.insert_text("{{ trigger.body.city }}")
        self.try_out()

    def activate(self):
        self.editor.saved()
        self.click(self.page.get_by_role("switch"), force=True)
        expect(self.page.get_by_text("Active", exact=True)).to_be_visible()


def call(url, body):
    """Call the webhook as a client elsewhere would, and return its answer."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


def test_a_first_flow_answers_a_call_after_at_most_16_clicks(editor, httpserver):
    httpserver.expect_request("/weather").respond_with_json({"degrees": 21})
    editor.open({"nodes": [], "edges": []})
    newcomer = Newcomer(editor)
    newcomer.add_webhook()
    newcomer.add_request(httpserver.url_for("/weather"))
    newcomer.add_condition()
    newcomer.add_values()
    newcomer.add_after("Set values", "respond")
    newcomer.try_out()
    newcomer.activate()
    assert call(f"{editor.server.url}/api/webhooks/weather", {"city": "Thun"}) == {"warm": "Thun"}
    assert newcomer.clicks <= MOST_CLICKS
