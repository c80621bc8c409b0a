"""A custom node type has a palette entry, a form and branches, and runs: the app has no list of node types."""

import pytest
from playwright.sync_api import expect
from servers import serving
from test_editor import placed
from world import chain, flow, node

SOURCE = '''
from marshmallow import Schema

from nodes.sdk import Branch, Node, choice, text


class Parcel(Node):
    """Chooses how a parcel travels by its weight, and writes a label for it."""

    type = "acme_parcel"
    title = "Parcel"
    category = "logic"
    class Config(Schema):
        weight = text("The weight in kilograms: {{ input.weight }}", required=True)
        carrier = choice("The carrier", {"by bike": "Bike", "by van": "Van"}, title="Carrier", required=True)

    @classmethod
    def branches(cls, config):
        return "light", "heavy"

    def run(self, config, input, ctx):
        label = f"{config['carrier']}: {config['weight']} kg"
        return Branch("heavy" if float(config["weight"]) > 5 else "light", label)
'''


@pytest.fixture(scope="module")
def server(equipped, tmp_path_factory):
    """Start a server with a folder of custom nodes."""
    folder = tmp_path_factory.mktemp("nodes")
    (folder / "parcel.py").write_text(SOURCE, encoding="utf-8")
    with serving(tmp_path_factory.mktemp("data"), HEADRACE_NODES_DIR=folder) as server:
        yield server


def test_a_custom_node_is_added_configured_and_run(editor, axe):
    editor.open(placed(chain(node("start", "manual")))).click("start")
    editor.page.get_by_role("button", name="Add node", exact=True).click()
    expect(editor.palette.get_by_role("group", name="Logic")).to_contain_text("Parcel")
    editor.pick("parcel")
    shown = editor.node("acme_parcel")
    for branch in ("light", "heavy"):
        expect(shown.get_by_text(branch, exact=True)).to_be_visible()
    expect(editor.panel.get_by_text("Chooses how a parcel travels by its weight")).to_be_visible()
    editor.type_in("weight", "{{ input.weight }}")
    editor.field("Carrier").click()
    editor.page.get_by_role("option", name="Van").click()
    axe(editor.page)
    editor.becomes(wires=["start acme_parcel"])
    editor.saved()
    editor.run_with({"weight": 12})
    assert editor.ended()["output"] == "by van: 12 kg"
    editor.ran("acme_parcel", "success")


def test_the_branches_of_a_custom_node_work(editor):
    config = {"weight": "{{ input.weight }}", "carrier": "by bike"}
    nodes = [node("start", "manual"), node("parcel", "acme_parcel", config), "truck"]
    editor.open(placed(flow(*nodes, edges=["start parcel"])))
    editor.drag(editor.handle("parcel", "heavy"), editor.into("truck"))
    editor.becomes(wires=["start parcel", "parcel truck heavy"])
    editor.run_with({"weight": 1})
    editor.ended()
    editor.ran("truck", "skipped")


def test_a_missing_setting_of_a_custom_node_is_shown_at_its_field(editor):
    editor.open(placed(chain(node("start", "manual"), node("parcel", "acme_parcel")))).click("parcel")
    expect(editor.panel.get_by_text("is required")).to_have_count(2)
    editor.type_in("weight", "{{ input.weight }}")
    expect(editor.panel.get_by_text("is required")).to_have_count(1)
