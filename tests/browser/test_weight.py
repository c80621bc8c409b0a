"""The weight of the built app: what the dashboard and the editor load first, as the server sends it.

The files are read from the build; no browser runs. Answers' headers are not counted, data neither.
"""

import json
import re

import chromium
import pytest
from world import ROOT

DIST = ROOT / "web" / "dist"
MANTINE = ROOT / "web" / "node_modules" / "@mantine" / "core" / "styles.layer.css"
# Bytes. The dashboard has to stay under 200 KB with the headers and its data, the editor under 400.
MAX_DASHBOARD, MAX_PAGE, MAX_EDITOR = 188 * 1024, 300 * 1024, 370 * 1024
CLASS = re.compile(r"\bm_[0-9a-f]{6,8}\b")


def sent(name):
    """Return the size of a file as it is sent."""
    path = DIST / name.lstrip("/")
    brotli = path.with_name(f"{path.name}.br")
    return (brotli if brotli.exists() else path).stat().st_size


@pytest.fixture(scope="module")
def page():
    return chromium.DIST.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def first(page):
    """The files that each page loads."""
    return re.findall(r'<(?:script|link)[^>]+(?:src|href)="(/assets/[^"]+\.(?:js|css|woff2))"', page)


@pytest.fixture(scope="module")
def pages(page):
    """The files that some pages load in addition, by address."""
    chunks, _ = json.JSONDecoder().raw_decode(page[page.rindex("start({") + len("start(") :])
    return {one["path"]: [chunks["files"][at] for at in one["files"]] for one in chunks["pages"]}


def test_the_dashboard_needs_three_files(page, first):
    total = len(page.encode()) + sum(map(sent, first))
    print(f"The dashboard: {total / 1024:.0f} KB in {[name.rsplit('/', 1)[1] for name in first]}")
    assert len(first) == 3 and total < MAX_DASHBOARD


def test_other_pages_load_little_more(first, pages):
    totals = {path: sum(map(sent, {*first, *files})) for path, files in pages.items()}
    print({path: f"{total / 1024:.0f} KB" for path, total in totals.items()})
    assert totals.pop("/flows/*") < MAX_EDITOR
    assert len(totals) >= 4 and max(totals.values()) < MAX_PAGE


def classes(*names):
    return {name for file in names for name in CLASS.findall((DIST / file.lstrip("/")).read_text(encoding="utf-8"))}


def test_every_component_has_its_styles(first, pages):
    known = set(CLASS.findall(MANTINE.read_text(encoding="utf-8")))
    script, style = (next(name for name in first if name.endswith(kind)) for kind in (".js", ".css"))
    more = next(name for name in pages["/flows"] if "/moreStyles-" in name)
    scripts = [f"assets/{path.name}" for path in (DIST / "assets").glob("*.js")]
    assert classes(script) & known - classes(style) == set(), "add the styles to web/src/app/styles.ts"
    assert classes(*scripts) & known - classes(style, more) == set(), "add the styles to web/src/ui/moreStyles.ts"
