"""A temporary password is valid for one login: the app then asks for a new one."""

import pytest
from playwright.sync_api import expect
from servers import PASSWORD
from test_session_ended import Ended

GIVEN, AGAIN = "typed by an owner", "typed by an owner again"


@pytest.fixture
def members(page, log_in):
    """Open the list of members as the owner, who is the server's admin."""
    log_in(page)
    page.goto("/members")
    return page


@pytest.fixture
def newcomer(new_context):
    """Open a page in a new browser context, on a phone."""
    return new_context(viewport={"width": 360, "height": 640}).new_page()


def field(place, label):
    return place.get_by_label(label).and_(place.locator("input"))


def add(members, email, name):
    members.get_by_role("button", name="Create account").click()
    dialog = members.get_by_role("dialog", name="Create account")
    dialog.get_by_label("Email").fill(email)
    dialog.get_by_label("Name").fill(name)
    field(dialog, "Temporary password").fill(GIVEN)
    dialog.get_by_role("button", name="Create").click()
    expect(dialog).to_be_hidden()
    expect(members.get_by_role("cell", name=email)).to_be_visible()


def log_in_by_the_form(place, password, email=None):
    if email is not None:
        place.get_by_label("Email").fill(email)
    field(place, "Password").fill(password)
    place.get_by_role("button", name="Log in", exact=True).click()


def choose(place, password):
    field(place, "New password").fill(password)
    place.get_by_role("button", name="Continue").click()


def test_a_new_member_chooses_a_password_before_anything_else(members, newcomer, server, axe):
    add(members, "new@example.com", "New")
    newcomer.goto("/flows")
    # The first login was set by a setting: nothing was printed.
    with newcomer.expect_response("**/api/ready"):
        newcomer.reload()
    expect(newcomer.get_by_label("Email")).to_be_visible()
    expect(newcomer.get_by_text("console output")).to_have_count(0)
    log_in_by_the_form(newcomer, GIVEN, "new@example.com")
    expect(newcomer.get_by_role("heading", name="Choose your password")).to_be_visible()
    expect(newcomer.get_by_role("link", name="Flows")).to_have_count(0)
    # A new member does not name the workspace, and does not repeat the password of the login.
    expect(newcomer.get_by_label("Workspace")).to_have_count(0)
    expect(field(newcomer, "Password you logged in with")).to_have_count(0)
    axe(newcomer)
    choose(newcomer, GIVEN)
    expect(newcomer.get_by_role("alert")).to_contain_text("must differ from the one that you were given")
    choose(newcomer, PASSWORD)
    expect(newcomer.get_by_role("heading", name="Flows", exact=True)).to_be_visible()
    newcomer.reload()
    expect(newcomer.get_by_role("heading", name="Flows", exact=True)).to_be_visible()
    assert server.session("new@example.com")


def test_after_a_password_reset_the_member_continues_on_the_same_page(members, another, server, axe):
    place = another("editor")
    place.watch.allow(401)
    place.goto("/credentials")
    ended = Ended(place)
    ended.type_a_credential("Typed before the reset")
    members.reload()
    members.get_by_role("button", name="Reset the password of Editor").click()
    dialog = members.get_by_role("dialog", name="Reset the password of Editor")
    field(dialog, "Temporary password").fill(AGAIN)
    axe(members)
    dialog.get_by_role("button", name="Reset").click()
    expect(dialog).to_be_hidden()
    ended.log_in(password=AGAIN)
    own = place.get_by_role("dialog", name="Choose your password")
    expect(own).to_be_visible()
    axe(place)
    choose(own, PASSWORD + "!")
    expect(own).to_be_hidden()
    expect(ended.form.get_by_label("Name")).to_have_value("Typed before the reset")
    assert server.session("editor-0@example.com", PASSWORD + "!")
