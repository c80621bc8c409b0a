"""A real server with the built app, Chromium, and a page on which nothing may go wrong unseen.

These tests skip where Chromium or the build is missing, and fail instead with HEADRACE_EXPECT_BROWSER=1; over a build
that is older than its sources they fail in any case.

Server and browser live as long as a file of tests: longer, and the browser's event loop would be in the way of others.
"""

import os
from pathlib import Path

import chromium
import pytest
from editing import Editor
from playwright.sync_api import expect
from serving import serving

SIZE = {"width": 1280, "height": 800}
# Until what should be seen is seen; machines may be busy.
PATIENCE_MS = 60_000


expect.set_options(timeout=PATIENCE_MS)


def pytest_collection_modifyitems(items):
    """All of these are slow."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.slow)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """A picture of the page where a test failed, in the folder that its report names."""
    report = yield
    page = getattr(item, "funcargs", {}).get("page")
    if report.failed and call.when == "call" and page is not None:
        path = item.funcargs["tmp_path"] / "page.png"
        page.screenshot(path=path)
        report.sections.append(("the page", f"{page.url}, a picture of it in {path}"))
    return report


@pytest.fixture(scope="session", autouse=True)
def equipped():
    """Skip, or fail where it was promised, if something is missing; an app of yesterday is no app to test."""
    reason = chromium.lacking()
    if reason is not None and os.environ.get("HEADRACE_EXPECT_BROWSER") == "1":
        pytest.fail(reason)
    if reason is not None:
        pytest.skip(reason)
    if chromium.outdated():
        pytest.fail("the browser app in web/dist is older than its sources: run make web", pytrace=False)


@pytest.fixture(scope="module")
def server(equipped, tmp_path_factory):
    """The server, with an owner and nothing else; `server.call(…)` asks it things by the owner's API token."""
    with serving(tmp_path_factory.mktemp("data")) as server:
        yield server


@pytest.fixture(scope="module")
def browser(equipped):
    """Chromium."""
    with chromium.launched() as browser:
        yield browser


@pytest.fixture
def new_context(browser, server):
    """`new_context(**options)` gives a browser of its own for somebody, with none of another's cookies."""
    made = []

    def make(**options):
        usual = {"viewport": SIZE, "locale": "en-GB", "timezone_id": "UTC", "reduced_motion": "reduce"}
        # The policy that the server sends is in force: nothing is tested without it.
        context = browser.new_context(base_url=server.url, bypass_csp=False, **{**usual, **options})
        context.set_default_timeout(PATIENCE_MS)
        made.append(context)
        return context

    yield make
    for context in made:
        context.close()


@pytest.fixture
def context(new_context):
    """The browser of the one who uses `page`."""
    return new_context()


@pytest.fixture
def watch(context):
    """What goes wrong in the pages of `context`. `watch.allow(404, "/api/runs/")` lets a test provoke it.

    At the end of the test nothing else may have been seen.
    """
    watch = chromium.Watch(context)
    yield watch
    assert not watch.complaints, "\n".join(watch.complaints)


@pytest.fixture
def page(context, watch, tmp_path):
    """A page of which every error fails the test: in the console, of the policy, exceptions, requests that failed."""
    return context.new_page()


@pytest.fixture
def editor(page, server):
    """The owner in the editor: `editor.open(definition)` shows a new flow."""
    chromium.log_in(page)
    return Editor(page, server)


@pytest.fixture
def another(new_context, server):
    """`another("viewer")` gives a page of a second member with this role, in a browser of their own, watched too."""
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
    """`log_in(page)` gives it the owner's session, or that of `email` and `password`."""
    return chromium.log_in


@pytest.fixture
def axe():
    """`axe(page)` fails where axe-core finds a barrier; `within` is a selector, `but` names rules to leave out."""

    def check(page, within=None, but=()):
        found = chromium.barriers(page, within, but)
        assert not found, "\n\n".join(found)

    return check
