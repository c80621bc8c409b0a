"""What docs/mcp.md shows works against the real server, and its table has every tool with its role."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from test_readme import LOG_IN
from test_readme import server as real_server

from packs.mcp.server import TOOLS

PAGE = (Path(__file__).parents[3] / "docs" / "mcp.md").read_text(encoding="utf-8")
server = real_server


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.slow
def test_a_flow_becomes_a_tool_as_the_page_says(server, tmp_path):
    make, call = blocks("sh")[:2]
    (tmp_path / "client.py").write_text(blocks("python")[0], encoding="utf-8")
    script = f'{LOG_IN.format(url=server)}{make}{call}\necho; {sys.executable} client.py $URL/mcp "$TOKEN"\n'
    done = subprocess.run(["bash", "-e"], input=script, cwd=tmp_path, text=True, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"structuredContent":{"run_id":' in done.stdout and '"output":{"total":120}' in done.stdout
    assert "flow_order_total - Adds up an order" in done.stdout
    assert done.stdout.rstrip().endswith("{'total': 120}")


def test_its_table_has_every_tool_with_the_role_that_it_needs():
    rows = re.findall(r"^\| `(\w+)` \|.*\| (\w+) \|$", PAGE, re.MULTILINE)
    assert rows == [(tool.name, tool.role) for tool in TOOLS]


@pytest.mark.parametrize("block", blocks("json"))
def test_what_goes_into_a_file_of_a_client_is_json(block):
    assert json.loads(block)["mcpServers"].keys() == {"headrace"}
