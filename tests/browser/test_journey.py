"""A newcomer who has read nothing gets from the first start to a flow that is on, in less than three minutes."""

import chromium
import pytest
from journey import EMAIL, NAME, PASSWORD, STEPS, TEAM, TEMPLATE, Journey, told
from playwright.sync_api import expect
from servers import Server

MOST_SECONDS = 180


@pytest.fixture(scope="module")
def server(equipped, tmp_path_factory):
    """A server on an empty folder, of which nobody said how to log in."""
    server = Server(tmp_path_factory.mktemp("data"), WEB_CONCURRENCY=1)
    del server.environment["HEADRACE_ADMIN_PASSWORD"]
    try:
        yield server.start()
    finally:
        server.close()


def test_a_newcomer_gets_a_template_to_run_as_they_want_it(page, watch, server, new_context):
    watch.allow(401, "/api/auth/session")
    journey = Journey(page, server)
    # What the server has can be read once there is a password to log in with.
    journey.go(*STEPS[:2])
    server.log_in(EMAIL, PASSWORD)
    journey.go(*STEPS[2:])
    seconds = sum(journey.took.values())
    print(f"The journey took {seconds:.1f} s: {told(journey.took)}")
    assert seconds < MOST_SECONDS, told(journey.took)
    stored = journey.editor.stored
    assert (stored["name"], stored["status"]) == (TEMPLATE, "active")
    runs = server.call("GET", f"/api/runs?workflow_id={journey.editor.flow}")["items"]
    assert [run["status"] for run in runs] == ["success", "failed", "success"]
    logged = server.call("GET", f"/api/logs/{runs[0]['id']}")["items"]
    assert any(entry["message"] == "Please order from Hansen" for entry in logged)
    assert server.call("GET", "/api/workspaces")["items"][0]["name"] == TEAM
    assert server.call("GET", "/api/members", headers=server.session(EMAIL, PASSWORD))["items"][0]["name"] == NAME
    # The password that was chosen is the one that counts.
    elsewhere = new_context().new_page()
    chromium.log_in(elsewhere, EMAIL, PASSWORD)
    elsewhere.goto("/flows")
    expect(elsewhere.get_by_role("link", name=TEMPLATE).first).to_be_visible()
