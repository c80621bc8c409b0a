"""Every page, empty and full, light and dark, on a desk and on a phone: nothing wrong, no barrier, nothing sideways."""

import re

import pytest
from playwright.sync_api import expect
from seeding import seed, settled
from serving import serving
from world import ROOT, flow, node

DESK, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
ROUTES = re.findall(r'<Route path="([^"]+)"', (ROOT / "web/src/app/Pages.tsx").read_text(encoding="utf-8"))
REDIRECTS = {"/login"}
# What is shown of each route with a part that varies: the names of what `seed` made.
EXAMPLES = {
    "/flows/:id": ["flow", "draft"],
    "/flows/:id/versions": ["flow"],
    "/runs/:id": ["run", "failed", "waiting"],
    "/agents/:id": ["agent"],
}
PLAIN = [path for path in ROUTES if ":" not in path and path not in REDIRECTS]
FULL = [(path, name) for path in ROUTES if path not in REDIRECTS for name in EXAMPLES.get(path, [None])]
# What moves while it loads, and what stands where something is still to come.
LOADING = ".mantine-Skeleton-root, .mantine-Loader-root"
WIDER = """() => [document.scrollingElement, document.querySelector("#content")].filter(Boolean)
    .map((part) => part.scrollWidth - part.clientWidth)"""


@pytest.fixture(scope="module")
def server(equipped, tmp_path_factory):
    """A server with a model for agents that answers at once, and a workspace that is full."""
    with serving(tmp_path_factory.mktemp("data"), HEADRACE_LLM_MODEL="test") as server:
        server.seeded = seed(server)
        settled(server.seeded)
        yield server


def test_every_route_is_looked_at():
    assert len(ROUTES) > 10 and len(PLAIN) > 10
    assert {path for path in ROUTES if ":" in path} == set(EXAMPLES)


def arrive(page, path):
    """Open a page and return when all of it is there."""
    page.goto(path)
    expect(page.get_by_role("heading", level=1)).to_have_count(1)
    expect(page.locator(LOADING)).to_have_count(0)


def look(page, axe, path):
    """What no page may be, as it is now."""
    page.evaluate("Promise.allSettled(document.getAnimations().map((animation) => animation.finished))")
    assert re.fullmatch(r"\S.* · Headrace", page.title()), page.title()
    axe(page)
    if page.viewport_size == PHONE:
        assert max(page.evaluate(WIDER)) <= 1, f"{path} scrolls sideways"


def everywhere(page, axe, path, schemes):
    """Look at a page on a desk in these colours, and on a phone in the last of them."""
    for size, colours in ((DESK, schemes), (PHONE, schemes[-1:])):
        page.set_viewport_size(size)
        page.emulate_media(color_scheme=colours[0], reduced_motion="reduce")
        arrive(page, path)
        for scheme in colours:
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            expect(page.locator("html")).to_have_attribute("data-mantine-color-scheme", scheme)
            look(page, axe, path)


@pytest.mark.parametrize(("path", "name"), FULL, ids=lambda value: value or "")
def test_a_page_with_much_on_it(page, server, log_in, axe, path, name):
    log_in(page)
    id_ = getattr(server.seeded, name) if name else ""
    everywhere(page, axe, path.replace(":id", id_), ("light", "dark"))


@pytest.fixture(scope="module")
def empty(server):
    """A workspace in which nothing was done yet."""
    return server.call("POST", "/api/workspaces", {"name": "Quiet"}, headers=server.session())["id"]


@pytest.mark.parametrize("path", PLAIN)
def test_a_page_with_nothing_on_it_yet(page, context, empty, log_in, axe, path):
    log_in(page)
    context.add_init_script(f"localStorage.setItem('headrace.workspace', {empty!r})")
    everywhere(page, axe, path, ("light",))


@pytest.mark.parametrize("path", ["/flows/wf_gone", "/runs/run_gone", "/agents/gone", "/flows/wf_gone/versions"])
def test_what_is_not_there_is_said(page, watch, log_in, path):
    watch.allow(404, "gone")
    log_in(page)
    page.goto(path)
    expect(page.locator("main")).to_contain_text(re.compile("There is no|There was no|not found", re.IGNORECASE))


