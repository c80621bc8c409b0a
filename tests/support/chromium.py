"""Chromium with the built app, and checks for errors, policy violations and accessibility problems.

Playwright drives the Chromium of this machine; its own browsers are not installed.
"""

import os
import shutil
import subprocess
from contextlib import contextmanager

from playwright.sync_api import sync_playwright
from servers import EMAIL, PASSWORD
from world import ROOT

DIST = ROOT / "web" / "dist" / "index.html"
AXE = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"
# The first needs least time: it has no windows at all.
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
# axe-core's rules: WCAG 2.2 at level AA with its earlier versions, and best practices.
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
# Runs axe-core. A tooltip is beside all landmarks, and open or not as the pointer happens to rest: it belongs to the
# element that it describes.
RUN_AXE = """async ([within, options]) => {
  const { violations } = await axe.run(within ?? document, options);
  const isTooltip = (node) => document.querySelector(node.target[0])?.closest("[role=tooltip]");
  for (const found of violations) {
    if (found.id === "region") found.nodes = found.nodes.filter((node) => !isTooltip(node));
  }
  return violations.filter((found) => found.nodes.length > 0);
}"""
VIOLATED = """addEventListener("securitypolicyviolation", (event) =>
  console.error(`Content-Security-Policy: ${event.effectiveDirective} refused ${event.blockedURI} ${event.sample}` +
    ` (${event.sourceFile}:${event.lineNumber}:${event.columnNumber})`))"""


def find_executable():
    """Return the path of this machine's Chromium, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def missing_requirement():
    """Return the reason why browser tests cannot run here, or None."""
    if find_executable() is None:
        return "Chromium is not installed; on Debian: apt install chromium-headless-shell"
    if not DIST.exists():
        return "the browser app is not built: make web"
    if not AXE.exists():
        return "axe-core is not installed: make web"
    return None


def is_outdated():
    """Return True if the built app is older than its sources, so that tests of it prove nothing."""
    # The flags of a `make` that runs these tests do not apply here.
    environment = {**os.environ, "MAKEFLAGS": ""}
    asked = subprocess.run(
        ["make", "--question", "web/dist/.stamp"], cwd=ROOT, env=environment, capture_output=True, timeout=60
    )
    return asked.returncode == 1


@contextmanager
def launched():
    """Start a browser without a window.

    While it lives, the process cannot run coroutines of its own: Playwright's event loop occupies its main thread.
    """
    # Without a graphics card, emulating one costs more than software rendering.
    arguments = ["--disable-gpu"]
    # Chromium's sandbox does not work for root.
    if os.getuid() == 0:
        arguments.append("--no-sandbox")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_executable(), args=arguments)
        try:
            yield browser
        finally:
            browser.close()


class Watch:
    """Records all errors of the pages of a browser context, one line each; `allow` excludes expected ones."""

    def __init__(self, context):
        self._seen, self._allowed = [], []
        context.add_init_script(VIOLATED)
        context.on("console", self._said)
        context.on("weberror", lambda event: self._note("exception", str(event.error)))
        context.on("response", self._answered)
        context.on("requestfailed", self._failed)

    def allow(self, what, *parts):
        """Allow errors of this kind, a status or the start of a line, that contain all of these parts."""
        self._allowed.append((str(what), parts))

    @property
    def complaints(self):
        """Return the recorded errors that are not allowed."""
        return [line for line in self._seen if not any(self._fits(line, *allowed) for allowed in self._allowed)]

    def forget(self):
        """Discard the recorded errors; allowed kinds stay allowed."""
        self._seen.clear()

    @staticmethod
    def _fits(line, kind, parts):
        return line.startswith(kind) and all(part in line for part in parts)

    def _note(self, kind, text):
        self._seen.append(f"{kind} {text}")

    def _said(self, message):
        # Chromium logs "Failed to load resource" for each status from 400 on; `_answered` records those.
        if message.type in ("error", "warning") and not message.text.startswith("Failed to load resource"):
            self._note(f"console {message.type}:", f"{message.text} ({message.location.get('url')})")

    def _answered(self, response):
        if response.status >= 400:
            self._note(str(response.status), f"{response.request.method} {response.url}")

    def _failed(self, request):
        # Leaving a page, or cancelling a query, aborts its requests.
        if request.failure != "net::ERR_ABORTED":
            self._note("failed", f"{request.method} {request.url}: {request.failure}")


def log_in(page, email=EMAIL, password=PASSWORD):
    """Log in without the form; the page has the session from its next navigation on."""
    answer = page.request.post("/api/auth/login", data={"email": email, "password": password})
    assert answer.ok, answer.text()


def barriers(page, within=None, but=(), only=None):
    """Return axe-core's findings in the page, or in `within`, a paragraph for each rule.

    `but` excludes rules; `only` names the one to check.
    """
    if not page.evaluate("typeof axe === 'object'"):
        page.evaluate(AXE.read_text(encoding="utf-8"))
    checked = {"type": "rule", "values": [only]} if only else {"type": "tag", "values": RULES}
    options = {"runOnly": checked, "rules": {rule: {"enabled": False} for rule in but}}
    return [_told(violation) for violation in page.evaluate(RUN_AXE, [within, options])]


def _told(violation):
    lines = [f"{violation['id']} ({violation['impact']}): {violation['help']} - {violation['helpUrl']}"]
    for node in violation["nodes"][:5]:
        lines += [f"  {node['target']}: {node['html'][:200]}", *(f"    {it['message']}" for it in node["any"])]
    more = len(violation["nodes"]) - 5
    return "\n".join([*lines, f"  and {more} more"] if more > 0 else lines)
