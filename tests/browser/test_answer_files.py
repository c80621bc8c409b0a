"""Files in the answer to a question of a run, given in the app."""

import pytest
from playwright.sync_api import expect
from servers import until
from world import flow, node

REASON = {"kind": "text", "name": "reason", "title": "Reason", "required": True}
RECEIPT = {
    "kind": "file", "name": "receipt", "title": "Receipt", "help": "From the shop.", "required": True, "max": 2,
    "accept": [".pdf"], "max_bytes": 1_000,
}  # fmt: skip


@pytest.fixture
def waiting(server):
    """Start a run that asks for a reason and a receipt."""
    ask = node("ask", "approval", {"message": "Pay?", "fields": [REASON, RECEIPT]})
    nodes = [node("start", "manual"), ask, node("yes", "set", {"values": {"got": "{{ input.fields }}"}})]
    definition = flow(*nodes, edges=["start ask", "ask yes approved"])
    run = server.run(server.add_flow(definition, "Expenses"), {})["id"]
    until(lambda: server.call("GET", f"/api/runs/{run}")["waiting"], "the run waits")
    yield run
    server.request("POST", f"/api/runs/{run}/cancel")


def file(name, size=100):
    return {"name": name, "mimeType": "application/pdf", "buffer": b"x" * size}


def test_a_question_is_answered_with_files(page, server, log_in, waiting, watch, axe):
    log_in(page)
    page.goto("/waiting")
    receipt = page.get_by_label("Receipt")
    expect(page.get_by_text("From the shop. At most 2 files of 1.0 kB each: .pdf")).to_be_visible()
    axe(page)
    approve = page.get_by_role("button", name="Approve")
    approve.click()
    expect(page.get_by_text("Choose a file for “Receipt”.")).to_be_visible()
    expect(page.get_by_role("alert").filter(has_text="Correct the marked fields")).to_be_visible()
    axe(page)
    receipt.set_input_files([file("large.pdf", 1_001)])
    approve.click()
    expect(page.get_by_text("“large.pdf” is larger than 1.0 kB")).to_be_visible()
    receipt.set_input_files([file("one.pdf"), file("two.pdf", 200)])
    expect(page.get_by_text("one.pdf, two.pdf")).to_be_visible()
    # The server has the last word, on the other fields too.
    watch.allow(400, "/resume")
    approve.click()
    expect(page.get_by_text("is required").or_(page.get_by_text("Is required"))).to_be_visible()
    page.get_by_role("textbox", name="Reason").fill("Tea")
    approve.click()
    expect(page.get_by_text("You approved")).to_be_visible()
    run = until(lambda: ended(page, server, waiting), "the run goes on")
    got = run["output"]["got"]
    assert got["reason"] == "Tea" and [one["size"] for one in got["receipt"]] == [100, 200]


def ended(page, server, run):
    page.wait_for_timeout(50)
    found = server.call("GET", f"/api/runs/{run}")
    return found if found["finished_at"] else None
