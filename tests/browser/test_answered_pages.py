"""HTML pages in the responses of flows: styles and forms work, scripts and the app's session do not."""

import json

import pytest
from playwright.sync_api import expect
from world import flow, node

HTML = {"Content-Type": "text/html; charset=utf-8"}
PAGE = """<!doctype html><style>h1 {{ color: rgb(0, 128, 0) }}</style><h1>Order tea</h1>
<form method="post" action="{action}"><input name="tea" aria-label="Tea"><button>Order</button></form>
<p id="script">no script ran</p><script>document.getElementById("script").textContent = "a script ran"</script>"""
THANKS = '<!doctype html><h1 style="color: rgb(0, 0, 255)">Thank you for {{ input.body.tea }}</h1>'


def answering(body, path, method):
    """Return a flow with a webhook that responds with this page."""
    hook = node("hook", "webhook", {"path": path, "methods": [method], "respond": "node"})
    return flow(hook, node("answer", "respond", {"headers": HTML, "body": body}), edges=["hook answer"])


@pytest.fixture
def ask(server, watch):
    """Return `ask(action)`: the path of a page whose form is sent to `action`; the webhook `tea` accepts the form."""
    added = []
    # The browser logs an error when it blocks a script or a form of these pages.
    watch.allow("console error", "Blocked script execution")
    watch.allow("console error", "form-action")

    def make(action):
        added.append(server.add_flow(answering(PAGE.format(action=action), "ask", "GET"), "Ask"))
        return "/api/webhooks/ask"

    added.append(server.add_flow(answering(THANKS, "tea", "POST"), "Thank"))
    yield make
    for id_ in added:
        server.request("DELETE", f"/api/workflows/{id_}")


def colour(page):
    return page.get_by_role("heading").evaluate("it => getComputedStyle(it).color")


def test_a_styled_page_posts_its_form_to_another_flow(page, ask):
    page.goto(ask("/api/webhooks/tea"))
    assert colour(page) == "rgb(0, 128, 0)"
    page.get_by_label("Tea").fill("Assam")
    page.get_by_role("button", name="Order").click()
    expect(page.get_by_role("heading")).to_have_text("Thank you for Assam")
    assert colour(page) == "rgb(0, 0, 255)"


def test_scripts_are_blocked_and_the_origin_is_opaque(page, ask):
    page.goto(ask("/api/webhooks/tea"))
    expect(page.locator("#script")).to_have_text("no script ran")
    assert page.evaluate("self.origin") == "null"


def test_a_form_to_another_server_is_blocked(page, ask, httpserver):
    httpserver.expect_request("/taken").respond_with_data("taken")
    page.goto(ask(httpserver.url_for("/taken")))
    with page.expect_console_message(lambda message: "form-action" in message.text):
        page.get_by_role("button", name="Order").click(no_wait_after=True)
    assert page.url.endswith("/api/webhooks/ask") and httpserver.log == []


def test_a_form_is_sent_without_the_users_session_cookie(page, server, log_in, ask):
    log_in(page)
    sent = []
    page.on("request", lambda request: sent.append(request) if request.method == "POST" else None)
    page.goto(ask("/api/webhooks/tea"))
    page.get_by_role("button", name="Order").click()
    expect(page.get_by_role("heading")).to_have_text("Thank you for")
    headers = [request.all_headers() for request in sent if request.url.endswith("/tea")]
    assert [header.get("origin") for header in headers] == ["null"]
    assert all("cookie" not in header for header in headers)
    runs = server.call("GET", "/api/runs?triggered_by=webhook&limit=1")["items"]
    assert "cookie" not in json.dumps(server.call("GET", f"/api/runs/{runs[0]['id']}/input"))
