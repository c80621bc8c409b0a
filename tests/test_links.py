"""Every link between the documents leads to something: a file that is there, a heading that it has."""

import re
from functools import cache
from pathlib import Path

from each import for_each

ROOT = Path(__file__).parent.parent
# The parts from which pages are generated are read there.
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    if path.parent.name != "generate"
)
FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@cache
def prose(path):
    """The page without what it shows in blocks of code, where a bracket is no link and a # no heading."""
    return FENCED.sub("", path.read_text(encoding="utf-8"))


@cache
def anchors(path):
    """What a link can name in the page, as GitHub makes it of the headings."""
    titles = (re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title).lower() for title in HEADING.findall(prose(path)))
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}


def dead(page):
    """The links of the page that lead nowhere."""
    for link in LINK.findall(prose(ROOT / page)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        path = (ROOT / page).parent / name if name else ROOT / page
        if not path.exists() or (anchor and anchor not in anchors(path)):
            yield link


@for_each("page", PAGES)
def test_no_link_of_a_page_is_dead(page):
    assert list(dead(page)) == []


@for_each("page", [page for page in PAGES if page != "CHANGELOG.md"])
def test_each_python_file_that_a_page_names_exists(page):
    named = set(re.findall(r"`((?:[a-z_]+/)+[a-z_]+\.py)\b", prose(ROOT / page)))
    assert [
        path for path in sorted(named) if not any((ROOT / folder / path).is_file() for folder in ("", "tests"))
    ] == []
