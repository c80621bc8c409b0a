"""What docs/http.md shows can be pasted into a flow, and what it names is there."""

import json
import re
from pathlib import Path

import pytest

import engine
from constants import HTTP_CREDENTIALS
from nodes import catalogue
from nodes.credentials.types import TYPES
from nodes.http.pagination import KEYS

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "http.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_each_example_is_a_node_of_a_flow(block):
    (node,) = engine.plan({"nodes": [{"id": "it", **json.loads(block)}]}).nodes
    assert node.type in ("http", "graphql")


def test_every_type_of_body_of_pages_and_of_authentication_has_its_row():
    rows = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)) - {"type", "body_type"}
    (http,) = [entry for entry in catalogue() if entry["type"] == "http"]
    assert rows == {*http["config_schema"]["properties"]["body_type"]["enum"], *KEYS, *HTTP_CREDENTIALS}


def test_every_setting_that_it_names_is_one():
    schemas = [entry["config_schema"] for entry in catalogue() if entry["type"] in ("http", "graphql")]
    known = {"token_url", *TYPES, *HTTP_CREDENTIALS, *KEYS}
    for schema in schemas:
        for key, field in schema["properties"].items():
            known |= {key, *field.get("properties", ())}
    named = set(re.findall(r"`([a-z]+_[a-z_]+)(?:: \w+)?`", PAGE))
    assert "fail_on_errors" in named and named <= known
