"""A newcomer connects a Google account, appends a row to a sheet from a webhook, and sees it: within three minutes.

Google is a local authorization server with a stub of Sheets and Drive; a folder of connectors gives their addresses.
"""

import json
import re
import time
import urllib.request

import pytest
from authorization_server import CLIENT, SECRET, authorization_server
from connector_stub import HOST
from editing import Editor
from flask import request
from playwright.sync_api import expect
from servers import serving

from packs.connectors import connector_files
from packs.oauth import settings

MOST_SECONDS = 180


class Sheets:
    """A stub of the spreadsheet `Orders 2026`, whose first sheet has a header."""

    def __init__(self):
        self.rows = [["City", "Degrees"]]

    def extend(self, there):
        """Add the pages of Sheets and Drive to the authorization server, for holders of a token."""

        def spreadsheet(scopes):
            return {"sheets": [{"properties": {"sheetId": 0, "title": "Orders", "index": 0}}]}

        def files(scopes):
            return {"files": [{"id": "1AbC", "name": "Orders 2026"}]}

        def values(scopes, place):
            if request.method == "POST":
                self.rows += request.get_json()["values"]
                return {"updates": {"updatedRange": f"Orders!A{len(self.rows)}:B{len(self.rows)}", "updatedRows": 1}}
            return {"range": "Orders!A1:Z1000", "values": self.rows[:1] if "!1:1" in place else self.rows}

        base = "/https/sheets.googleapis.com/v4/spreadsheets/1AbC"
        pages = {
            base: spreadsheet, "/https/www.googleapis.com/drive/v3/files": files, f"{base}/values/<path:place>": values,
        }  # fmt: skip
        for number, (path, view) in enumerate(pages.items()):
            guarded = there.needs_token(view)
            there.app.add_url_rule(path, f"google_{number}", guarded, methods=["GET", "POST"])


@pytest.fixture(scope="module")
def sheets():
    return Sheets()


@pytest.fixture(scope="module")
def google(sheets):
    with authorization_server(sheets.extend) as there:
        yield there


@pytest.fixture(scope="module")
def server(equipped, google, tmp_path_factory):
    """A server that finds Google at the local addresses."""
    folder = tmp_path_factory.mktemp("connectors")
    file = json.dumps(connector_files.read("google_sheets")).replace("https://sheets", f"{google.url}/https/sheets")
    (folder / "google_sheets.json").write_text(
        file.replace("https://www.googleapis.com/drive", f"{google.url}/https/www.googleapis.com/drive")
    )
    there = {"authorization_url": f"{google.url}/authorize", "token_url": f"{google.url}/token", "hosts": [HOST]}
    (folder / "oauth_providers.json").write_text(json.dumps({"providers": [{**provider(), **there}]}))
    data = tmp_path_factory.mktemp("data")
    with serving(data, HEADRACE_CONNECTORS_DIR=folder, HEADRACE_EGRESS_ALLOW=HOST) as server:
        yield server


def provider():
    """Return our entry of Google, without the addresses of which the local server has none."""
    entries = json.loads(settings.FILE.read_text(encoding="utf-8"))["providers"]
    google = next(entry for entry in entries if entry["id"] == "google")
    return {key: value for key, value in google.items() if key not in ("issuer", "revocation_url")}


def call(url, body):
    """Call the webhook as a client elsewhere would."""
    asked = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(asked, timeout=60) as answer:
        return answer.status


class Newcomer:
    """A user who has never seen the editor, and who reads no documentation."""

    def __init__(self, editor):
        self.editor, self.page, self.panel = editor, editor.page, editor.panel

    def button(self, name):
        return self.page.get_by_role("button", name=name, exact=True)

    def add_webhook(self):
        self.button("Add first node").click()
        self.editor.pick("webhook")
        expect(self.editor.field("Path")).to_be_focused()
        self.page.keyboard.type("weather")

    def add_sheet(self):
        self.button("Add a node after Webhook").click()
        self.page.get_by_role("combobox", name="Search nodes").fill("append row")
        self.page.get_by_role("option", name=re.compile("Google Sheets: Append rows")).click()

    def connect(self):
        self.panel.get_by_role("button", name="New credential").click()
        dialog = self.page.get_by_role("dialog", name=re.compile("Google Sheets"))
        dialog.get_by_label("Client ID").fill(CLIENT)
        dialog.get_by_label("Client secret").fill(SECRET)
        dialog.get_by_role("button", name=re.compile("^Save")).click()
        with self.page.expect_popup() as opened:
            dialog.get_by_role("button", name="Connect account").click()
        opened.value.get_by_role("button", name="Allow").click()
        expect(dialog.get_by_text("is connected")).to_be_visible()
        dialog.get_by_role("button", name="Done").click()
        expect(dialog).to_be_hidden()

    def choose_sheet(self):
        self.panel.get_by_role("button", name="Choose spreadsheet").click()
        self.page.get_by_role("option", name=re.compile("Orders 2026")).click()

    def fill_row(self):
        for number, (name, value) in enumerate((("City", "city"), ("Degrees", "degrees")), 1):
            self.panel.get_by_role("button", name="Add row").click()
            self.panel.get_by_label(f"Row: name {number}").fill(name)
            self.editor.field(f"Row: {name}").click()
            self.page.keyboard.insert_text(f"{{{{ input.body.{value} }}}}")

    def activate(self):
        self.editor.saved()
        self.page.get_by_role("switch").click(force=True)
        expect(self.page.get_by_text("Active", exact=True)).to_be_visible()


def test_a_newcomer_connects_google_and_appends_a_row_from_a_webhook(page, log_in, server, sheets):
    log_in(page)
    page.set_default_timeout(20_000)
    began = time.monotonic()
    editor = Editor(page, server)
    editor.open({"nodes": [], "edges": []})
    newcomer = Newcomer(editor)
    newcomer.add_webhook()
    newcomer.add_sheet()
    newcomer.connect()
    newcomer.choose_sheet()
    newcomer.fill_row()
    newcomer.activate()
    assert call(f"{server.url}/api/webhooks/weather", {"city": "Bern", "degrees": 21}) == 202
    page.get_by_role("link", name="Runs", exact=True).first.click()
    expect(page.get_by_role("row", name=re.compile("Succeeded")).first).to_be_visible()
    assert sheets.rows == [["City", "Degrees"], ["Bern", 21]]
    assert time.monotonic() - began < MOST_SECONDS
