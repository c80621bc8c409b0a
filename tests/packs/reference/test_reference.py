"""The pages of the documentation that the server completes from the catalog, and the written beginning of each."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import nodes
from nodes import REGISTRY, catalogue
from nodes.base import CATEGORIES
from nodes.credentials.types import TYPES
from packs.reference.reference import PAGES, complete, list_pages

ROOT = Path(__file__).parents[3]
WRITTEN = {name: (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") for name in PAGES}
NODES, CREDENTIALS = (complete(name, WRITTEN[name]) for name in ("nodes", "credential-types"))
ROW = re.compile(r"^\| `(\w+)` \|", re.MULTILINE)


# Nodes


def test_the_list_of_nodes_has_every_type_in_its_family():
    _, *parts = re.split(r"^## (.+)$", WRITTEN["nodes"], flags=re.MULTILINE)
    listed = {title: sorted(ROW.findall(part)) for title, part in zip(parts[::2], parts[1::2], strict=True)}
    entries = [entry for entry in catalogue() if entry["operations"] is None and not entry["own"]]
    assert listed == {
        title: sorted(entry["type"] for entry in entries if entry["category"] == category)
        for category, (title, _) in CATEGORIES.items()
    }


def test_every_type_of_node_has_its_section_and_a_link_to_it():
    types = sorted(entry["type"] for entry in catalogue() if entry["operations"] is None)
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
    assert sorted(ROW.findall(WRITTEN["credential-types"])) == sorted(TYPES)
    assert sorted(re.findall(r"^## `(\w+)`$", CREDENTIALS, re.MULTILINE)) == sorted(TYPES)


def test_every_secret_value_is_marked_on_the_page():
    marked = re.findall(r"^\| `(\w+)` .*\*secret\* \|$", CREDENTIALS, re.MULTILINE)
    secret = [name for kind in TYPES.values() for name, field in kind.fields.items() if field.metadata.get("x-secret")]
    assert sorted(marked) == sorted(secret) and "password" in marked


# The files


@pytest.mark.slow
def test_all_pages_are_written_into_a_folder(tmp_path):
    subprocess.run(
        [sys.executable, "-m", "packs.reference.reference", tmp_path / "docs"], cwd=ROOT, check=True, timeout=60
    )
    made = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")}
    files = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.*")}
    assert made == files | {f"docs/{name}.md" for name in list_pages()}
    assert (tmp_path / "docs/nodes.md").read_text(encoding="utf-8") == NODES
    assert (tmp_path / "docs/connectors/slack.md").read_text(encoding="utf-8").startswith("# Slack\n")
