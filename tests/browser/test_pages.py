"""Every page, empty and full, light and dark, on desktop and phone: no error, accessible, no horizontal scrolling."""

import json
import re

import pytest
from editing import FRAMES
from playwright.sync_api import expect
from seeding import seed, settled
from servers import serving
from world import ROOT, flow, node

DESK, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
TABLET = {"width": 1024, "height": 768}
ROUTES = re.findall(r'<Route path="([^"]+)"', (ROOT / "web/src/app/Pages.tsx").read_text(encoding="utf-8"))
REDIRECTS = {"/login"}
# Objects of `seed` to show for each route with a parameter.
EXAMPLES = {
    "/flows/:id": ["flow", "draft"],
    "/flows/:id/setup": ["flow"],
    "/flows/:id/versions": ["flow"],
    "/runs/:id": ["run", "failed", "waiting"],
    "/agents/:id": ["agent"],
    "/tables/:id": ["table"],
}
PLAIN = [path for path in ROUTES if ":" not in path and path not in REDIRECTS]
FULL = [(path, name) for path in ROUTES if path not in REDIRECTS for name in EXAMPLES.get(path, [None])]
# Placeholders and spinners while a page loads.
LOADING = ".mantine-Skeleton-root, .mantine-Loader-root"
WIDER = """() => [document.scrollingElement, document.querySelector("#content")].filter(Boolean)
    .map((part) => part.scrollWidth - part.clientWidth)"""
# The texts of elements that can be scrolled sideways.
SCROLLABLE = """() => [...document.querySelectorAll("*")]
    .filter((one) => /auto|scroll/.test(getComputedStyle(one).overflowX) && one.scrollWidth > one.clientWidth + 1)
    .map((one) => one.innerText.slice(0, 80))"""


@pytest.fixture(scope="module")
def server(equipped, tmp_path_factory):
    """Start a server with a test model for agents, and a workspace with all kinds of data."""
    with serving(tmp_path_factory.mktemp("data"), HEADRACE_LLM_MODEL="test") as server:
        server.seeded = seed(server)
        settled(server.seeded)
        yield server


def test_every_route_is_tested():
    assert len(ROUTES) > 10 and len(PLAIN) > 10
    assert {path for path in ROUTES if ":" in path} == set(EXAMPLES)


def arrive(page, path):
    """Open a page and wait until it has finished loading."""
    page.goto(path)
    expect(page.get_by_role("heading", level=1)).to_have_count(1)
    expect(page.locator(LOADING)).to_have_count(0)


def look(page, axe, path, only=None):
    """Check the page's title, accessibility and, on a phone, its width."""
    page.evaluate("Promise.allSettled(document.getAnimations().map((animation) => animation.finished))")
    assert re.fullmatch(r"\S.* · Headrace", page.title()), page.title()
    axe(page, only=only)
    if page.viewport_size == PHONE:
        assert max(page.evaluate(WIDER)) <= 1, f"{path} scrolls sideways"


def everywhere(page, axe, path):
    """Check a page on a phone in dark colors; then, without loading it again, on a desktop in dark and light ones."""
    page.set_viewport_size(PHONE)
    colored(page, "dark")
    arrive(page, path)
    look(page, axe, path)
    page.set_viewport_size(DESK)
    page.evaluate(FRAMES)
    expect(page.locator(LOADING)).to_have_count(0)
    # Other rules do not depend on colors, so the next check finds their violations.
    look(page, axe, path, only="color-contrast")
    colored(page, "light")
    expect(page.locator("html")).to_have_attribute("data-mantine-color-scheme", "light")
    look(page, axe, path)


def colored(page, scheme):
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")


@pytest.mark.parametrize(("path", "name"), FULL, ids=lambda value: value or "")
def test_a_page_with_data(page, server, log_in, axe, path, name):
    log_in(page)
    id_ = getattr(server.seeded, name) if name else ""
    everywhere(page, axe, path.replace(":id", id_))


@pytest.mark.parametrize("path", ["/credentials", "/members", "/tokens", "/audit", "/files", "/runs/:run"])
def test_nothing_scrolls_sideways_on_a_tablet(page, server, log_in, path):
    page.set_viewport_size(TABLET)
    log_in(page)
    arrive(page, path.replace(":run", server.seeded.run))
    expect(page.get_by_role("row").or_(page.get_by_role("treeitem")).nth(1)).to_be_visible()
    assert page.evaluate(SCROLLABLE) == []


@pytest.fixture(scope="module")
def empty(server):
    """Create an empty workspace."""
    return server.call("POST", "/api/workspaces", {"name": "Quiet"}, headers=server.session())["id"]


@pytest.mark.nightly
@pytest.mark.parametrize("path", PLAIN)
def test_an_empty_page(page, context, empty, log_in, axe, path):
    log_in(page)
    context.add_init_script(f"localStorage.setItem('headrace.workspace', {empty!r})")
    everywhere(page, axe, path)


@pytest.mark.parametrize("path", ["/flows/wf_gone", "/runs/run_gone", "/agents/gone", "/flows/wf_gone/versions"])
def test_a_missing_object_is_reported(page, watch, log_in, path):
    watch.allow(404, "gone")
    log_in(page)
    page.goto(path)
    expect(page.locator("main")).to_contain_text(re.compile("There is no|There was no|not found", re.IGNORECASE))


