"""A new user gets from the first start to an active flow in less than three minutes, without documentation."""

import chromium
import pytest
from journey import EMAIL, NAME, PASSWORD, STEPS, TEAM, TEMPLATE, Journey, told
from playwright.sync_api import expect
from servers import Server

MAX_SECONDS = 180


@pytest.fixture(scope="module")
def server(equipped, tmp_path_factory):
    """Start a server on an empty folder, without a configured login."""
    server = Server(tmp_path_factory.mktemp("data"), WEB_CONCURRENCY=1)
    del server.environment["HEADRACE_ADMIN_PASSWORD"]
    try:
        yield server.start()
    finally:
        server.close()


def test_a_new_user_sets_up_and_runs_a_template(page, watch, server, new_context):
    watch.allow(401, "/api/auth/session")
    journey = Journey(page, server)
    # API requests are possible after the first password is set.
    journey.go(*STEPS[:2])
    server.log_in(EMAIL, PASSWORD)
    journey.go(*STEPS[2:])
    seconds = sum(journey.took.values())
    print(f"The journey took {seconds:.1f} s: {told(journey.took)}")
    assert seconds < MAX_SECONDS, told(journey.took)
    stored = journey.editor.stored
    assert (stored["name"], stored["status"]) == (TEMPLATE, "active")
    runs = server.call("GET", f"/api/runs?workflow_id={journey.editor.flow}")["items"]
    assert [run["status"] for run in runs] == ["success", "failed", "success"]
    logged = server.call("GET", f"/api/logs/{runs[0]['id']}")["items"]
    assert any(entry["message"] == "Please order from Hansen" for entry in logged)
    assert server.call("GET", "/api/workspaces")["items"][0]["name"] == TEAM
    assert server.call("GET", "/api/members", headers=server.session(EMAIL, PASSWORD))["items"][0]["name"] == NAME
    # The login works with the chosen password.
    elsewhere = new_context().new_page()
    elsewhere.goto("/")
    expect(elsewhere.get_by_text("Your first login is in the server's console output.")).to_be_visible()
    chromium.log_in(elsewhere, EMAIL, PASSWORD)
    elsewhere.goto("/flows")
    expect(elsewhere.get_by_role("link", name=TEMPLATE).first).to_be_visible()
