"""Invitations on a server that sends mail: the inviter sees no link, and the invited person opens the mailed one."""

import re

import pytest
from mail_servers import Mails, Server
from playwright.sync_api import expect
from servers import PASSWORD, serving


@pytest.fixture(scope="module")
def mails():
    return Mails()


@pytest.fixture(scope="module")
def server(equipped, mails, tmp_path_factory):
    mail_server = Server(mails)
    mail_server.start()
    try:
        url = f"smtp://127.0.0.1:{mail_server.port}?from=flows@example.org&starttls=false"
        with serving(tmp_path_factory.mktemp("data"), HEADRACE_SMTP_URL=url) as server:
            yield server
    finally:
        mail_server.stop()


def invite(page, email):
    """Invite a user, and return the dialog that says what happened."""
    page.get_by_role("button", name="Invite a member").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Email").fill(email)
    dialog.get_by_role("button", name="Invite", exact=True).click()
    return dialog


def test_the_link_is_in_the_mail_only(page, log_in, new_context, mails, server, axe):
    log_in(page)
    page.goto("/members")
    dialog = invite(page, "mailed@example.com")
    expect(dialog).to_contain_text("An email with a link was sent to mailed@example.com")
    expect(dialog.get_by_label("Link")).to_have_count(0)
    axe(page)
    dialog.get_by_role("button", name="Done").click()
    expect(page.get_by_role("table", name="Pending invitations")).to_contain_text("mailed@example.com")
    guest = new_context().new_page()
    guest.goto(re.search(r"https?://[^/]+(/invitation#\S+)", mails.latest().get_content())[1])
    guest.get_by_label("Your name").fill("Mailed")
    guest.get_by_label("Password").and_(guest.locator("input")).fill(PASSWORD)
    guest.get_by_role("button", name="Create account and join").click()
    expect(guest.get_by_role("heading", level=1, name="Dashboard")).to_be_visible()
    assert server.session("mailed@example.com")


def test_a_mail_that_could_not_be_sent_is_said(page, log_in, mails):
    mails.refuse["nobody@example.com"] = "550 no such person"
    log_in(page)
    page.goto("/members")
    dialog = invite(page, "nobody@example.com")
    expect(dialog).to_contain_text("The email to nobody@example.com could not be sent")
    expect(dialog.get_by_label("Link")).to_have_count(0)
