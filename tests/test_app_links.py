"""The app links the documentation: each link leads to a page that is there, at a heading that it has."""

import re
from pathlib import Path

from nodes import catalogue

SOURCES = Path(__file__).parent.parent / "web" / "src"
TEXT = "\n".join(path.read_text(encoding="utf-8") for path in sorted(SOURCES.rglob("*.tsx")))
GUIDES = re.findall(r'^  (\w+): "([a-z#-]+)",$', TEXT.partition("const GUIDES")[2].partition("};")[0], re.MULTILINE)
LINKED = sorted({*re.findall(r'(?:\bdocs|<DocsLink page)="([^"]+)"', TEXT), *(page for _, page in GUIDES)})
NEEDED = {"expressions", "credentials", "agents", "definition", "webhooks", "triggers", "runs", "files"}


def page_of(entry):
    """Return the page that describes a node type, with its anchor."""
    of_connector = entry["operations"] is not None
    return f"connectors/{entry['service']['type']}" if of_connector else f"nodes#{entry['type']}"


def test_what_has_a_page_links_it():
    assert {page.partition("#")[0] for page in LINKED} >= NEEDED
    assert 'href="/docs"' in TEXT and "`connectors/${type.service.type}` : `nodes#${type.type}`" in TEXT


def test_a_link_of_the_app_leads_to_a_heading_that_is_there(client):
    links = [page.partition("#") for page in [*LINKED, *map(page_of, catalogue())]]
    answers = {name: client.get(f"/docs/{name}") for name, _, _ in links}
    assert {name: answer.status_code for name, answer in answers.items() if answer.status_code != 200} == {}
    assert [(name, anchor) for name, _, anchor in links if anchor and f'id="{anchor}"' not in answers[name].text] == []


def test_every_guide_is_to_a_node_that_there_is():
    assert {type_ for type_, _ in GUIDES} <= {entry["type"] for entry in catalogue()} and GUIDES
