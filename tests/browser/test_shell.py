"""The frame of every page: the server's version, and the notice of a paused server."""

import pytest
from playwright.sync_api import expect
from servers import serving

PHONE = {"width": 390, "height": 844}


def test_every_page_shows_the_servers_version(page, server, log_in):
    log_in(page)
    page.goto("/")
    version = server.call("GET", "/api/ready")["version"]
    expect(page.get_by_role("navigation").get_by_text(f"Headrace {version}", exact=True)).to_be_visible()
    expect(page.get_by_text("The server is paused")).to_have_count(0)


@pytest.fixture(scope="module")
def paused(equipped, tmp_path_factory):
    """Start a paused server."""
    with serving(tmp_path_factory.mktemp("data"), HEADRACE_PAUSED="true") as server:
        yield server


@pytest.mark.parametrize("path", ["/", "/flows"])
def test_every_page_shows_that_the_server_is_paused(browser, paused, log_in, axe, path):
    context = browser.new_context(base_url=paused.url, viewport=PHONE)
    page = context.new_page()
    log_in(page)
    page.goto(path)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.get_by_role("status").filter(has_text="The server is paused")).to_be_visible()
    axe(page)
    context.close()
