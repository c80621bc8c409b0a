"""The app links the documentation: each link leads to a page that is there, at a heading that it has."""

import re
from pathlib import Path

import pytest

from nodes import catalogue

SOURCES = Path(__file__).parent.parent / "web" / "src"
TEXT = "\n".join(path.read_text(encoding="utf-8") for path in sorted(SOURCES.rglob("*.tsx")))
GUIDES = re.findall(r'^  (\w+): "([a-z#-]+)",$', TEXT.partition("const GUIDES")[2].partition("};")[0], re.MULTILINE)
LINKED = sorted({*re.findall(r'(?:\bdocs|<DocsLink page)="([^"]+)"', TEXT), *(page for _, page in GUIDES)})
NEEDED = {"expressions", "credentials", "agents", "definition", "webhooks", "triggers", "runs", "files"}


def test_what_has_a_page_links_it():
    assert {page.partition("#")[0] for page in LINKED} >= NEEDED
    assert 'href="/docs"' in TEXT and "page={`nodes#${type.type}`}" in TEXT


@pytest.mark.parametrize("page", [*LINKED, *(f"nodes#{entry['type']}" for entry in catalogue())])
def test_a_link_of_the_app_leads_to_a_heading_that_is_there(client, page):
    name, _, anchor = page.partition("#")
    answer = client.get(f"/docs/{name}")
    assert answer.status_code == 200 and (not anchor or f'id="{anchor}"' in answer.text)


def test_every_guide_is_to_a_node_that_there_is():
    assert {type_ for type_, _ in GUIDES} <= {entry["type"] for entry in catalogue()} and GUIDES
