"""Invitation links: a new user creates an account, an existing user accepts, and a link works once."""

import re

import pytest
from playwright.sync_api import expect
from servers import PASSWORD


@pytest.fixture
def members(page, log_in):
    """Open the list of members as the owner."""
    log_in(page)
    page.goto("/members")
    return page


@pytest.fixture
def guest(new_context):
    """Open a page in a new browser context, on a phone."""
    return new_context(viewport={"width": 390, "height": 844}).new_page()


def invite(members, email, role="Editor"):
    """Invite a user in the dialog, and return the link that it shows."""
    members.get_by_role("button", name="Invite a member").click()
    dialog = members.get_by_role("dialog")
    dialog.get_by_label("Email").fill(email)
    dialog.get_by_role("combobox", name="Role").or_(dialog.get_by_label("Role")).first.click()
    members.get_by_role("option", name=role).click()
    dialog.get_by_role("button", name="Invite", exact=True).click()
    link = dialog.get_by_label("Link").input_value()
    dialog.get_by_role("button", name="Done").click()
    expect(dialog).to_be_hidden()
    return link


def path_of(link):
    """Return the link without the server's base URL, which comes from its settings."""
    return re.sub(r"^https?://[^/]+", "", link)


def choose(guest, name, password):
    guest.get_by_label("Your name").fill(name)
    guest.get_by_label("Password").and_(guest.locator("input")).fill(password)
    guest.get_by_role("button", name="Create account and join").click()


def log_in_by_the_form(place, password):
    place.get_by_label("Password").and_(place.locator("input")).fill(password)
    place.get_by_role("button", name="Log in", exact=True).click()


def test_an_invited_user_creates_an_account_and_joins_the_workspace(members, guest, axe, server):
    link = invite(members, "fresh@example.com", "Operator")
    pending = members.get_by_role("table", name="Pending invitations")
    expect(pending).to_contain_text("fresh@example.com")
    expect(pending).to_contain_text("Operator")
    axe(members)
    guest.goto(path_of(link))
    expect(guest.get_by_role("heading", name="You are invited")).to_be_visible()
    expect(guest.get_by_text("Your role is operator")).to_be_visible()
    # The token is not in the URL, is not sent by a reload, and survives the reload.
    assert guest.evaluate("location.href").endswith("/invitation")
    guest.reload()
    expect(guest.get_by_label("Email")).to_have_value("fresh@example.com")
    axe(guest)
    choose(guest, "Fresh Face", PASSWORD)
    expect(guest.get_by_role("heading", level=1, name="Dashboard")).to_be_visible()
    assert server.session("fresh@example.com")
    members.reload()
    row = members.get_by_role("row").filter(has_text="fresh@example.com")
    expect(row).to_contain_text("Fresh Face")
    expect(members.get_by_text("No pending invitations.")).to_be_visible()


def test_an_invitation_link_works_once(members, guest, new_context, axe):
    link = invite(members, "once@example.com")
    guest.goto(path_of(link))
    choose(guest, "Once", PASSWORD)
    expect(guest.get_by_role("heading", level=1, name="Dashboard")).to_be_visible()
    another = new_context().new_page()
    another.goto(path_of(link))
    expect(another.get_by_role("heading", name="This invitation is no longer valid")).to_be_visible()
    expect(another.get_by_text("It was used or revoked")).to_be_visible()
    axe(another)
    another.get_by_role("link", name="Log in").click()
    expect(another.get_by_label("Email")).to_be_visible()


def test_a_revoked_invitation_cannot_be_used(members, guest):
    link = invite(members, "late@example.com")
    members.get_by_role("button", name="Revoke the invitation for late@example.com").click()
    members.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(members.get_by_role("dialog")).to_be_hidden()
    guest.goto(path_of(link))
    expect(guest.get_by_role("heading", name="This invitation is no longer valid")).to_be_visible()


@pytest.fixture
def second(server):
    """Create a second workspace of the owner."""
    return server.call("POST", "/api/workspaces", {"name": "Second"}, headers=server.session())["id"]


