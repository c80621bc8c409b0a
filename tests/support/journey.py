"""The steps of a new user on a new server."""

import re
import time

from editing import Editor
from playwright.sync_api import expect

TEMPLATE = "Low stock to order list"
NAME, EMAIL, PASSWORD, TEAM = "Ada Brandt", "ada@example.com", "a-good-long-password", "Harbour Coffee"
FIRST_LOGIN = re.compile(r"First login:\s+(\S+)\s+/\s+(\S+)")
STOCK = [{"sku": "CUP-1", "supplier": "Hansen", "on_hand": 14, "minimum": 40, "sold_per_day": 6, "box_of": 24}]


def first_login(server):
    """Return the email and the password from the server's output."""
    server.said("First login:")
    return next(found.groups() for found in map(FIRST_LOGIN.search, list(server.lines)) if found)


class Journey:
    """A new user in the app; `took` has the seconds of each step."""

    def __init__(self, page, server):
        self.page, self.editor, self.server, self.took = page, Editor(page, server), server, {}

    def go(self, *steps):
        """Do these steps in order."""
        for step in steps:
            began = time.monotonic()
            getattr(self, step)()
            self.took[step] = time.monotonic() - began

    def log_in_first(self):
        """Log in with the credentials that the server printed."""
        email, password = first_login(self.server)
        self.page.goto("/")
        self.page.get_by_label("Email").fill(email)
        self._password("Password").fill(password)
        self.page.get_by_role("button", name="Log in").click()

    def set_up(self):
        """Name the workspace and choose a password."""
        expect(self.page.get_by_role("heading", name="Welcome to Headrace")).to_be_visible()
        for label, value in (("Workspace", TEAM), ("Your name", NAME), ("Email", EMAIL)):
            self.page.get_by_label(label).fill(value)
        self._password("New password").fill(PASSWORD)
        self.page.get_by_role("button", name="Continue").click()
        expect(self.page.get_by_text(f"Welcome, {NAME}")).to_be_visible()

    def pick_a_template(self):
        """Search for the template, view it, and use it."""
        self.page.get_by_role("link", name="See all templates").click()
        self.page.get_by_label("Search templates").fill("stock")
        self.page.get_by_role("button", name=TEMPLATE).click()
        looked_at = self.page.get_by_role("dialog", name=TEMPLATE)
        expect(looked_at.locator(".react-flow__node").first).to_be_visible()
        looked_at.get_by_role("button", name="Use template").click()
        expect(looked_at).to_be_hidden()
        self.editor.is_open()
        self.editor.flow = self.page.url.rsplit("/", 1)[-1]

    def try_template(self):
        """Run the unchanged template with its sample input."""
        self.editor.run()
        self.editor.ended("Succeeded")

    def change_template(self):
        """Change a text in the form of a node."""
        self.editor.click("tell")
        self.editor.type_in("Message", "Please order from {{ item.supplier }}")
        self.editor.saved()

    def run_with_wrong_input(self):
        """Run with an input whose list has another name."""
        self.editor.run_with({"articles": STOCK})
        self.editor.ended("Failed")

    def find_the_cause(self):
        """Check that the run names the failed node and the reason, and that the node is selected."""
        failure = self.editor.run_panel.get_by_role("alert")
        expect(failure).to_contain_text("“Below the minimum” failed")
        expect(failure).to_contain_text("stock")
        self.editor.ran("low", "failed")
        self.editor.ran("start", "success")
        self.editor.selected("low")

    def fix_it(self):
        """Fix the setting in the form of the failed node."""
        self.editor.tab("Settings")
        self.editor.type_in("Items", "{{ input.articles }}")
        self.editor.saved()

    def run_again(self):
        """Run with the same input; all nodes of the taken branch succeed."""
        self.editor.run()
        self.output = self.editor.ended("Succeeded")["output"]
        for node in ("start", "low", "any", "orders", "tell"):
            self.editor.ran(node, "success")

    def activate(self):
        self.page.get_by_role("switch", name="Active").click()
        expect(self.page.get_by_role("switch", name="Active")).to_be_checked()
        expect(self.page.get_by_text("Active", exact=True)).to_be_visible()

    def _password(self, label):
        return self.page.get_by_label(label).and_(self.page.locator("input"))


STEPS = (
    "log_in_first",
    "set_up",
    "pick_a_template",
    "try_template",
    "change_template",
    "run_with_wrong_input",
    "find_the_cause",
    "fix_it",
    "run_again",
    "activate",
)


def told(took):
    """Return the times in one line."""
    return ", ".join(f"{step.replace('_', ' ')} {seconds:.1f} s" for step, seconds in took.items())
