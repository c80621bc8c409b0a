"""The pages of connectors in the documentation, and the written page that lists them."""

import json
import re
from pathlib import Path

import pytest

from packs.connectors import connector_files
from packs.connectors.file_schema import check
from packs.connectors.pages import describe_connector
from packs.reference.reference import complete, list_pages

GUIDE = (Path(__file__).parents[3] / "docs/connectors.md").read_text(encoding="utf-8")
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
        assert {"connectors/till", "connectors/slack"}.isdisjoint(list_pages())
    finally:
        connector_files.load_own(None)
    assert "connectors/slack" in list_pages()


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
        check({**SHOP, **block})  # one example has the operations only
    elif "inputs" in block:
        check({**SHOP, "base": "https://shop.example.com/api", "operations": [block]})
    else:
        assert block["type"] == "slack" and set(block["config"]) >= {"operation", "credential"}
