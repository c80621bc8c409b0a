"""Finding things: the command palette of every page, and a text in the open flow."""

from playwright.sync_api import expect
from world import chain, flow, node

PHONE = {"width": 390, "height": 844}


def palette(page):
    """Open the command palette by its key. Return its search field."""
    page.keyboard.press("Control+k")
    return page.get_by_role("combobox", name="Search and commands")


def active(page):
    """Return the option that Enter would choose."""
    return page.get_by_role("dialog", name="Search and commands").get_by_role("option", selected=True)


def test_the_palette_finds_flows_runs_nodes_and_actions_by_keyboard(page, server, log_in, axe):
    flow_id = server.add_flow(chain(node("start", "manual"), node("sign", name="Sign the order")), "Zebra")
    run = server.run(flow_id, wait=10)
    log_in(page)
    page.goto("/runs")
    expect(page.get_by_role("heading", name="Runs", level=1)).to_be_visible()

    # A flow by letters of its name, found by the server.
    palette(page).fill("zeb")
    expect(active(page)).to_contain_text("Zebra")
    axe(page)
    page.keyboard.press("Enter")
    expect(page.locator(".react-flow__node")).to_have_count(2)

    # A node of the open flow: selected, with the focus on it.
    palette(page).fill("sign")
    expect(active(page)).to_contain_text("Nodes of this flow")
    page.keyboard.press("Enter")
    expect(page.locator(".react-flow__node.selected[data-id=sign]")).to_be_focused()

    # A node type: added after the selected node.
    palette(page).fill("wait")
    expect(active(page)).to_contain_text("Add a node")
    page.keyboard.press("Enter")
    expect(page.locator(".react-flow__node")).to_have_count(3)

    # Escape closes it and gives the focus back.
    palette(page).fill("nothing like this")
    expect(page.get_by_text("Nothing matches “nothing like this”.")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator(".react-flow__node.selected")).to_be_focused()

    # A run by its id; an id that no run has.
    palette(page).fill(run["id"][:-2] + ("00" if run["id"][-2:] != "00" else "11"))
    expect(page.get_by_text("This workspace has no run with the id")).to_be_visible()
    # The run opens once it is found, although Enter follows at once.
    page.get_by_role("combobox", name="Search and commands").fill(run["id"])
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{server.url}/runs/{run['id']}")

    # Without a search, what was opened last comes first; arrows move.
    palette(page)
    expect(active(page)).to_contain_text("Zebra")
    page.keyboard.press("ArrowDown")
    expect(active(page)).not_to_contain_text("Zebra")
    page.keyboard.press("Escape")

    # An action.
    palette(page).fill("dark")
    page.keyboard.press("Enter")
    expect(page.locator("html")).to_have_attribute("data-mantine-color-scheme", "dark")


def test_the_palette_is_opened_by_a_button_on_a_phone(new_context, server, log_in, axe):
    page = new_context(viewport=PHONE).new_page()
    log_in(page)
    page.goto("/")
    loaded = page.evaluate("performance.getEntriesByType('resource').map((one) => one.name).join()")
    assert "CommandPalette" not in loaded, "the palette's code is part of the first load"
    page.get_by_role("banner").get_by_role("button", name="Search and commands").click()
    page.get_by_role("combobox", name="Search and commands").fill("audit")
    axe(page)
    page.get_by_role("option", name="Audit log").click()
    expect(page.get_by_role("heading", name="Audit log", level=1)).to_be_visible()


def test_a_text_is_found_in_the_open_flow(editor, axe):
    config = {"url": "https://needle.example.com", "headers": {"X-Needle": "1"}, "timeout": "{{ input.needle }}"}
    sent = node("send", "http", config, name="Send it")
    far = {"position": {"x": 6_000, "y": 4_000}}
    editor.open(flow(node("start", "manual"), sent | far, node("two"), edges=["start send"]))
    page, panel = editor.page, editor.panel
    editor.click("start")
    page.keyboard.press("Control+f")
    field = page.get_by_role("combobox", name="Find in flow")
    expect(field).to_be_focused()
    field.fill("NEEDLE")
    hits = page.get_by_role("listbox", name="Matches").get_by_role("option")
    expect(hits).to_have_count(3)
    expect(hits.first).to_contain_text("Send it · URL")
    axe(page)

    # Enter shows the node, although it was far away, and its setting; the focus stays in the field.
    field.press("Enter")
    expect(page.get_by_role("search").get_by_role("status")).to_have_text("1 of 3")
    editor.selected("send")
    expect(editor.node("send")).to_be_in_viewport()
    expect(panel.locator("[data-found]").get_by_text("needle.example.com")).to_be_visible()
    expect(field).to_be_focused()
    field.press("Enter")
    expect(page.get_by_role("search").get_by_role("status")).to_have_text("2 of 3")
    expect(panel.locator("[data-found]").get_by_role("textbox", name="Headers: name 1")).to_have_value("X-Needle")
    field.press("Enter")
    expect(panel.locator("[data-found]")).to_contain_text("input.needle")
    expect(field).to_be_focused()
    field.press("Shift+Enter")
    field.press("Shift+Enter")
    expect(page.get_by_role("search").get_by_role("status")).to_have_text("1 of 3")

    # Escape leaves the focus at the node; without a visited match, where it was.
    field.press("Escape")
    expect(field).to_have_count(0)
    expect(editor.node("send")).to_be_focused()
    expect(panel.locator("[data-found]")).to_have_count(0)
    name = panel.get_by_role("textbox", name="Node name")
    name.click()
    name.press("Control+f")
    expect(field).to_be_focused()
    field.press("Escape")
    expect(name).to_be_focused()


def test_runs_are_found_by_their_data(page, server, log_in, axe):
    make = node("sum", "set", {"values": {"code": "{{ 'K-' ~ input.n }}"}}, name="Make code")
    flow_id = server.add_flow(chain(node("start", "manual"), make), "Codes")
    for n in range(3):
        run = server.run(flow_id, {"n": f"77{n}"}, wait=10)
    log_in(page)
    page.goto("/runs")
    page.get_by_role("searchbox", name="Search in run data").fill("k-772")
    expect(page.get_by_text("there are no older ones")).to_be_visible()
    rows = page.get_by_role("table", name="Runs").locator("tbody").get_by_role("row")
    expect(rows).to_have_count(1)
    axe(page)
    expect(rows).to_contain_text("also: Output of Make code")
    rows.get_by_role("link", name="Output", exact=True).click()
    expect(page).to_have_url(f"{server.url}/runs/{run['id']}?tab=output")
    page.go_back()
    page.get_by_role("searchbox", name="Search in run data").fill("no such data")
    expect(page.get_by_text("No matching runs")).to_be_visible()
