"""The commands of docs/credentials.md work when pasted."""

import re
import subprocess
from pathlib import Path

import pytest
from test_readme import server as real_server

PAGE = (Path(__file__).parent.parent / "docs" / "credentials.md").read_text(encoding="utf-8")
server = real_server


@pytest.mark.slow
def test_every_command_of_the_page_has_the_output_that_it_shows(server, tmp_path):
    script = "\n".join(re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)).replace("http://127.0.0.1:8000", server)
    done = subprocess.run(["bash", "-e"], input=script, cwd=tmp_path, text=True, capture_output=True, timeout=60)
    assert done.returncode == 0 and '"error"' not in done.stdout, done.stdout + done.stderr
    assert done.stdout.count('"status":"untested"') == 2
    assert "there is no credential 'other' in this workspace" in done.stdout
    assert '"status":"success"' in done.stdout and '{"key":"***","lost":11}' in done.stdout
    assert "a-key-of-your-own" not in done.stdout and "another key" not in done.stdout
