"""Fixtures: a real server with the built app, Chromium, and a page that fails the test on every error.

These tests are skipped if Chromium or the build is missing; with HEADRACE_EXPECT_BROWSER=1 they fail instead. They
always fail if the build is older than its sources.

Server and browser live for one test file. If they lived longer, the browser's event loop would disturb other tests.
"""

import os
from pathlib import Path

import chromium
import pytest
from editing import Editor
from playwright.sync_api import Error, expect
from servers import serving

SIZE = {"width": 1280, "height": 800}
# Maximum wait for an expected element; generous, since the machine may be busy.
PATIENCE_MS = 60_000


expect.set_options(timeout=PATIENCE_MS)


def pytest_collection_modifyitems(items):
    """Mark all tests of this folder as slow."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.slow)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Take a screenshot of the page if a test failed, and name its path in the report."""
    report = yield
    page = getattr(item, "funcargs", {}).get("page")
    folder = getattr(item, "funcargs", {}).get("tmp_path")
    if report.failed and call.when == "call" and page is not None and folder is not None:
        path = folder / "page.png"
        try:
            page.screenshot(path=path)
            told = f"a picture of it in {path}"
        except Error as error:  # without this, it would end all tests
            told = f"no picture of it: {error}"
        report.sections.append(("the page", f"{page.url}, {told}"))
    return report


@pytest.fixture(scope="session", autouse=True)
def equipped():
    """Skip if something is missing, or fail if HEADRACE_EXPECT_BROWSER is set. Fail if the build is outdated."""
    reason = chromium.missing_requirement()
    if reason is not None and os.environ.get("HEADRACE_EXPECT_BROWSER") == "1":
        pytest.fail(reason)
    if reason is not None:
        pytest.skip(reason)
    if chromium.is_outdated():
        pytest.fail("the browser app in web/dist is older than its sources: run make web", pytrace=False)


@pytest.fixture(scope="module")
def server(equipped, tmp_path_factory):
    """Start a server with only an owner; `server.call(…)` sends a request with the owner's API token."""
    with serving(tmp_path_factory.mktemp("data")) as server:
        yield server


@pytest.fixture(scope="module")
def browser(equipped):
    """Start Chromium."""
    with chromium.launched() as browser:
        yield browser


@pytest.fixture
def new_context(browser, server):
    """Return `new_context(**options)`, which makes a separate browser context with its own cookies."""
    made = []

    def make(**options):
        usual = {"viewport": SIZE, "locale": "en-GB", "timezone_id": "UTC", "reduced_motion": "reduce"}
        # The server's Content-Security-Policy applies in every test.
        context = browser.new_context(base_url=server.url, bypass_csp=False, **{**usual, **options})
        context.set_default_timeout(PATIENCE_MS)
        made.append(context)
        return context

    yield make
    for context in made:
        context.close()


@pytest.fixture
def context(new_context):
    """Return the browser context of `page`."""
    return new_context()


@pytest.fixture
def watch(context):
    """Record the errors of the pages of `context`. `watch.allow(404, "/api/runs/")` allows an expected one.

    Any other error fails the test at its end.
    """
    watch = chromium.Watch(context)
    yield watch
    assert not watch.complaints, "\n".join(watch.complaints)


@pytest.fixture
def page(context, watch, tmp_path):
    """Open a page on which every error fails the test: console, policy violation, exception or failed request."""
    return context.new_page()


@pytest.fixture
def editor(page, server):
    """Return the editor, with the owner logged in; `editor.open(definition)` shows a new flow."""
    chromium.log_in(page)
    return Editor(page, server)


@pytest.fixture
def another(new_context, server):
    """Return `another(role)`, which opens a watched page of a new member in a separate browser context."""
    watches = []

    def join(role, **options):
        email = f"{role}-{len(watches)}@example.com"
        server.add_member(email, role, role.capitalize())
        context = new_context(**options)
        watches.append(chromium.Watch(context))
        page = context.new_page()
        page.watch = watches[-1]
        chromium.log_in(page, email=email)
        return page

    yield join
    complaints = [line for watch in watches for line in watch.complaints]
    assert not complaints, "\n".join(complaints)


@pytest.fixture
def log_in():
    """Return `log_in(page)`, which logs in the owner, or the user with `email` and `password`."""
    return chromium.log_in


@pytest.fixture
def axe():
    """Return `axe(page)`, which fails if axe-core finds a violation.

    `within` is a selector; `but` excludes rules; `only` names the one to check.
    """

    def check(page, within=None, but=(), only=None):
        found = chromium.barriers(page, within, but, only)
        assert not found, "\n\n".join(found)

    return check
