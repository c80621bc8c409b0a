"""The session ends under an open page: one logs in again over it and goes on, and nobody else sees what was there."""

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
    """The owner has typed a credential, and then the session ended; `ended.over` asks for the password."""
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
        """As after "end all others" in another browser, or after a month."""
        self.page.context.clear_cookies()

    def log_in(self, email=None, password=PASSWORD):
        if email is not None:
            self.over.get_by_label("Email").fill(email)
        self.over.get_by_label("Password").and_(self.page.locator("input")).fill(password)
        self.over.get_by_role("button", name="Log in", exact=True).click()


def kept(page):
    """All that the browser keeps for the app."""
    return page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])")


def test_what_is_typed_into_a_dialog_is_saved_after_logging_in_again(ended, server, axe):
    ended.type_a_credential("Typed before")
    ended.end()
    ended.form.get_by_role("button", name="Save").click()
    expect(ended.over).to_be_visible()
    axe(ended.page)
    ended.log_in(password="wrong")
    expect(ended.over.get_by_role("alert")).to_contain_text("Wrong email or password")
    ended.log_in()
    expect(ended.over).to_be_hidden()
    # What was refused is done now, for they asked for it just before.
    expect(ended.form).to_be_hidden()
    expect(ended.page.get_by_text("Typed before").first).to_be_visible()
    assert "Typed before" in [one["name"] for one in server.call("GET", "/api/credentials")["items"]]
    assert TOKEN not in kept(ended.page) and PASSWORD not in kept(ended.page)


def test_a_page_that_only_looks_asks_too_and_a_form_stays_as_it_was(ended):
    ended.type_a_credential("Typed meanwhile")
    ended.token.focus()
    ended.end()
    # What every page looks for every few seconds is refused.
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


def test_no_key_loses_what_is_beneath_and_the_focus_stays_in_the_dialog(ended):
    ended.type_a_credential("Typed before")
    ended.end()
    expect(ended.over).to_be_visible()
    for _ in range(3):
        ended.page.keyboard.press("Escape")
    # Beside everything: then the keys belong to the page itself.
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
def test_nothing_of_the_page_shows_and_it_fits_on_a_phone(ended, axe, scheme):
    ended.page.emulate_media(color_scheme=scheme)
    ended.page.set_viewport_size(PHONE)
    ended.end()
    expect(ended.over).to_be_visible()
    box = ended.over.bounding_box()
    assert (box["x"], box["y"], box["width"], box["height"]) == (0, 0, PHONE["width"], PHONE["height"])
    assert ended.page.evaluate("document.querySelector('dialog').scrollWidth") <= PHONE["width"]
    expect(ended.page).to_have_title("Log in · Headrace")
    axe(ended.page)


def test_who_logs_in_again_in_another_tab_has_done_so_here_too(ended, log_in):
    ended.type_a_credential("Typed before")
    ended.end()
    expect(ended.over).to_be_visible()
    log_in(ended.page)
    expect(ended.over).to_be_hidden()
    expect(ended.token).to_have_value(TOKEN)


@pytest.mark.parametrize("where", ["here", "in another tab"])
def test_somebody_else_who_logs_in_begins_anew(ended, server, log_in, where):
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
    # What the owner asked for last is not done by the other one either.
    assert "Typed by the owner" not in [one["name"] for one in server.call("GET", "/api/credentials")["items"]]


def test_one_may_leave_the_page_to_somebody_else(ended):
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


def test_in_the_editor_the_keys_of_the_dialog_change_nothing(editor, watch):
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
