"""The commands of docs/environments.md copy a flow from one real server to another one."""

import json
import os
import re
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from servers import Server
from world import chain

PAGE = (Path(__file__).parent.parent / "docs" / "environments.md").read_text(encoding="utf-8")


def start(folder):
    folder.mkdir()
    server = Server(folder, WEB_CONCURRENCY=1).start()
    server.log_in()
    return server


@pytest.mark.slow
def test_an_update_reaches_the_other_server_once(tmp_path):
    (script,) = re.findall(r"<!-- update -->\n```sh\n(.*?)```", PAGE, re.DOTALL)
    env, changed = dict(os.environ), chain("start", "added")
    with closing(start(tmp_path / "dev")) as dev, closing(start(tmp_path / "prod")) as prod:
        for name, server in (("DEV", dev), ("PROD", prod)):
            flow = server.add_flow(chain("start"))
            env |= {name: server.url, f"{name}_FLOW": flow, f"{name}_TOKEN": server.token}
        dev.call("PUT", f"/api/workflows/{env['DEV_FLOW']}", {"definition": changed})

        def update():
            done = subprocess.run(["bash", "-ec", script], env=env, text=True, capture_output=True, timeout=60)
            assert done.returncode == 0, done.stderr
            return prod.call("GET", f"/api/workflows/{env['PROD_FLOW']}")

        first, second = update(), update()
    assert [node["id"] for node in json.loads(first["definition_json"])["nodes"]] == ["start", "added"]
    assert first["version"] == second["version"] == 2
