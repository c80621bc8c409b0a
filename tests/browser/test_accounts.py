"""Accounts: choosing a service, and connecting, reconnecting and disconnecting an account through another window."""

import re

import pytest
from authorization_server import authorization_server
from playwright.sync_api import expect

PHONE = {"width": 390, "height": 800}


@pytest.fixture(scope="module")
def there():
    with authorization_server() as there:
        yield there


@pytest.fixture
def page(page, log_in):
    log_in(page)
    page.set_default_timeout(20_000)
    return page


@pytest.fixture
def dialog(page):
    page.goto("/credentials")
    page.get_by_role("button", name="New credential").click()
    dialog = page.get_by_role("dialog", name="New credential")
    dialog.get_by_role("combobox", name="Type").fill("OAuth2 account")
    page.get_by_role("option", name="OAuth2 account").click()
    return dialog


def choose(page, dialog, service):
    dialog.get_by_role("combobox", name="Service").fill(service)
    page.get_by_role("option", name=service, exact=True).click()


def connect(page, button, answer="Allow"):
    """Press the button, and answer in the window that it opens."""
    with page.expect_popup() as opened:
        button.click()
    window = opened.value
    window.get_by_role("button", name=answer).click()
    return window


@pytest.fixture
def account(server, there):
    """A credential of the authorization server, not connected."""
    number = len(server.call("GET", "/api/credentials")["items"])
    body = {"name": f"shop {number}", "type": "oauth2", "data": there.credential(), "hosts": ["127.0.0.1"]}
    return server.call("POST", "/api/credentials", body)


def test_a_service_is_chosen_and_the_form_says_what_to_do(page, dialog, server, axe):
    choose(page, dialog, "Google")
    address = f"{server.url}/api/oauth/callback"
    expect(dialog.get_by_role("textbox", name="Redirect address")).to_have_value(address)
    link = dialog.get_by_role("link", name=re.compile("Create an OAuth client in Google Cloud"))
    expect(link).to_have_attribute("href", "https://console.cloud.google.com/auth/clients")
    expect(dialog.get_by_role("checkbox", name="See, change and create Google Sheets")).to_be_checked()
    dialog.get_by_role("button", name="Addresses of the service").click()
    expect(dialog.get_by_label("Token URL")).to_have_value("https://oauth2.googleapis.com/token")
    axe(page)


def test_an_account_is_made_and_connected_by_keyboard(page, dialog, server, there, axe):
    choose(page, dialog, "Other service")
    dialog.get_by_role("textbox", name="Name", exact=True).fill("Example shop")
    for name, value in there.credential().items():
        label = {"authorization_url": "Authorization URL", "token_url": "Token URL", "client_id": "Client ID"}
        label |= {"client_secret": "Client secret", "revocation_url": "Revocation URL", "scope": "Scopes"}
        dialog.get_by_label(label[name]).first.fill(value)
    dialog.get_by_role("button", name="Connect account").focus()
    with page.expect_popup() as opened:
        page.keyboard.press("Enter")
    expect(dialog.get_by_text("Waiting for your consent")).to_be_visible()
    opened.value.get_by_role("button", name="Allow").click()
    expect(page.get_by_text("is connected. Flows can use it now")).to_be_visible()
    expect(dialog).to_be_hidden()
    axe(page)
    assert opened.value.is_closed() or opened.value.wait_for_event("close", timeout=10_000)
    expect(page.get_by_role("row", name=re.compile("Example shop.*Connected"))).to_be_visible()


def test_denied_consent_is_told_and_tried_again(page, server, there, account, watch):
    watch.allow("400", "/api/oauth/callback")
    page.goto(f"/credentials?credential={account['id']}")
    dialog = page.get_by_role("dialog", name=account["name"])
    connect(page, dialog.get_by_role("button", name="Connect account"), "Deny")
    expect(dialog.get_by_role("alert")).to_contain_text("Access was not granted")
    connect(page, dialog.get_by_role("button", name="Connect account"))
    expect(dialog.get_by_text("Connected", exact=True)).to_be_visible()
    dialog.get_by_role("button", name="Disconnect").click()
    expect(dialog.get_by_text("Not connected")).to_be_visible()


def test_a_revoked_account_is_marked_and_connected_again(page, server, there, account, axe):
    page.set_viewport_size(PHONE)
    page.goto(f"/credentials?credential={account['id']}")
    dialog = page.get_by_role("dialog", name=account["name"])
    connect(page, dialog.get_by_role("button", name="Connect account"))
    expect(dialog.get_by_text("Connected", exact=True)).to_be_visible()
    there.revoke_all()
    assert server.call("POST", f"/api/credentials/{account['id']}/test", {})["status"] == "failed"
    page.reload()
    expect(dialog.get_by_text("The service ended this connection")).to_be_visible()
    # Next to the header of a narrow page.
    axe(page, but=("landmark-no-duplicate-banner", "landmark-unique"))
    connect(page, dialog.get_by_role("button", name="Connect again"))
    expect(dialog.get_by_text("Connected", exact=True)).to_be_visible()


def test_without_other_windows_the_page_itself_goes_to_the_service_and_back(page, there, account):
    page.goto(f"/credentials?credential={account['id']}")
    page.evaluate("window.open = () => null")
    page.get_by_role("dialog").get_by_role("button", name="Connect account").click()
    page.get_by_role("button", name="Allow").click()
    expect(page.get_by_role("heading", name="Connected")).to_be_visible()
    page.get_by_role("link", name="Back to Headrace").click()
    expect(page.get_by_role("row", name=re.compile(f"{account['name']}.*Connected"))).to_be_visible()


def test_the_panel_of_a_node_says_that_its_account_is_not_connected(editor, account, there):
    config = {"url": f"{there.url}/api/me", "credential": account["name"]}
    editor.open(
        {
            "nodes": [{"id": "start", "type": "manual"}, {"id": "get", "type": "http", "config": config}],
            "edges": [["start", "get"]],
        }
    )
    editor.click("get")
    told = editor.panel.get_by_text("Account not connected")
    expect(told.first).to_be_visible()
    connect(editor.page, editor.panel.get_by_role("button", name="Connect", exact=True))
    expect(told).to_have_count(0)


def test_a_form_with_missing_values_shows_the_first_of_them(page):
    page.goto("/credentials")
    page.get_by_role("button", name="New credential").click()
    dialog = page.get_by_role("dialog", name="New credential")
    dialog.get_by_role("combobox", name="Type").fill("SMTP")
    page.get_by_role("option", name="SMTP", exact=True).click()
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_role("textbox", name="Name", exact=True)).to_be_focused()
    dialog.get_by_role("textbox", name="Name", exact=True).fill("Mail")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_role("textbox", name="Host")).to_be_focused()
    expect(dialog.get_by_role("textbox", name="Host")).to_be_in_viewport()
