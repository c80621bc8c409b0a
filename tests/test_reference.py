"""The pages of the documentation that the server completes from the catalog, and the written beginning of each."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import nodes
from api.reference import PAGES, complete, describe_connector, list_connectors
from nodes import REGISTRY, catalogue
from nodes.app_triggers import trigger_files
from nodes.base import CATEGORIES
from nodes.connectors import connector_files
from nodes.connectors.file_schema import check
from nodes.credentials.types import TYPES

ROOT = Path(__file__).parent.parent
WRITTEN = {name: (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") for name in PAGES}
NODES, CREDENTIALS = (complete(name, WRITTEN[name]) for name in ("nodes", "credential-types"))
GUIDE = WRITTEN["connectors"]
ROW = re.compile(r"^\| `(\w+)` \|", re.MULTILINE)
BLOCKS = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", GUIDE, re.DOTALL)]
SHOP = {
    "name": "Shop & more",
    "description": "Sells *things*",
    "category": "sales",
    "icon": {"text": "Sh", "color": "#1a5fb4"},
    "base": "https://shop.example/v1",
    "auth": [
        {"type": "http_header", "header": "X-Key", "help": "From Settings", "link": "https://shop.example/keys"},
        {"type": "http_basic", "title": "Till", "host": {"title": "Shop", "example": "mine.shop.example"}},
    ],
    "rate": {"calls": 1, "per": 60},
    "operations": [
        {
            "id": "list_orders",
            "name": "List orders",
            "group": "Order",
            "description": "Returns orders.",
            "path": "/orders",
            "list": True,
            "inputs": {
                "status": {"title": "Status", "type": "choice", "choices": {"a|b": "Both", "c": "c"}, "required": True},
                "note": {"title": "Note", "help": "Without <tags>"},
            },
            "example": {
                "config": {"status": "c"},
                "request": {"method": "GET", "url": "https://shop.example/v1/orders", "query": {"status": "c"}},
                "response": [],
                "output": [],
            },
        },
        {"id": "list_orders_2", "name": "List orders", "description": "Again.", "path": "/orders2"},
    ],
}


# Nodes


def test_the_list_of_nodes_has_every_type_in_its_family():
    _, *parts = re.split(r"^## (.+)$", WRITTEN["nodes"], flags=re.MULTILINE)
    listed = {title: ROW.findall(part) for title, part in zip(parts[::2], parts[1::2], strict=True)}
    entries = [entry for entry in catalogue() if entry["operations"] is None and not entry["own"]]
    assert listed == {
        title: [entry["type"] for entry in entries if entry["category"] == category]
        for category, (title, _) in CATEGORIES.items()
    }


def test_every_type_of_node_has_its_section_and_a_link_to_it():
    types = sorted(REGISTRY.keys() | trigger_files.types())
    assert sorted(re.findall(r"^### `(\w+)`$", NODES, re.MULTILINE)) == types
    assert sorted(re.findall(r"^\| \[`(\w+)`\]\(#\1\) \| ", NODES, re.MULTILINE)) == types
    assert NODES.index("### `webhook`") < NODES.index("## Logic") < NODES.index("### `if`")


def test_the_settings_within_a_setting_have_their_rows():
    assert re.search(r"^\| `pagination.type` \| .*How to request the next page", NODES, re.MULTILINE)


def test_a_teams_own_node_is_not_on_the_page_since_everybody_may_read_it(monkeypatch):
    try:
        nodes.entry_of.cache_clear()
        monkeypatch.setattr(type(REGISTRY["noop"]), "own", True)
        assert "### `noop`" in NODES and "### `noop`" not in complete("nodes", WRITTEN["nodes"])
    finally:
        nodes.entry_of.cache_clear()


# Types of credential


def test_every_type_of_credential_is_listed_and_has_its_section():
    assert ROW.findall(WRITTEN["credential-types"]) == list(TYPES)
    assert re.findall(r"^## `(\w+)`$", CREDENTIALS, re.MULTILINE) == list(TYPES)


def test_every_secret_value_is_marked_on_the_page():
    marked = re.findall(r"^\| `(\w+)` .*\*secret\* \|$", CREDENTIALS, re.MULTILINE)
    secret = [name for kind in TYPES.values() for name, field in kind.fields.items() if field.metadata.get("x-secret")]
    assert sorted(marked) == sorted(secret) and "password" in marked


# Connectors


def test_the_table_of_connectors_says_what_their_files_say():
    rows = re.findall(r"^\| `(\w+)` \| (.+) \| (.+) \|$", GUIDE.partition("## Services")[2].partition("\n## ")[0], re.M)
    files = {type_: connector_files.read(type_) for type_ in sorted(connector_files.types())}
    assert rows == [(type_, one["name"], one["description"]) for type_, one in files.items()]
    page = complete("connectors", GUIDE)
    assert all(f"| [`{type_}`](connectors/{type_}.md) | " in page for type_ in files)


def test_a_teams_own_connector_has_no_page_since_everybody_may_read_pages(tmp_path):
    (tmp_path / "till.json").write_text(json.dumps({**SHOP, "name": "Till of ours"}))
    (tmp_path / "slack.json").write_text(json.dumps({**SHOP, "name": "Slack of ours"}))
    try:
        assert connector_files.load_own(tmp_path) == [] and "till" in connector_files.types()
        assert {"connectors/till", "connectors/slack"}.isdisjoint(list_connectors())
    finally:
        connector_files.load_own(None)
    assert "connectors/slack" in list_connectors()


def test_a_page_says_how_to_connect_and_what_each_operation_takes():
    check(SHOP)
    text = describe_connector("shop", SHOP)
    assert text.startswith("# Shop & more\n\nSells \\*things\\*. The node type is `shop`. It allows 1 call a minute.")
    assert (
        "- **An API key** (credential type [`http_header`](../credential-types.md#http_header)). From Settings." in text
    )
    assert "Its only allowed host is that of your account, such as `mine.shop.example`." in text
    assert "- Order: [List orders](#list-orders)\n- [List orders](#list-orders-1)" in text
    assert "| `status` | *Status*: `a\\|b`: Both | `a|b` \\| `c`, **required** |" in text.replace(
        "`a\\|b` \\|", "`a|b` \\|"
    )
    assert "| `note` | *Note*: Without \\<tags> | text |" in text
    assert '"operation": "list_orders",\n    "status": "c"' in text
    assert "It has no inputs." in text and "credential` |" not in text


@pytest.mark.parametrize("at", range(len(BLOCKS)))
def test_an_example_of_the_guide_is_valid(at):
    block = BLOCKS[at]
    if "operations" in block:
        check(block)
    elif "inputs" in block:
        check({**SHOP, "base": "https://shop.example.com/api", "operations": [block]})
    else:
        assert block["type"] == "slack" and set(block["config"]) >= {"operation", "credential"}


# The files


@pytest.mark.slow
def test_all_pages_are_written_into_a_folder(tmp_path):
    subprocess.run([sys.executable, "-m", "api.reference", tmp_path / "docs"], cwd=ROOT, check=True, timeout=60)
    made = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")}
    files = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.*")}
    assert made == files | {f"docs/{name}.md" for name in list_connectors()}
    assert (tmp_path / "docs/nodes.md").read_text(encoding="utf-8") == NODES
    assert (tmp_path / "docs/connectors/slack.md").read_text(encoding="utf-8").startswith("# Slack\n")