def test_from_a_run_that_is_gone_one_comes_to_those_that_are_there(page, watch, log_in):
    watch.allow(404, "gone")
    log_in(page)
    page.goto("/runs/run_gone")
    page.get_by_role("link", name="All runs").click()
    expect(page.get_by_role("heading", name="Runs", level=1)).to_be_visible()


def test_a_phone_offers_to_look_at_a_flow_and_not_to_change_it(page, server, log_in):
    log_in(page)
    arrive(page, f"/runs/{server.seeded.failed}")
    expect(page.get_by_role("link", name="Fix in editor")).to_be_visible()
    page.set_viewport_size(PHONE)
    expect(page.get_by_role("link", name="View in editor")).to_be_visible()
    expect(page.get_by_role("link", name="Open flow")).to_be_visible()
    expect(page.get_by_role("link", name="Edit flow")).to_have_count(0)


def test_what_keeps_a_flow_off_is_told_by_the_names_of_its_nodes(page, server, watch, log_in, axe):
    watch.allow(400, "PUT", "/api/workflows/")
    nodes = (node("a", "manual"), node("b", "http", {"url": ""}), node("c", "http", {"url": ""}, name="Tell them"))
    off = server.seeded.add("Not ready", flow(*nodes, edges=["a b", "b c"]), "draft")
    log_in(page)
    arrive(page, "/flows")
    page.get_by_role("switch", name="Active: Not ready").press("Space")
    told = page.get_by_role("dialog", name="The flow cannot be activated")
    expect(told.get_by_role("listitem")).to_have_text(
        ["HTTP request: url must not be empty", "Tell them: url must not be empty"]
    )
    expect(told.get_by_role("link", name="Tell them")).to_have_attribute("href", f"/flows/{off}?node=c")
    axe(page)


def test_what_uses_a_credential_is_shown_and_said_before_it_is_deleted(page, server, log_in, axe):
    made = {"name": "Harbour", "type": "http_bearer", "data": {"token": "not-a-real-token"}}
    credential = server.call("POST", "/api/credentials", made)["id"]
    config = {"url": "http://127.0.0.1:9/", "credential": "Harbour"}
    user = server.seeded.add("Tides", flow(node("a", "manual"), node("b", "http", config), edges=["a b"]))
    log_in(page)
    arrive(page, f"/credentials?credential={credential}")
    dialog = page.get_by_role("dialog", name="Harbour")
    expect(dialog.get_by_role("link", name="Tides")).to_have_attribute("href", f"/flows/{user}")
    axe(page)
    dialog.get_by_role("button", name="Delete").click()
    sure = page.get_by_role("dialog", name="Delete “Harbour”?")
    expect(sure).to_contain_text("cannot delete it while an active flow uses it")
    axe(page)
    server.call("PUT", f"/api/workflows/{user}", {"status": "draft"})
    sure.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("Credential “Harbour” deleted")).to_be_visible()
    expect(page.get_by_role("table", name="Credentials")).not_to_contain_text("Harbour")


def test_a_credential_that_may_go_nowhere_is_said_before_it_is_saved_and_after(page, server, log_in, axe):
    log_in(page)
    arrive(page, "/credentials")
    page.get_by_role("button", name="New credential").click()
    dialog = page.get_by_role("dialog", name="New credential")
    dialog.get_by_role("combobox", name="Type").click()
    page.get_by_role("option", name="HTTP header").click()
    # Only the credential itself is asked for its name: the other field is the header's.
    expect(dialog.get_by_label(re.compile(r"^Name\b"))).to_have_count(1)
    dialog.get_by_label(re.compile("^Name")).fill("Weather")
    dialog.get_by_label(re.compile("^Header name")).and_(dialog.locator("input")).fill("X-Api-Key")
    dialog.get_by_label(re.compile("^Value")).and_(dialog.locator("input")).fill("not-a-real-key")
    warning = dialog.get_by_text("nodes cannot send this credential")
    expect(warning).to_be_visible()
    axe(page)
    hosts = dialog.get_by_label("Allowed hosts").and_(dialog.locator("input"))
    hosts.fill("api.example.com")
    hosts.press("Enter")
    expect(warning).to_have_count(0)
    hosts.press("Backspace")
    expect(warning).to_be_visible()
    dialog.get_by_role("button", name="Save").click()
    row = page.get_by_role("row").filter(has_text="Weather")
    expect(row).to_contain_text("none: nodes cannot send it")


