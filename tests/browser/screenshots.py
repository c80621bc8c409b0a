"""Screenshots of every page, light and dark, in docs/img: `make screenshots`; ARGS="runs editor" selects pages.

The data is that of a small company and is created each time; only times and ids differ between two runs.
"""

import sys
import tempfile

import chromium
from editing import Editor
from playwright.sync_api import expect
from seeding import seed, settled
from servers import serving
from world import ROOT

FOLDER = ROOT / "docs" / "img"
DESK, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
LOADING = ".mantine-Skeleton-root, .mantine-Loader-root"


def editor_run(page, server):
    """Show the editor with a run on the canvas and a node's form beside it."""
    editor = Editor(page, server).open(server.seeded.flow)
    editor.run_with({"order_id": "A-1047", "customer": "Mina Okafor", "total": 184})
    editor.ended("Succeeded")
    editor.click("big")
    expect(editor.panel.get_by_role("combobox", name="Condition, condition 1: field")).to_be_visible()


def editor_failed(page, server):
    """Show the editor after a failed run."""
    editor = Editor(page, server).open(server.seeded.rates)
    editor.run()
    editor.ended("Failed")
    editor.tab("Run data")


def editor_adding(page, server):
    """Show the dialog for adding nodes."""
    editor = Editor(page, server).open(server.seeded.draft)
    page.get_by_role("button", name="Add node", exact=True).click()
    expect(editor.palette.get_by_role("option").first).to_be_visible()


def editor_json(page, server):
    """Show the JSON beside the canvas, and the list of problems."""
    Editor(page, server).open(server.seeded.draft)
    page.get_by_role("button", name="JSON", exact=True).click()
    expect(page.get_by_role("textbox", name="Flow as JSON")).to_be_visible()
    page.get_by_role("button", name="problem").click()


def template(page, server):
    """Show the preview of a template."""
    page.goto("/templates?template=low-stock-order")
    expect(page.get_by_role("dialog").locator(".react-flow__node").first).to_be_visible()


def at(path):
    """Return a function that opens a page; `{flow}` and similar names in the path are replaced by ids."""

    def go(page, server):
        page.goto(path.format_map(vars(server.seeded)))
        expect(page.get_by_role("heading", level=1)).to_have_count(1)

    return go


PAGES = {
    "dashboard": at("/"),
    "flows": at("/flows"),
    "templates": at("/templates"),
    "template": template,
    "editor": editor_run,
    "editor-failed": editor_failed,
    "editor-adding": editor_adding,
    "editor-json": editor_json,
    "versions": at("/flows/{flow}/versions"),
    "runs": at("/runs"),
    "run": at("/runs/{run}"),
    "run-failed": at("/runs/{failed}"),
    "waiting": at("/waiting"),
    "agents": at("/agents"),
    "agent": at("/agents/{agent}"),
    "logs": at("/logs"),
    "credentials": at("/credentials"),
    "members": at("/members"),
    "tokens": at("/tokens"),
    "audit": at("/audit"),
    "profile": at("/profile"),
}
ON_PHONES = {"dashboard": PAGES["dashboard"], "waiting": PAGES["waiting"], "run-failed": PAGES["run-failed"]}


def picture(page, path):
    """Take a screenshot once the page has finished loading."""
    expect(page.locator(LOADING)).to_have_count(0)
    page.wait_for_load_state("networkidle")
    page.evaluate("document.fonts.ready")
    page.screenshot(path=path, animations="disabled", caret="hide")
    print(f"{path.relative_to(ROOT)}  {path.stat().st_size // 1024} KB")


def take(browser, server, shots, size, ending, scheme):
    """Take a screenshot of each of these pages."""
    usual = {"base_url": server.url, "locale": "en-GB", "timezone_id": "Europe/Berlin", "reduced_motion": "reduce"}
    context = browser.new_context(viewport=size, color_scheme=scheme, **usual)
    context.set_default_timeout(60_000)
    page = context.new_page()
    if "login" in shots:
        page.goto("/")
        expect(page.get_by_role("button", name="Log in")).to_be_visible()
        picture(page, FOLDER / f"login{ending}.png")
    chromium.log_in(page)
    for name, show in shots.items():
        if show is not None:
            show(page, server)
            picture(page, FOLDER / f"{name}{ending}.png")
    context.close()


def main(wanted):
    """Take all screenshots, or only those of the named pages."""
    expect.set_options(timeout=60_000)
    FOLDER.mkdir(parents=True, exist_ok=True)
    chosen = {name: show for name, show in ({"login": None} | PAGES).items() if not wanted or name in wanted}
    small = {name: show for name, show in ON_PHONES.items() if name in chosen}
    with tempfile.TemporaryDirectory() as data, serving(data, HEADRACE_LLM_MODEL="test") as server:
        server.seeded = seed(server)
        settled(server.seeded)
        with chromium.launched() as browser:
            for scheme in ("light", "dark"):
                take(browser, server, chosen, DESK, f"-{scheme}", scheme)
            take(browser, server, small, PHONE, "-phone", "light")


if __name__ == "__main__":
    missing = chromium.missing_requirement()
    sys.exit(missing) if missing else main(sys.argv[1:])
