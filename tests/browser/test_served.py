"""The app works under its Content-Security-Policy, and the fixtures of this folder detect errors."""

import re
import time

import chromium
import pytest
from playwright.sync_api import expect
from servers import PATIENCE

NONCE = "document.querySelector('meta[name=csp-nonce]').content"


def test_the_app_starts_with_an_accessible_login_page(page, watch, axe):
    watch.allow(401, "/api/auth/session")
    page.goto("/")
    expect(page.get_by_role("button", name="Log in")).to_be_visible()
    axe(page)


def test_the_login_form_logs_in(page, watch):
    watch.allow(401, "/api/auth/session")
    page.goto("/")
    page.get_by_label("Email").fill(chromium.EMAIL)
    page.get_by_label("Password").and_(page.locator("input")).fill(chromium.PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("navigation").first).to_be_visible()


@pytest.mark.parametrize("path", ["/", "/flows", "/runs", "/nowhere"])
def test_every_path_of_the_app_can_be_opened_and_reloaded(page, log_in, path):
    log_in(page)
    page.goto(path)
    expect(page.get_by_role("navigation").first).to_be_visible()
    first = page.evaluate(NONCE)
    page.reload()
    expect(page.get_by_role("navigation").first).to_be_visible()
    assert re.fullmatch(r"[\w-]{24}", first) and page.evaluate(NONCE) not in ("", first)


def test_assets_are_compressed_and_cached(page, log_in):
    log_in(page)
    with page.expect_response(lambda answer: "/assets/" in answer.url and answer.url.endswith(".js")) as caught:
        page.goto("/")
    headers = caught.value.all_headers()
    assert headers["content-encoding"] in ("gzip", "br") and "immutable" in headers["cache-control"]


def test_the_licenses_of_dependencies_are_served(page, log_in):
    log_in(page)
    answer = page.request.get("/licenses.txt")
    assert answer.ok and "## react - " in answer.text() and "(OFL-1.1)" in answer.text()


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        ("console.warn('odd')", "console warning: odd"),
        ("setTimeout(() => { throw new Error('broken') })", "exception broken"),
        ("fetch('/api/nothing')", "404 GET "),
        ("fetch('http://127.0.0.1:9/')", "Content-Security-Policy: connect-src refused"),
        (
            "document.body.append(Object.assign(document.createElement('script'), {text: 'window.bad = 1'}))",
            "Content-Security-Policy: script-src-elem refused inline",
        ),
        ("setTimeout('window.bad = 1')", "Content-Security-Policy: script-src refused eval"),
        (
            "document.head.append(Object.assign(document.createElement('style'), {textContent: 'b {}'}))",
            "Content-Security-Policy: style-src-elem refused inline",
        ),
    ],
)
def test_errors_of_a_page_are_detected(page, log_in, watch, script, complaint):
    log_in(page)
    page.goto("/")
    expect(page.get_by_role("navigation").first).to_be_visible()
    page.evaluate(f"() => {{ {script} }}")
    deadline = time.monotonic() + PATIENCE
    while not any(complaint in line for line in watch.complaints) and time.monotonic() < deadline:
        page.wait_for_timeout(20)  # Playwright reports events while it waits
    assert any(complaint in line for line in watch.complaints), watch.complaints
    watch.forget()
    assert page.evaluate("window.bad") is None


def test_an_accessibility_violation_is_reported(page, log_in):
    log_in(page)
    page.goto("/")
    page.evaluate("document.body.append(document.createElement('button'))")
    (found,) = chromium.barriers(page, within="body > button")
    assert (
        found.startswith("button-name (critical): Buttons must have discernible text") and "<button></button>" in found
    )