def test_a_credential_that_nobody_was_asked_about_is_not_shown_as_good(page, server, log_in, axe):
    made = {"name": "Buoy", "type": "http_bearer", "data": {"token": "not-a-real-token"}, "hosts": ["127.0.0.1"]}
    credential = server.call("POST", "/api/credentials", made)["id"]
    log_in(page)
    arrive(page, f"/credentials?credential={credential}")
    page.get_by_role("dialog", name="Buoy").get_by_role("button", name="Test").click()
    dialog = page.get_by_role("dialog", name="Test “Buoy”")
    dialog.get_by_role("button", name="Test", exact=True).click()
    expect(dialog.get_by_text("Not tested: enter a URL to test against")).to_be_visible()
    expect(dialog.get_by_label("Test URL")).to_be_visible()
    expect(dialog.get_by_text("Test passed")).to_have_count(0)
    axe(page)


def test_one_flow_is_not_called_flows(page, log_in):
    log_in(page)
    arrive(page, "/flows?search=Morning")
    expect(page.get_by_text("1 flow shown", exact=True)).to_be_attached()


def test_an_entry_of_the_audit_trail_leads_to_what_was_changed_and_back_to_what_it_was(page, server, log_in, axe):
    log_in(page)
    arrive(page, f"/audit?target={server.seeded.flow}&action=flow.updated")
    rows = page.get_by_role("table", name="Audit log").get_by_role("row")
    expect(rows).to_have_count(2)
    entry = rows.last
    expect(entry).to_contain_text("Ada Brandt")
    expect(entry.get_by_role("link", name="Order intake")).to_be_visible()
    entry.get_by_role("link", name="2").click()
    expect(page.get_by_role("button", name=re.compile(r"^Is it a big one\?"))).to_have_attribute(
        "aria-expanded", "true"
    )
    page.get_by_role("button", name="Version 1").click()
    page.get_by_role("button", name="Restore").click()
    sure = page.get_by_role("dialog", name="Restore version 1?")
    expect(sure).to_contain_text("“Is it a big one?” changes back")
    axe(page)


# How wide it is, and how wide all that it shows.
ROOM = """(field) => {
    const given = field.offsetWidth;
    field.style.width = "max-content";
    const wanted = field.offsetWidth;
    field.style.width = "";
    return [given, wanted];
}"""


@pytest.mark.parametrize("path", ["/runs?range=custom", "/audit?days=custom"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_the_times_of_a_filter_can_be_read_to_their_end(page, log_in, path, size):
    page.set_viewport_size(size)
    log_in(page)
    arrive(page, path)
    for label in ("From", "Until"):
        given, wanted = page.get_by_label(label, exact=True).evaluate(ROOM)
        assert given >= wanted, f"{label} has {given} of {wanted} px"


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_failed_runs_are_found_by_the_kind_of_their_error(page, server, log_in, axe, size):
    page.set_viewport_size(size)
    log_in(page)
    arrive(page, "/runs")
    page.get_by_role("combobox", name="Error").click()
    page.get_by_role("option", name="Limit reached").click()
    expect(page.get_by_role("heading", name="No matching runs")).to_be_visible()
    page.get_by_role("combobox", name="Error").click()
    page.get_by_role("option", name="Service unavailable").click()
    expect(page).to_have_url(re.compile("error_kind=remote"))
    page.get_by_role("link", name="Exchange rates").first.click()
    told = page.get_by_role("alert").filter(has_text="“Ask the bank” failed")
    expect(told.get_by_text("Service unavailable")).to_be_visible()
    axe(page)
