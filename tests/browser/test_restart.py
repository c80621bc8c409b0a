"""The server or the session ends during work: no input is lost, and the page recovers automatically."""

from contextlib import suppress

import pytest
from playwright.sync_api import Error, expect
from servers import EMAIL, PASSWORD, until
from test_editor import placed
from test_running import get, remote  # noqa: F401  (a fixture)
from test_two_people import rename
from world import chain, node

FLOW = placed(chain(node("start", "manual"), "one", "two"))


@pytest.fixture
def stopped(server, watch):
    """Return `stop(kill=False)`, which ends the server; it is started again after the test at the latest."""

    def stop(kill=False):
        # Requests to the stopped server fail; a server that shuts down may still answer 503.
        watch.allow("failed")
        watch.allow("503")
        if kill:
            server.kill()
        else:
            server.terminate()
            server.ended()

    yield stop
    if not server.answering.is_set():
        server.start()


@pytest.mark.parametrize("kill", [False, True])
def test_changes_made_during_an_outage_are_saved_after_it(editor, server, stopped, kill):
    editor.open(FLOW)
    stopped(kill)
    rename(editor, "one", "Typed in the dark")
    expect(editor.page.get_by_text("Not saved; retrying")).to_be_visible()
    server.start()
    editor.saved()
    assert editor.definition["nodes"][1]["name"] == "Typed in the dark"


def test_a_save_with_a_lost_response_is_not_a_conflict(editor, server, stopped, watch):
    # The editor retries with an old revision, gets 409, and sees that the stored draft is its own.
    watch.allow(409, "/api/workflows/")
    editor.open(FLOW)
    address = f"**/api/workflows/{editor.flow}/draft"

    def lose(route):
        if route.request.method != "PUT":
            route.continue_()
            return
        # The server saves, but its response is dropped. Retries while the server is stopped fail without this.
        with suppress(Error):
            route.fetch()
        with suppress(Error):
            route.abort()

    editor.page.route(address, lose)
    rename(editor, "one", "Saved unheard")
    until(lambda: editor.page.wait_for_timeout(50) or editor.draft["revision"] == 1, "the server has it")
    stopped()
    editor.page.unroute(address)
    server.start()
    editor.saved()
    assert editor.draft["revision"] == 1
    expect(editor.page.get_by_text("while you were editing")).to_have_count(0)


def test_a_run_interrupted_by_a_restart_is_shown_until_it_ends(editor, server, stopped, remote):  # noqa: F811
    editor.open(placed(chain(node("start", "manual"), get(remote, "/slow"), "after"))).run()
    editor.ran("fetch", "running")
    stopped(kill=True)
    remote.gate.set()
    server.start()
    editor.ended("Succeeded")
    editor.ran("after", "success")


def test_lists_update_after_a_restart(page, server, log_in, stopped):
    log_in(page)
    flow = server.add_flow(chain(node("start", "manual"), "one"), "Seen after the restart")
    page.goto("/runs")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    stopped()
    server.start()
    server.run(flow, wait=5)
    expect(page.get_by_text("Seen after the restart").first).to_be_visible()


def test_a_page_opened_during_an_outage_loads_after_it(page, server, log_in, stopped):
    log_in(page)
    page.goto("/flows")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    page.get_by_role("link", name="Runs", exact=True).hover()
    stopped()
    page.get_by_role("link", name="Templates", exact=True).click()
    server.start()
    expect(page.get_by_role("heading", name="Templates", exact=True)).to_be_visible()
    expect(page.get_by_label("Search templates")).to_be_visible()


def test_changes_are_kept_through_a_logout_and_saved_after_login(editor, server, watch):
    watch.allow(401)
    page, asked = editor.page, []
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/auth/session") else None)
    editor.open(FLOW)
    rename(editor, "one", "Typed without a session")
    # The session ends, as if signed out from another browser or expired, before the change is saved.
    page.context.clear_cookies()
    ended = page.get_by_role("dialog", name="Your session has ended")
    expect(ended.get_by_label("Email")).to_have_value(EMAIL)
    assert len(asked) < 10, f"the page requested the session {len(asked)} times"
    ended.get_by_label("Password").and_(page.locator("input")).fill(PASSWORD)
    ended.get_by_role("button", name="Log in", exact=True).click()
    editor.saved()
    assert editor.definition["nodes"][1]["name"] == "Typed without a session"
