"""Every link between the documents leads to something: a file that is there, a heading that it has."""

import re
from functools import cache
from os.path import normpath
from pathlib import Path

from each import for_each

import config
from packs.reference.reference import complete, list_pages

ROOT = Path(__file__).parent.parent
FILES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / ".github/SECURITY.md"]
)
PAGES = [*FILES, *(f"docs/{name}.md" for name in list_pages())]
FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@cache
def whole(page):
    """The page as the server shows it, with what the catalog says of its subject."""
    text = (ROOT / page).read_text(encoding="utf-8") if page in FILES else ""
    return complete(page.removeprefix("docs/").removesuffix(".md"), text) if page.startswith("docs/") else text


@cache
def prose(page):
    """The page without what it shows in blocks of code, where a bracket is no link and a # no heading."""
    return FENCED.sub("", whole(page))


@cache
def anchors(page):
    """What a link can name in the page, as GitHub makes it of the headings."""
    titles = (re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title).lower() for title in HEADING.findall(prose(page)))
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}


def dead(page, text):
    """The links of a text of the page that lead nowhere."""
    for link in LINK.findall(text):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = normpath(Path(page).parent / name) if name else page
        if not (target in PAGES or (ROOT / target).exists()) or (anchor and anchor not in anchors(target)):
            yield link


@for_each("page", PAGES)
def test_no_link_of_a_page_is_dead(page):
    assert list(dead(page, prose(page))) == []


@for_each("page", FILES)
def test_what_a_file_links_is_in_the_repository(page):
    """On a code host, there are only the files."""
    links = LINK.findall(FENCED.sub("", (ROOT / page).read_text(encoding="utf-8")))
    named = {link.partition("#")[0] for link in links if not re.match(r"[a-z]+:", link)}
    assert not [name for name in sorted(named) if not ((ROOT / page).parent / name).exists()]


# Variables of tests and of Compose, and a name of an example.
OTHER_VARIABLES = {
    *("HEADRACE_SOAK_SECONDS", "HEADRACE_FAULTS_SEED", "HEADRACE_ORDER_SEEDS", "HEADRACE_BACKLOG"),
    *("HEADRACE_MEM_LIMIT", "HEADRACE_CPUS", "HEADRACE_EXTRAS", "HEADRACE_CA"),
}


@for_each("page", [page for page in FILES if page != "CHANGELOG.md"])
def test_each_setting_that_a_page_names_is_one(page):
    known = {row.env for row in config.table()} | OTHER_VARIABLES
    named = {name.rstrip("_") for name in re.findall(r"HEADRACE_[A-Z_]+", whole(page))}
    assert not {name for name in named if name.removesuffix("_FILE") not in known}


@for_each("page", [page for page in FILES if page != "CHANGELOG.md"])
def test_each_python_file_that_a_page_names_exists(page):
    named = set(re.findall(r"`((?:[a-z_]+/)+[a-z_]+\.py)\b", prose(page)))
    assert [
        path for path in sorted(named) if not any((ROOT / folder / path).is_file() for folder in ("", "tests"))
    ] == []
