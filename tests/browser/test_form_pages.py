"""Forms as people see them: with and without JavaScript, on a phone, by keyboard; and how the editor makes them."""

from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect
from servers import until
from test_editor import placed
from world import chain, flow, node

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "device_scale_factor": 1}
NAME = {"kind": "text", "name": "name", "title": "Your name", "required": True, "placeholder": "Ada Brandt"}
FIELDS = [
    NAME,
    {"kind": "email", "name": "email", "title": "E-mail address", "required": True, "help": "We answer there."},
    {"kind": "choice", "name": "topic", "title": "Topic", "options": ["A question", "An order"], "required": True},
    {"kind": "page", "title": "Details"},
    {"kind": "heading", "title": "About your order"},
    {"kind": "paragraph", "title": "The number is on the receipt."},
    {"kind": "number", "name": "number", "title": "Order number", "integer": True},
    {"kind": "date", "name": "day", "title": "Day"},
    {"kind": "choices", "name": "days", "title": "When may we call?", "options": ["Monday", "Friday"]},
    {"kind": "choice", "name": "land", "title": "Country", "options": [f"Country {n}" for n in range(12)]},
    {"kind": "long_text", "name": "message", "title": "Message"},
    {"kind": "file", "name": "photo", "title": "Photo", "accept": [".png", ".jpg"]},
    {"kind": "checkbox", "name": "terms", "title": "I agree that this is stored.", "required": True},
]
PHOTO = {"name": "lamp.png", "mimeType": "image/png", "buffer": b"x" * 5_000}


@pytest.fixture
def path(server, request):
    """Return the path of a new active form with these fields; each test has its own."""
    name = f"contact-{abs(hash(request.node.name))}"
    config = {"path": name, "title": "Contact us", "intro": "Tell us all.", "fields": FIELDS, "min_seconds": 0}
    thanks = {"thanks_title": "Thank you, {{ input.name }}", "accent": "#ffd400"}
    definition = flow(node("form", "form", {**config, **thanks}))
    server.call("POST", "/api/flows", {"name": name, "status": "active", "definition": definition})
    return f"/forms/{name}"


def fill_in(page, path, look=lambda page: None):
    """Fill in the form with some mistakes; `look` sees each page."""
    page.goto(path)
    look(page)
    page.get_by_role("button", name="Next").click()
    summary = page.get_by_role("alert")
    expect(summary).to_contain_text("Fill in “Your name”.")
    expect(summary).to_be_focused()
    look(page)
    summary.get_by_role("link", name="Fill in “Your name”.").click()
    expect(page.get_by_label("Your name")).to_be_focused()
    page.keyboard.insert_text("Ada")
    expect(page.get_by_label("E-mail address")).to_have_accessible_description(
        "We answer there. Fill in “E-mail address”."
    )
    page.get_by_label("E-mail address").fill("ada@example.com")
    page.get_by_label("An order").check()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Step 2 of 2")).to_be_visible()
    page.get_by_label("Photo").set_input_files(PHOTO)
    page.get_by_label("Friday").check()
    page.get_by_role("button", name="Back").click()
    expect(page.get_by_label("Your name")).to_have_value("Ada")
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_label("Friday")).to_be_checked()
    page.reload()
    expect(page.get_by_label("Friday")).to_be_checked()
    expect(page.get_by_text("lamp.png").first).to_be_visible()
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("alert")).to_contain_text("Check “I agree that this is stored.”")
    look(page)
    page.get_by_label("I agree").check()
    page.get_by_label("Country").select_option("Country 7")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("heading", name="Thank you, Ada")).to_be_visible()
    look(page)
    page.reload()
    expect(page.get_by_role("heading", name="Thank you, Ada")).to_be_visible()


def check_run(server, path):
    """Check that one run has the answers, and return its id."""
    (run,) = [run for run in server.call("GET", "/api/runs")["items"] if run["input"]["_form"]["path"] == path[7:]]
    given = run["input"]
    assert (given["name"], given["topic"], given["days"], given["land"]) == ("Ada", "An order", ["Friday"], "Country 7")
    assert given["photo"]["size"] == 5_000 and given["photo"]["path"] == f"forms/{run['id']}/photo-lamp.png"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_form_is_accessible_with_a_mouse_and_by_keyboard(new_context, watch, server, path, axe, scheme):
    page = new_context(color_scheme=scheme).new_page()
    fill_in(page, path, axe)
    check_run(server, path)
    assert page.context.cookies() == []


def test_a_form_works_on_a_phone_without_javascript(new_context, server, path):
    page = new_context(**PHONE, java_script_enabled=False).new_page()
    fill_in(page, path)
    check_run(server, path)
    assert page.context.cookies() == []