def test_a_user_with_an_account_logs_in_and_accepts(page, context, log_in, second, guest, server, axe):
    server.add_member("there@example.com", "viewer", "There")
    context.add_init_script(f"localStorage.setItem('headrace.workspace', {second!r})")
    log_in(page)
    page.goto("/members")
    link = invite(page, "there@example.com", "Editor")
    guest.goto(path_of(link))
    guest.get_by_role("button", name="I already have an account").click()
    expect(guest.get_by_label("Email")).to_have_value("there@example.com")
    axe(guest)
    log_in_by_the_form(guest, PASSWORD)
    expect(guest.get_by_text("invites you to the workspace Second")).to_be_visible()
    axe(guest)
    guest.get_by_role("button", name="Accept").click()
    expect(guest.get_by_role("heading", level=1, name="Dashboard")).to_be_visible()
    expect(guest.get_by_text("You are now a member of Second")).to_be_visible()
    guest.get_by_role("button", name="Open menu").click()
    expect(guest.get_by_role("button", name="Workspace Second")).to_be_visible()


def test_an_invitation_for_another_user_offers_to_log_in_as_that_user(members, another, axe):
    link = invite(members, "intended@example.com")
    place = another("viewer")
    # After the logout the app requests the session and gets 401.
    place.watch.allow(401)
    place.goto(path_of(link))
    expect(place.get_by_text("This invitation is for intended@example.com, but you are logged in as")).to_be_visible()
    expect(place.get_by_role("button", name="Accept")).to_have_count(0)
    axe(place)
    place.get_by_role("button", name="Log out and continue as intended@example.com").click()
    expect(place.get_by_role("heading", name="You are invited")).to_be_visible()


def test_an_invitation_cannot_overwrite_an_existing_account(members, guest, server, second):
    server.add_member("kept@example.com", "viewer", "Kept")
    made = server.call(
        "POST",
        "/api/invitations",
        {"email": "kept@example.com", "role": "owner"},
        headers={**server.session(), "X-Workspace-Id": second},
    )
    guest.goto(path_of(made["link"]))
    choose(guest, "Somebody", "another password")
    expect(guest.get_by_role("alert")).to_contain_text("log in as kept@example.com to accept")
    assert server.session("kept@example.com", PASSWORD)


def test_only_admins_see_account_password_and_workspace_actions(members, another):
    for name in ("Invite a member", "Create account"):
        expect(members.get_by_role("button", name=name)).to_be_visible()
    expect(members.get_by_label("New workspace")).to_be_visible()
    owner = another("owner")
    owner.goto("/members")
    expect(owner.get_by_role("button", name="Invite a member")).to_be_visible()
    expect(owner.get_by_role("button", name="Create account")).to_have_count(0)
    expect(owner.get_by_role("button", name=re.compile("^Reset the password"))).to_have_count(0)
    expect(owner.get_by_label("New workspace")).to_have_count(0)
    viewer = another("viewer")
    viewer.goto("/members")
    expect(viewer.get_by_role("table", name="Members")).to_be_visible()
    expect(viewer.get_by_role("button", name="Invite a member")).to_have_count(0)
    expect(viewer.get_by_role("heading", name="Pending invitations")).to_have_count(0)


def test_a_password_change_can_revoke_the_api_tokens(another, server, axe):
    place = another("editor")
    token = server.call(
        "POST", "/api/tokens", {"name": "Old", "role": "viewer"}, headers=server.session("editor-0@example.com")
    )
    place.goto("/profile")
    place.get_by_label("Current password").and_(place.locator("input")).fill(PASSWORD)
    place.get_by_label("New password").and_(place.locator("input")).fill("chosen just now")
    place.get_by_label("Also revoke my API tokens").check()
    axe(place)
    place.get_by_role("button", name="Change password").click()
    expect(place.get_by_text("Password changed")).to_be_visible()
    status, _ = server.request("GET", "/api/runs", headers={"Authorization": f"Bearer {token['token']}"})
    assert status == 401
