"""The session ends while a page is open: the user logs in again and continues, and another user sees nothing of it."""

import re

import chromium
import pytest
from playwright.sync_api import expect
from servers import EMAIL, PASSWORD
from test_two_people import FLOW

PHONE = {"width": 360, "height": 640}
TOKEN = "typed-and-not-saved-yet"


@pytest.fixture
def ended(page, watch, log_in):
    """Open the credentials as the owner; `ended.end()` ends the session, and `ended.over` is the login dialog."""
    watch.allow(401)
    log_in(page)
    page.goto("/credentials")
    return Ended(page)


class Ended:
    def __init__(self, page):
        self.page = page
        self.form = page.get_by_role("dialog", name="New credential")
        self.over = page.get_by_role("dialog", name="Your session has ended")

    def type_a_credential(self, name):
        self.page.get_by_role("button", name="New credential").first.click()
        self.form.get_by_role("combobox", name="Type").fill("bearer")
        self.page.get_by_role("option", name=re.compile("Bearer", re.I)).first.click()
        self.form.get_by_label("Name").fill(name)
        self.token.fill(TOKEN)

    @property
    def token(self):
        return self.form.get_by_label("Token").and_(self.page.locator("input, textarea"))

    def end(self):
        """End the session, as if signed out from another browser or expired."""
        self.page.context.clear_cookies()

    def log_in(self, email=None, password=PASSWORD):
        if email is not None:
            self.over.get_by_label("Email").fill(email)
        self.over.get_by_label("Password").and_(self.page.locator("input")).fill(password)
        self.over.get_by_role("button", name="Log in", exact=True).click()


def kept(page):
    """Return all data that the browser stores for the app."""
    return page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])")


def test_a_dialog_is_saved_after_logging_in_again(ended, server, axe):
    ended.type_a_credential("Typed before")
    ended.end()
    ended.form.get_by_role("button", name="Save").click()
    expect(ended.over).to_be_visible()
    axe(ended.page)
    ended.log_in(password="wrong")
    expect(ended.over.get_by_role("alert")).to_contain_text("Wrong email or password")
    ended.log_in()
    expect(ended.over).to_be_hidden()
    # The refused request is repeated after the login.
    expect(ended.form).to_be_hidden()
    expect(ended.page.get_by_text("Typed before").first).to_be_visible()
    assert "Typed before" in [one["name"] for one in server.call("GET", "/api/credentials")["items"]]
    assert TOKEN not in kept(ended.page) and PASSWORD not in kept(ended.page)


def test_a_polling_page_asks_for_the_login_and_keeps_its_form(ended):
    ended.type_a_credential("Typed meanwhile")
    ended.token.focus()
    ended.end()
    # The page polls every few seconds, and gets 401.
    expect(ended.over).to_be_visible()
    expect(ended.over.get_by_label("Email")).to_have_value(EMAIL)
    expect(ended.over.get_by_label("Password").and_(ended.page.locator("input"))).to_be_focused()
    ended.log_in()
    expect(ended.over).to_be_hidden()
    expect(ended.token).to_have_value(TOKEN)
    expect(ended.token).to_be_focused()
    expect(ended.page).to_have_title("Credentials · Headrace")
    ended.form.get_by_role("button", name="Save").click()
    expect(ended.form).to_be_hidden()


def test_keys_do_not_discard_the_form_and_the_focus_stays_in_the_dialog(ended):
    ended.type_a_credential("Typed before")
    ended.end()
    expect(ended.over).to_be_visible()
    for _ in range(3):
        ended.page.keyboard.press("Escape")
    # A click outside of the dialog moves the focus to the page itself.
    ended.page.mouse.click(5, 5)
    for _ in range(2):
        ended.page.keyboard.press("Escape")
    expect(ended.over).to_be_visible()
    inside = "document.activeElement === document.body || document.activeElement.closest('dialog') !== null"
    for _ in range(12):
        ended.page.keyboard.press("Tab")
        assert ended.page.evaluate(inside)
    ended.log_in()
    expect(ended.over).to_be_hidden()
    expect(ended.token).to_have_value(TOKEN)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_dialog_covers_the_page_and_fits_on_a_phone(ended, axe, scheme):
    ended.page.emulate_media(color_scheme=scheme)
    ended.page.set_viewport_size(PHONE)
    ended.end()
    expect(ended.over).to_be_visible()
    box = ended.over.bounding_box()
    assert (box["x"], box["y"], box["width"], box["height"]) == (0, 0, PHONE["width"], PHONE["height"])
    assert ended.page.evaluate("document.querySelector('dialog').scrollWidth") <= PHONE["width"]
    expect(ended.page).to_have_title("Log in · Headrace")
    axe(ended.page)


def test_a_login_in_another_tab_closes_the_dialog(ended, log_in):
    ended.type_a_credential("Typed before")
    ended.end()
    expect(ended.over).to_be_visible()
    log_in(ended.page)
    expect(ended.over).to_be_hidden()
    expect(ended.token).to_have_value(TOKEN)


@pytest.mark.parametrize("where", ["here", "in another tab"])
def test_a_login_as_another_user_discards_unsaved_changes(ended, server, log_in, where):
    server.add_member("next@example.com", "editor", "Next")
    ended.type_a_credential("Typed by the owner")
    ended.end()
    ended.form.get_by_role("button", name="Save").click()
    expect(ended.over).to_be_visible()
    if where == "here":
        ended.log_in("next@example.com")
    else:
        log_in(ended.page, email="next@example.com")
    expect(ended.page.get_by_role("button", name="Account: Next")).to_be_visible()
    expect(ended.over).to_be_hidden()
    expect(ended.form).to_be_hidden()
    assert TOKEN not in ended.page.content()
    # The owner's last request is not repeated for the other user.
    assert "Typed by the owner" not in [one["name"] for one in server.call("GET", "/api/credentials")["items"]]


def test_logging_in_as_a_different_user_clears_the_page_and_its_storage(ended):
    ended.type_a_credential("Typed by the owner")
    ended.page.evaluate("localStorage.setItem('headrace.pinned.usr_1.wf_1', '{}')")
    ended.end()
    ended.over.get_by_role("button", name="Log in as a different user").click()
    expect(ended.page.get_by_label("Email")).to_have_value("")
    assert "headrace.pinned" not in kept(ended.page)
    ended.page.get_by_label("Email").fill(EMAIL)
    ended.page.get_by_label("Password").and_(ended.page.locator("input")).fill(PASSWORD)
    ended.page.get_by_role("button", name="Log in", exact=True).click()
    expect(ended.page.get_by_role("heading", name="Dashboard")).to_be_visible()
    expect(ended.form).to_be_hidden()


def test_keys_pressed_in_the_dialog_do_not_change_the_flow(editor, watch):
    watch.allow(401)
    editor.open(FLOW).click("one")
    ended = Ended(editor.page)
    ended.end()
    expect(ended.over).to_be_visible()
    ended.over.get_by_role("button", name="Log in as a different user").focus()
    for key in ("Delete", "Backspace", "ArrowRight", "/", "Control+x", "Control+d", "Control+a", "Escape"):
        editor.page.keyboard.press(key)
    editor.page.mouse.click(5, 5)
    for key in ("Delete", "Control+x", "Control+Enter", "Escape"):
        editor.page.keyboard.press(key)
    ended.log_in(chromium.EMAIL)
    expect(ended.over).to_be_hidden()
    expect(editor.nodes).to_have_count(3)
    editor.selected("one")
