"""The page of the workspace's settings: variables and the time zone."""

from playwright.sync_api import expect


def test_variables_and_the_time_zone_are_set(page, log_in, server, axe):
    log_in(page)
    page.goto("/settings")
    expect(page.get_by_text("No variables yet.")).to_be_visible()
    page.get_by_role("button", name="Add variable").click()
    dialog = page.get_by_role("dialog", name="Add variable")
    dialog.get_by_role("textbox", name="Name").fill("shop")
    dialog.get_by_role("textbox", name="Value").fill("Harbour Coffee")
    dialog.get_by_role("button", name="Save").click()
    expect(page.get_by_role("row").filter(has_text="shop")).to_contain_text('"Harbour Coffee"')
    zone = page.get_by_role("combobox", name="Default time zone").or_(
        page.get_by_role("textbox", name="Default time zone")
    )
    zone.fill("Berlin")
    page.get_by_role("option", name="Europe/Berlin").click()
    expect(page.get_by_text("Time zone saved")).to_be_visible()
    expect(zone).to_have_value("Europe/Berlin")
    axe(page)
    assert server.call("GET", "/api/variables")["items"] == [{"name": "shop", "value": "Harbour Coffee"}]
    assert server.call("GET", "/api/workspaces")["items"][0]["timezone"] == "Europe/Berlin"
    page.get_by_role("button", name="Delete shop").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("No variables yet.")).to_be_visible()
