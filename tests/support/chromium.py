"""Chromium on the app as it is built and served, and what must never be seen there: errors, refusals, barriers.

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
NAMES = ("chromium", "chromium-browser", "google-chrome")
# axe-core's rules: WCAG 2.2 at level AA with all that came before, and what is good practice besides.
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
VIOLATED = """addEventListener("securitypolicyviolation", (event) =>
  console.error(`Content-Security-Policy: ${event.effectiveDirective} refused ${event.blockedURI} ${event.sample}` +
    ` (${event.sourceFile}:${event.lineNumber}:${event.columnNumber})`))"""


def executable():
    """The path of this machine's Chromium, None where there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def lacking():
    """What these tests need and is not there, None where all is."""
    if executable() is None:
        return "there is no Chromium; on Debian: apt install chromium"
    if not DIST.exists():
        return "the browser app is not built: make web"
    if not AXE.exists():
        return "axe-core is not installed: make web"
    return None


def outdated():
    """Whether make would build the app anew: what is built is older than its sources, and tests of it say nothing."""
    # Whatever the make was told that these tests run in is not for this question.
    environment = {**os.environ, "MAKEFLAGS": ""}
    asked = subprocess.run(
        ["make", "--question", "web/dist/.stamp"], cwd=ROOT, env=environment, capture_output=True, timeout=60
    )
    return asked.returncode == 1


@contextmanager
def launched():
    """A browser without a window.

    While it lives, the process cannot run coroutines of its own: Playwright's event loop occupies its main thread.
    """
    # Without a graphics card, to draw as if there was one costs more than to draw plainly.
    arguments = ["--disable-gpu"]
    # Its sandbox refuses to work for root.
    if os.getuid() == 0:
        arguments.append("--no-sandbox")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=arguments)
        try:
            yield browser
        finally:
            browser.close()


class Watch:
    """All that goes wrong in the pages of a browser context, a line each; `allow` says what a test provokes itself."""

    def __init__(self, context):
        self._seen, self._allowed = [], []
        context.add_init_script(VIOLATED)
        context.on("console", self._said)
        context.on("weberror", lambda event: self._note("exception", str(event.error)))
        context.on("response", self._answered)
        context.on("requestfailed", self._failed)

    def allow(self, what, *parts):
        """Let pass what is of this kind, a status or the start of a line, and has all of these parts in it."""
        self._allowed.append((str(what), parts))

    @property
    def complaints(self):
        """What was seen and is not allowed."""
        return [line for line in self._seen if not any(self._fits(line, *allowed) for allowed in self._allowed)]

    def forget(self):
        """Begin anew; what is allowed stays so."""
        self._seen.clear()

    @staticmethod
    def _fits(line, kind, parts):
        return line.startswith(kind) and all(part in line for part in parts)

    def _note(self, kind, text):
        self._seen.append(f"{kind} {text}")

    def _said(self, message):
        # Chromium says of each status from 400 on that a resource failed to load: those are noted as answers.
        if message.type in ("error", "warning") and not message.text.startswith("Failed to load resource"):
            self._note(f"console {message.type}:", f"{message.text} ({message.location.get('url')})")

    def _answered(self, response):
        if response.status >= 400:
            self._note(str(response.status), f"{response.request.method} {response.url}")

    def _failed(self, request):
        # A page that is left, or a query that is no longer wanted, cuts its requests off.
        if request.failure != "net::ERR_ABORTED":
            self._note("failed", f"{request.method} {request.url}: {request.failure}")


def log_in(page, email=EMAIL, password=PASSWORD):
    """Give the page's context a session, without the form; the next page that it opens has it."""
    answer = page.request.post("/api/auth/login", data={"email": email, "password": password})
    assert answer.ok, answer.text()


def barriers(page, within=None, but=()):
    """What axe-core finds in the page, or in the part of this selector, a paragraph for each rule; `but` are rules."""
    if not page.evaluate("typeof axe === 'object'"):
        page.evaluate(AXE.read_text(encoding="utf-8"))
    options = {"runOnly": {"type": "tag", "values": RULES}, "rules": {rule: {"enabled": False} for rule in but}}
    run = "([within, options]) => axe.run(within ?? document, options).then((found) => found.violations)"
    return [_told(violation) for violation in page.evaluate(run, [within, options])]


def _told(violation):
    lines = [f"{violation['id']} ({violation['impact']}): {violation['help']} - {violation['helpUrl']}"]
    for node in violation["nodes"][:5]:
        lines += [f"  {node['target']}: {node['html'][:200]}", *(f"    {it['message']}" for it in node["any"])]
    more = len(violation["nodes"]) - 5
    return "\n".join([*lines, f"  and {more} more"] if more > 0 else lines)
