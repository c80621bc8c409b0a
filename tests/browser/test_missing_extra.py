"""A server without the package for agents: the app says so before an agent is started."""

import pytest
from playwright.sync_api import expect
from serving import serving
from world import ROOT


@pytest.fixture(scope="module")
def server(equipped, tmp_path_factory):
    """Start a server whose Python cannot find pydantic_ai, as if the extra was not installed."""
    hidden = tmp_path_factory.mktemp("hidden")
    (hidden / "sitecustomize.py").write_text('import sys\nsys.modules["pydantic_ai"] = None\n')
    with serving(tmp_path_factory.mktemp("data"), PYTHONPATH=f"{hidden}:{ROOT}") as server:
        yield server


@pytest.mark.parametrize("path", ["/agents", "/agents/mail-triage"])
def test_the_agent_pages_name_the_missing_extra_and_how_to_install_it(page, log_in, axe, path):
    log_in(page)
    page.goto(path)
    notice = page.get_by_role("alert").filter(has_text="Agents are not installed on this server")
    expect(notice).to_contain_text("pip install -r extras/agents.txt")
    axe(page)