def test_a_page_fits_on_a_phone(new_context, path):
    page = new_context(**PHONE).new_page()
    page.goto(path)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.get_by_role("button", name="Next").bounding_box()["height"] >= 44


def test_a_form_is_made_in_the_editor_and_tried_out(editor, page, server, axe):
    editor.open(placed(chain(node("form", "form", {"path": "made", "title": "Made"}), "end"))).click("form")
    panel = editor.panel
    panel.get_by_role("button", name="Add field").click()
    page.get_by_role("menuitem", name="Text", exact=True).click()
    field = panel.get_by_role("group", name="Field 1: Text")
    expect(field.get_by_label("Title")).to_be_focused()
    page.keyboard.press("ControlOrMeta+A")
    page.keyboard.insert_text("Your name")
    field = panel.get_by_role("group", name="Field 1: Your name")
    expect(field.get_by_label("Name", exact=True)).to_have_value("your_name")
    field.get_by_label("Required").check()
    panel.get_by_role("button", name="Add field").click()
    page.get_by_role("menuitem", name="Next page").click()
    panel.get_by_role("button", name="Add field").click()
    page.get_by_role("menuitem", name="One choice").click()
    axe(page, "aside")
    editor.saved()
    panel.get_by_role("button", name="Actions for One choice").click()
    page.get_by_role("menuitem", name="Move up").click()
    panel.get_by_role("button", name="Actions for One choice").click()
    page.get_by_role("menuitem", name="Move down").click()
    editor.saved()
    until(lambda: page.wait_for_timeout(50) or "fields" in editor.definition["nodes"][0]["config"], "it is saved")
    assert editor.definition["nodes"][0]["config"]["fields"] == [
        {"kind": "text", "name": "your_name", "title": "Your name", "required": True},
        {"kind": "page"},
        {"kind": "choice", "name": "one_choice", "title": "One choice", "options": ["First choice", "Second choice"]},
    ]
    with page.expect_popup() as opened:
        panel.get_by_role("button", name="Open test form").click()
    tab = opened.value
    expect(tab.get_by_text("This is a test.")).to_be_visible()
    tab.get_by_label("Your name").fill("Ada")
    tab.get_by_role("button", name="Next").click()
    tab.get_by_label("Second choice").check()
    tab.wait_for_timeout(2_100)  # the form asks again if it is filled in within two seconds
    tab.get_by_role("button", name="Send").click()
    expect(tab.get_by_role("heading", name="Thank you")).to_be_visible()
    tab.close()
    expect(page.get_by_text("Succeeded").first).to_be_visible()
    (run,) = server.call("GET", f"/api/runs?workflow_id={editor.flow}")["items"]
    assert (run["input"]["your_name"], run["input"]["one_choice"]) == ("Ada", "Second choice")


QUESTION = flow(
    node("start", "manual"),
    node("ask", "approval", {"message": "Pay the lamp?", "fields": [{**NAME, "title": "Cost centre"}]}),
    node("yes", "set", {"values": {"where": "{{ input.fields.name }}"}}),
    edges=["start ask", "ask yes approved"],
)


def wait_for(page, server, run):
    return until(lambda: page.wait_for_timeout(50) or server.call("GET", f"/api/runs/{run}")["finished_at"], "it ends")


def test_a_member_answers_a_question_with_its_fields(page, server, log_in, watch, axe):
    run = server.run(server.add_flow(QUESTION, "Lamps"), {})["id"]
    log_in(page)
    page.goto(f"/runs/{run}")
    watch.allow(400, "/resume")
    page.get_by_role("button", name="Approve").click()
    field = page.get_by_label("Cost centre")
    expect(field).to_have_accessible_description("This field is required")
    axe(page, "main")
    field.fill("4711")
    page.get_by_role("button", name="Approve").click()
    wait_for(page, server, run)
    assert server.call("GET", f"/api/runs/{run}")["output"] == {"where": "4711"}


def test_a_link_is_answered_on_a_phone_without_a_login(new_context, server, axe):
    run = server.run(server.add_flow(QUESTION, "More lamps"), {})["id"]
    steps = server.call("GET", f"/api/runs/{run}/steps")["items"]
    address = urlsplit(next(step["output"]["url"] for step in steps if step["status"] == "waiting"))
    page = new_context(**PHONE).new_page()
    page.goto(f"{address.path}?{address.query}")
    axe(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_label("Cost centre").fill("4711")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("Choose Approve or Reject.")
    page.get_by_role("button", name="Approve").tap()
    expect(page.get_by_text("The answer arrived.")).to_be_visible()
    wait_for(page, server, run)
    page.goto(f"{address.path}?{address.query}")
    expect(page.get_by_text("The run has ended already")).to_be_visible()
    axe(page)
