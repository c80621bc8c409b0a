"""The documentation at /docs: every page is there for everybody, its links lead on, and nothing else can be read."""

import re
from functools import cache
from html import unescape
from pathlib import Path

import pytest

from packs.reference import documentation
from packs.reference.documentation import GROUPS, Documentation, render

DOCS = Path(__file__).parents[3] / "docs"
PAGES = sorted(path.stem for path in DOCS.glob("*.md"))
RECORDS = sorted(path.stem for path in (DOCS / "adr").glob("0*.md"))
NAMES = [*PAGES, "adr", *(f"adr/{name}" for name in RECORDS), "connectors/slack", "connectors/github"]
HREF = re.compile(r'(?:href|src)="([^"]+)"')


@pytest.fixture(scope="module")
def client(shared_app):
    return shared_app.test_client()


@pytest.fixture(scope="module")
def get(client):
    """`get(path)` returns the status, type and text of a page, and asks for each page once."""

    @cache
    def get(path):
        answer = client.get(path)
        return answer.status_code, answer.mimetype, answer.text if answer.mimetype.startswith("text/") else None

    return get


@pytest.mark.parametrize("name", NAMES)
def test_everybody_may_read_a_page_and_its_links_lead_on(get, name):
    status, kind, text = get(f"/docs/{name}")
    assert (status, kind) == (200, "text/html")
    for target in {unescape(target) for target in HREF.findall(text)}:
        path, _, anchor = target.partition("#")
        if re.match("https?:", path) or path in ("/", "/api/docs/"):
            continue
        status, _, found = get(path or f"/docs/{name}")
        assert status == 200, target
        assert not anchor or f'id="{anchor}"' in found, target


def test_the_list_of_pages_has_each_of_them_with_its_title_and_what_it_is_about(client):
    text = client.get("/docs").text
    for name in PAGES:
        title = (DOCS / f"{name}.md").read_text().split("\n", 1)[0].lstrip("# ")
        assert f'<dt><a href="/docs/{name}">{title}</a></dt><dd>' in text
    assert "<dd></dd>" not in text


def test_every_page_has_its_place():
    placed = [name for names in GROUPS.values() for name in names]
    assert len(placed) == len(set(placed)) and {*PAGES, "adr"} <= set(placed)


def test_the_index_of_decisions_lists_each_record_by_number_and_title():
    index = (DOCS / "adr" / "README.md").read_text()
    for number, name in enumerate(RECORDS, 1):
        title = (DOCS / "adr" / f"{name}.md").read_text().split("\n", 1)[0]
        assert name.startswith(f"{number:04}-") and title.startswith(f"# {number}. ")
        assert f"| [{number}]({name}.md) | {title.removeprefix(f'# {number}. ')} |" in index


@pytest.mark.parametrize("name", RECORDS)
def test_each_record_has_its_parts_and_names_existing_files(name):
    text = (DOCS / "adr" / f"{name}.md").read_text()
    parts = re.findall(r"^## (.*)", text, re.MULTILINE)
    assert parts == ["Context", "Decision", "Consequences", "Alternatives"] and "**Status:** " in text
    for path in re.findall(r"`((?:[\w-]+/)*[\w.-]+\.py|(?:[\w-]+/)+)`", text):
        assert path in ("data/values/",) or (DOCS.parent / path).exists(), path


def test_a_page_is_made_once_and_not_sent_again(client, monkeypatch):
    first = client.get("/docs/runs")
    monkeypatch.setattr(documentation, "render", None)
    again = client.get("/docs/runs", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    packed = client.get("/docs/runs", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip" and len(packed.data) < len(first.data) / 2


def test_a_page_may_load_nothing_but_its_style_and_pictures(client):
    answer = client.get("/docs/nodes")
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'self'; img-src 'self'; frame-ancestors 'none'")
    assert "script" not in policy and "<script" not in answer.text and "style=" not in answer.text
    assert client.get("/docs/style.css").mimetype == "text/css"
    assert not re.search(r"url\(|@import|https?:", client.get("/docs/style.css").text)


@pytest.mark.parametrize(
    "path",
    [
        "/docs/nothing",
        "/docs/README",
        "/docs/nodes.md",
        "/docs/..",
        "/docs/../README",
        "/docs/%2e%2e/README",
        "/docs/..%2fREADME",
        "/docs/img/../nodes.md",
        "/docs/img/..%2fnodes.md",
        "/docs/img/%00.png",
        "/docs/img/nothing.png",
        "/docs/img/",
        "/docs/adr/README",
        "/docs/adr/..%2f..%2fREADME",
        "/docs/adr/0001",
        "/docs/a/b",
    ],
)
@pytest.mark.parametrize("accept", ["text/html", "*/*"])
def test_nothing_beside_the_pages_can_be_read(client, path, accept):
    answer = client.get(path, headers={"Accept": accept})
    assert answer.status_code == 404 and set(answer.json) == {"error"}


def test_nothing_can_be_written(client):
    assert client.post("/docs/nodes", {}).status_code == client.delete("/docs").status_code == 405


def test_the_address_with_a_slash_leads_to_the_one_without_whatever_host_is_named(client):
    answer = client.get("/docs/", headers={"Host": "evil.example"})
    assert (answer.status_code, answer.headers["Location"]) == (308, "/docs")


def test_links_that_lead_out_of_the_folder_are_not_followed(tmp_path):
    folder, outside = tmp_path / "docs", tmp_path / "secret.md"
    (folder / "img").mkdir(parents=True)
    outside.write_text("# Secret")
    (folder / "fine.md").write_text("# Fine")
    (folder / ".hidden.md").write_text("# Hidden")
    (folder / "leak.md").symlink_to(outside)
    (folder / "img" / "leak.png").symlink_to(outside)
    (folder / "img" / "notes.txt").write_text("no picture")
    documentation = Documentation.of(folder)
    assert set(documentation.pages) == {"fine"} and not documentation.images
    assert Documentation.of(tmp_path / "none") == Documentation({}, {})


def test_a_page_becomes_html():
    page = render(
        "# A & B\n\n<!-- tried -->\n## One `two`!\n\n## One two\n\n[o](other.md#x) [s](../setup.py) [w](https://e.org)\n\n"
        "![p](img/p.png)\n\n| a |\n|---|\n| `b` |\n\n<script>alert(1)</script>\n\nIn <b>line</b>\n",
        {"other": None},
    )
    assert page.title == "A & B" and page.headings == [("one-two", "One two!"), ("one-two-1", "One two")]
    for part in (
        '<h1 id="a--b">A &amp; B</h1>',
        '<a href="/docs/other#x">o</a> <a>s</a> <a href="https://e.org" rel="noreferrer">w</a>',
        'src="/docs/img/p.png"',
        '<div class="table"><table>',
        "In &lt;b&gt;line&lt;/b&gt;",
    ):
        assert part in page.body
    assert "script" not in page.body and "tried" not in page.body
