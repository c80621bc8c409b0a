"""A server without the package that a node needs: the app says so before a flow runs. Agents need no extra."""

import pytest
from editing import Editor
from playwright.sync_api import expect
from servers import serving
from world import ROOT

FLOW = {"nodes": [{"id": "start", "type": "manual"}, {"id": "send", "type": "mqtt"}], "edges": [["start", "send"]]}
COMMAND = ".venv/bin/python -m pip install -r packs/mqtt/requirements.txt"


@pytest.fixture(scope="module")
def server(equipped, tmp_path_factory):
    """Start a server whose Python cannot find paho, as if the extra was not installed."""
    hidden = tmp_path_factory.mktemp("hidden")
    (hidden / "sitecustomize.py").write_text('import sys\nsys.modules["paho"] = None\n')
    with serving(tmp_path_factory.mktemp("data"), PYTHONPATH=f"{hidden}:{ROOT}") as server:
        yield server


def test_the_editor_names_the_missing_extra_and_how_to_install_it(page, log_in, server):
    log_in(page)
    editor = Editor(page, server)
    editor.open(FLOW)
    page.get_by_role("button", name="Add node", exact=True).click()
    editor.palette.get_by_role("combobox", name="Search nodes").fill("mqtt")
    expect(editor.palette.get_by_role("option").filter(has_text=COMMAND)).to_have_count(2)
    editor.palette.get_by_role("combobox", name="Search nodes").fill("agent")
    expect(editor.palette.get_by_role("option", name="Agent").first).not_to_contain_text("Not installed")


@pytest.mark.parametrize("path", ["/agents", "/agents/mail-triage"])
def test_the_agent_pages_show_no_command(page, log_in, axe, path):
    log_in(page)
    page.goto(path)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.get_by_text("pip install")).to_have_count(0)
    axe(page)


def test_the_agents_page_says_how_to_add_a_model_until_there_is_one(page, log_in, axe, server):
    log_in(page)
    page.goto("/agents")
    notice = page.get_by_role("alert").filter(has_text="Agents have no language model yet")
    expect(notice).to_contain_text("add a credential of the type Language model (llm)")
    axe(page)
    notice.get_by_role("link", name="Credentials").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Credentials")
    data = {"provider": "openai", "api_key": "sk-0123456789abcdef"}
    server.call("POST", "/api/credentials", {"name": "mine", "type": "llm", "data": data})
    page.goto("/agents")
    expect(page.get_by_role("button", name="Mail triage").or_(page.get_by_text("Mail triage")).first).to_be_visible()
    expect(notice).to_have_count(0)
