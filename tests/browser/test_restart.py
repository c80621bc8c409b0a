"""The server or the session ends while people work: nothing that was typed is lost, and the page goes on by itself."""

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
    """`stopped(kill=True)` ends the server; at the latest after the test it is there again."""

    def stop(kill=False):
        # What is asked meanwhile fails, and a server that is about to end may still say so.
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
def test_what_is_typed_while_the_server_is_away_is_saved_when_it_is_back(editor, server, stopped, kill):
    editor.open(FLOW)
    stopped(kill)
    rename(editor, "one", "Typed in the dark")
    expect(editor.page.get_by_text("Not saved; retrying")).to_be_visible()
    server.start()
    editor.saved()
    assert editor.definition["nodes"][1]["name"] == "Typed in the dark"


def test_a_save_whose_answer_was_lost_is_no_conflict(editor, server, stopped, watch):
    # What it sends again is of an older version by then; it sees that what is stored is its own.
    watch.allow(409, "/api/workflows/")
    editor.open(FLOW)
    address = f"**/api/workflows/{editor.flow}"

    def lose(route):
        if route.request.method != "PUT":
            route.continue_()
            return
        # The server takes it, and then nobody hears of it. What is sent again while it is ended is lost by itself.
        with suppress(Error):
            route.fetch()
        with suppress(Error):
            route.abort()

    editor.page.route(address, lose)
    rename(editor, "one", "Saved unheard")
    until(lambda: editor.page.wait_for_timeout(50) or editor.stored["version"] == 2, "the server has it")
    stopped()
    editor.page.unroute(address)
    server.start()
    editor.saved()
    assert editor.stored["version"] == 2
    expect(editor.page.get_by_text("while you were editing")).to_have_count(0)


def test_a_run_that_the_server_was_ended_in_is_shown_to_its_end(editor, server, stopped, remote):  # noqa: F811
    editor.open(placed(chain(node("start", "manual"), get(remote, "/slow"), "after"))).run()
    editor.ran("fetch", "running")
    stopped(kill=True)
    remote.gate.set()
    server.start()
    editor.ended("Succeeded")
    editor.ran("after", "success")


def test_lists_go_on_by_themselves(page, server, log_in, stopped):
    log_in(page)
    flow = server.add_flow(chain(node("start", "manual"), "one"), "Seen after the restart")
    page.goto("/runs")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    stopped()
    server.start()
    server.run(flow, wait=5)
    expect(page.get_by_text("Seen after the restart").first).to_be_visible()


def test_a_page_that_is_opened_while_the_server_is_away_opens_when_it_is_back(page, server, log_in, stopped):
    log_in(page)
    page.goto("/flows")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    page.get_by_role("link", name="Runs", exact=True).hover()
    stopped()
    page.get_by_role("link", name="Templates", exact=True).click()
    server.start()
    expect(page.get_by_role("heading", name="Templates", exact=True)).to_be_visible()
    expect(page.get_by_label("Search templates")).to_be_visible()


def test_who_is_logged_out_elsewhere_logs_in_again_and_has_what_was_typed(editor, server, watch):
    watch.allow(401)
    page, asked = editor.page, []
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/auth/session") else None)
    editor.open(FLOW)
    rename(editor, "one", "Typed without a session")
    # As after "end all others" in another browser, or after a month; before what was typed is saved.
    page.context.clear_cookies()
    ended = page.get_by_role("dialog", name="Your session has ended")
    expect(ended.get_by_label("Email")).to_have_value(EMAIL)
    assert len(asked) < 10, f"it asked {len(asked)} times who is logged in"
    ended.get_by_label("Password").and_(page.locator("input")).fill(PASSWORD)
    ended.get_by_role("button", name="Log in", exact=True).click()
    editor.saved()
    assert editor.definition["nodes"][1]["name"] == "Typed without a session"
