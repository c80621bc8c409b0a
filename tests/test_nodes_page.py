"""docs/nodes.md is generated from the node types, and its links work."""

import re
from pathlib import Path

from docs.generate.nodes_page import page
from nodes import REGISTRY
from nodes.app_triggers import trigger_files

DOCS = Path(__file__).parent.parent / "docs"
PAGE = (DOCS / "nodes.md").read_text(encoding="utf-8")


def test_the_page_is_generated_from_the_node_types():
    assert page() == PAGE, "run `make docs`"


def test_every_type_has_its_section():
    assert sorted(re.findall(r"^### `(\w+)`$", PAGE, re.MULTILINE)) == sorted(REGISTRY.keys() | trigger_files.types())


def test_the_settings_within_a_setting_have_their_rows():
    assert re.search(r"^\| `pagination.type` \| .*How to request the next page", PAGE, re.MULTILINE)


def test_every_linked_page_exists():
    linked = set(re.findall(r"\]\(([\w-]+\.md)\)", PAGE))
    assert linked and not [name for name in linked if not (DOCS / name).is_file()]