def test_the_page_of_a_missing_run_links_to_all_runs(page, watch, log_in):
    watch.allow(404, "gone")
    log_in(page)
    page.goto("/runs/run_gone")
    page.get_by_role("link", name="All runs").click()
    expect(page.get_by_role("heading", name="Runs", level=1)).to_be_visible()


def test_on_a_phone_a_flow_can_be_viewed_but_not_edited(page, server, log_in):
    log_in(page)
    arrive(page, f"/runs/{server.seeded.failed}")
    expect(page.get_by_role("link", name="Fix in editor")).to_be_visible()
    page.set_viewport_size(PHONE)
    expect(page.get_by_role("link", name="View in editor")).to_be_visible()
    expect(page.get_by_role("link", name="Open flow")).to_be_visible()
    expect(page.get_by_role("link", name="Open in editor")).to_have_count(0)


def test_a_failed_activation_lists_the_problems_by_node_name(page, server, watch, log_in, axe):
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


def test_the_flows_of_a_credential_are_shown_and_its_deletion_warns_of_them(page, server, log_in, axe):
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


def test_a_credential_without_allowed_hosts_shows_a_warning(page, server, log_in, axe):
    log_in(page)
    arrive(page, "/credentials")
    page.get_by_role("button", name="New credential").click()
    dialog = page.get_by_role("dialog", name="New credential")
    dialog.get_by_role("combobox", name="Type").click()
    page.get_by_role("option", name="HTTP header", exact=True).click()
    # Only one field is labelled "Name": the other one is "Header name".
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
    expect(row).to_contain_text("None: nodes cannot send it")


def test_an_untested_credential_is_not_shown_as_passed(page, server, log_in, axe):
    made = {"name": "Buoy", "type": "http_bearer", "data": {"token": "not-a-real-token"}, "hosts": ["127.0.0.1"]}
    credential = server.call("POST", "/api/credentials", made)["id"]
    log_in(page)
    arrive(page, f"/credentials?credential={credential}")
    page.get_by_role("dialog", name="Buoy").get_by_role("button", name="Test").click()
    dialog = page.get_by_role("dialog", name="Test “Buoy”")
    dialog.get_by_role("button", name="Test", exact=True).click()
    expect(dialog.get_by_text("Enter a URL to test against")).to_be_visible()
    expect(dialog.get_by_label("Test URL")).to_be_visible()
    expect(dialog.get_by_text("Test passed")).to_have_count(0)
    axe(page)


def test_one_flow_is_counted_in_the_singular(page, log_in):
    log_in(page)
    arrive(page, "/flows?search=Morning")
    expect(page.get_by_text("1 flow shown", exact=True)).to_be_attached()


def test_an_audit_entry_links_to_the_changed_version_which_can_be_restored(page, server, log_in, axe):
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


def test_activating_a_flow_in_the_list_publishes_its_draft(page, server, log_in, axe):
    empty = {"nodes": [], "edges": []}
    drawn = {"nodes": [{"id": "start", "type": "manual"}], "edges": []}
    flow = server.call("POST", "/api/flows", {"name": "Drawn, not saved", "definition": empty})["id"]
    body = {"definition": drawn, "base_version": 1, "revision": 0}
    server.call("PUT", f"/api/workflows/{flow}/draft", body)
    log_in(page)
    arrive(page, "/flows?search=Drawn")
    expect(page.get_by_text("Unpublished changes")).to_be_visible()
    axe(page)
    page.get_by_role("switch", name="Active: Drawn, not saved").click(force=True)
    expect(page.get_by_text("“Drawn, not saved” is active")).to_be_visible()
    expect(page.get_by_text("Unpublished changes")).to_have_count(0)
    stored = server.call("GET", f"/api/workflows/{flow}")
    assert (stored["version"], stored["status"], json.loads(stored["definition_json"])) == (2, "active", drawn)


def test_a_version_is_named(page, server, log_in, axe):
    log_in(page)
    arrive(page, f"/flows/{server.seeded.flow}/versions")
    page.get_by_role("button", name="Name", exact=True).click()
    asked = page.get_by_role("dialog", name="Name of version")
    asked.get_by_label("Name of the version").fill("Before Easter")
    asked.get_by_label("Note").fill("Large orders wait for an approval.")
    axe(page, within="[role=dialog]")
    asked.get_by_role("button", name="Save").click()
    expect(page.get_by_role("list", name="Versions")).to_contain_text("Before Easter")
    expect(page.get_by_text("Large orders wait for an approval.")).to_be_visible()
    axe(page)


# Return the width of a field, and the width that its content needs.
ROOM = """(field) => {
    const given = field.offsetWidth;
    field.style.width = "max-content";
    const wanted = field.offsetWidth;
    field.style.width = "";
    return [given, wanted];
}"""


@pytest.mark.parametrize("path", ["/runs?range=custom", "/audit?days=custom"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_the_time_fields_of_a_filter_are_wide_enough(page, log_in, path, size):
    page.set_viewport_size(size)
    log_in(page)
    arrive(page, path)
    for label in ("From", "Until"):
        given, wanted = page.get_by_label(label, exact=True).evaluate(ROOM)
        assert given >= wanted, f"{label} has {given} of {wanted} px"


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_failed_runs_can_be_filtered_by_error_kind(page, server, log_in, axe, size):
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
