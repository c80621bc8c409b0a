"""Approvals on a phone, also if another user answers first."""

import pytest
from playwright.sync_api import expect
from servers import until
from world import flow, node

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "device_scale_factor": 1}
ASK = node("ask", "approval", {"message": "Pay {{ input.amount }} to {{ input.to }}?"}, name="May we pay?")


@pytest.fixture
def context(new_context):
    return new_context(**PHONE)


@pytest.fixture
def waiting(server):
    """Start a run that waits for an approval; each test has its own."""
    nodes = [node("start", "manual"), ASK, node("yes"), node("no")]
    definition = flow(*nodes, edges=["start ask", "ask yes approved", "ask no rejected"])
    run = server.run(server.add_flow(definition, "Supplier payments"), {"amount": 120, "to": "Hansen"})["id"]
    until(lambda: server.call("GET", f"/api/runs/{run}")["waiting"], "the run waits")
    yield run
    server.request("POST", f"/api/runs/{run}/cancel")


def question(page):
    return page.get_by_role("listitem").filter(has_text="Pay 120 to Hansen?")


def test_an_approval_is_found_through_the_menu_and_answered_by_touch(page, server, log_in, waiting, axe):
    log_in(page)
    page.goto("/")
    page.get_by_role("button", name="Open menu").tap()
    page.get_by_role("link", name="Approvals").tap()
    asked = question(page)
    expect(asked).to_be_visible()
    expect(asked.get_by_role("definition")).to_have_text(["120", "Hansen"])
    axe(page)
    assert page.evaluate("document.querySelector('main').scrollWidth <= innerWidth")
    approve = asked.get_by_role("button", name="Approve")
    assert approve.bounding_box()["height"] >= 40
    asked.get_by_role("textbox", name="Comment").fill("Paid from the second account")
    approve.tap()
    expect(asked.get_by_text("You approved")).to_be_visible()
    run = until(lambda: ended(page, server, waiting), "the run goes on")
    assert run["status"] == "success"


def ended(page, server, run):
    page.wait_for_timeout(50)
    found = server.call("GET", f"/api/runs/{run}")
    return found if found["finished_at"] else None


def test_a_second_answer_is_refused_with_a_message(page, server, watch, log_in, waiting):
    log_in(page)
    page.goto("/waiting")
    asked = question(page)
    expect(asked).to_be_visible()

    def quicker(route):
        server.call("POST", f"/api/runs/{waiting}/resume", {"node_id": "ask", "answer": "rejected"})
        route.continue_()

    # The other user's answer arrives just before this one.
    page.route(f"**/api/runs/{waiting}/resume", quicker)
    watch.allow(409, "/resume")
    asked.get_by_role("button", name="Approve").tap()
    expect(page.get_by_text("Your answer was not accepted").first).to_be_visible()
    assert until(lambda: ended(page, server, waiting), "the run goes on")["status"] == "success"
    steps = server.call("GET", f"/api/runs/{waiting}/steps")["items"]
    assert [step["node_id"] for step in steps if step["status"] == "success"][-1] == "no"


def test_an_approval_shows_that_another_user_has_answered(page, server, log_in, waiting):
    log_in(page)
    page.goto("/waiting")
    asked = question(page)
    expect(asked).to_be_visible()
    server.call("POST", f"/api/runs/{waiting}/resume", {"node_id": "ask", "answer": "rejected"})
    expect(asked.get_by_role("button", name="Approve")).to_have_count(0)
    expect(asked.get_by_role("status")).to_contain_text("rejected")


def test_an_approval_can_be_answered_on_the_page_of_the_run(page, log_in, waiting):
    log_in(page)
    page.goto(f"/runs/{waiting}")
    page.get_by_role("button", name="Reject").tap()
    expect(page.locator("header").get_by_text("Succeeded")).to_be_visible()
