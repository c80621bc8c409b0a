"""Dialogs with a form that create, change and remove things, and what they show if the server refuses."""

from playwright.sync_api import expect
from test_editor import three


def test_a_curl_command_becomes_a_node_and_a_refused_one_stays(editor, watch):
    watch.allow(400, "/api/import/curl")
    editor.open(three()).click("two")
    page = editor.page
    page.get_by_role("button", name="Add node", exact=True).click()
    page.get_by_role("button", name="Paste a cURL command").click()
    dialog = page.get_by_role("dialog", name="Add node from cURL command")
    command = dialog.get_by_role("textbox", name="cURL command")
    expect(command).to_be_focused()
    command.fill("nonsense")
    dialog.get_by_role("button", name="Add node").click()
    expect(dialog.get_by_role("alert")).to_be_visible()
    expect(command).to_have_value("nonsense")
    command.fill("curl https://api.example.com/orders -H 'Authorization: Bearer secret'")
    dialog.get_by_role("button", name="Add node").click()
    expect(dialog).to_be_hidden()
    expect(page.get_by_text("its secret is not stored in the flow")).to_be_visible()
    expect(page.locator(".react-flow__node")).to_have_count(4)


def test_memories_of_an_agent_are_added_changed_and_deleted(page, log_in, axe):
    log_in(page)
    page.goto("/agents/mail-triage?tab=memory")
    page.get_by_role("button", name="Add", exact=True).click()
    dialog = page.get_by_role("dialog", name="Add memory")
    expect(dialog.get_by_role("textbox", name="Key")).to_be_focused()
    dialog.get_by_role("textbox", name="Key").fill("colour")
    dialog.get_by_role("textbox", name="Content").fill("Customers like blue")
    dialog.get_by_label("Tags").first.fill("taste")
    page.keyboard.press("Enter")
    axe(page)
    dialog.get_by_role("button", name="Save").click()
    expect(page.get_by_text("#taste")).to_be_visible()
    page.get_by_role("button", name="Edit colour").click()
    dialog = page.get_by_role("dialog", name="Edit memory")
    dialog.get_by_role("textbox", name="Content").fill("Customers like red")
    dialog.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Customers like red")).to_be_visible()
    page.get_by_role("button", name="Delete colour").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("No memories yet")).to_be_visible()


def test_a_token_is_shown_once_and_revoked(page, log_in):
    log_in(page)
    page.goto("/tokens")
    page.get_by_role("button", name="New token").click()
    dialog = page.get_by_role("dialog", name="New API token")
    dialog.get_by_role("textbox", name="Name").fill("builds")
    dialog.get_by_role("button", name="Create").click()
    expect(dialog.get_by_text("Copy the token now")).to_be_visible()
    dialog.get_by_role("button", name="Done").click()
    row = page.get_by_role("row").filter(has_text="builds")
    expect(row).to_contain_text("Operator")
    expect(row).not_to_contain_text("Never")
    page.get_by_role("button", name="Revoke builds").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(page.get_by_role("button", name="Revoke builds")).to_be_hidden()
