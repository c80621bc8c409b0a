"""What docs/runs.md says to paste works against the real server, and pages of promises name tests that are there."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from test_readme import LOG_IN
from test_readme import server as real_server

ROOT = Path(__file__).parent.parent
RUNS = (ROOT / "docs" / "runs.md").read_text(encoding="utf-8")
RELIABILITY = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
SECURITY = (ROOT / ".github/SECURITY.md").read_text(encoding="utf-8")
server = real_server


@pytest.mark.slow
def test_a_run_is_answered_and_repeated_as_the_page_says(server, tmp_path):
    blocks = re.findall(r"```sh\n(.*?)```", RUNS, re.DOTALL)
    ask = f"curl -s -b cookies.txt {server}/api/runs/$RUN"
    wait = f"""until {ask} | grep -q '"finished_at":"'; do sleep 0.05; done; {ask}/steps\n"""
    waiting, taking, repeating, trying = blocks
    script = LOG_IN.format(url=server) + waiting + wait + repeating + wait + trying + "echo ====\n" + taking
    done = subprocess.run(["bash", "-e"], input=script, cwd=tmp_path, text=True, capture_output=True, timeout=60)
    before, refused = done.stdout.split("====\n")
    assert done.returncode == 0 and '"error"' not in before, done.stdout + done.stderr
    assert [issue["path"] for issue in json.loads(refused)["details"]] == ["input.room"]
    assert '"waiting":"approval: Pay 30 to Ada?"' in (tmp_path / "waiting.json").read_text()
    assert re.search(r'"retry_of":"run_\w+"', done.stdout)
    tried = json.loads((tmp_path / "tried.json").read_text())
    assert (tried["output"], tried["draft"], tried["pinned"]) == ({"paid": "as Eve said"}, True, ["ask"])
    assert '"pinned":true,"input":null,"output":null' in done.stdout


def named_tests(page):
    """`(file, test)` for each test that the page names, in the file that was named last before it."""
    file = None
    for path, name in re.findall(r"`((?:[\w/]+/)?test_\w+\.py)`|`(test_\w+)`", page):
        file = path or file
        if name:
            yield file, name


@pytest.mark.parametrize(("page", "number"), [(RELIABILITY, 50), (SECURITY, 30)], ids=["reliability", "security"])
def test_every_test_that_holds_a_promise_is_there(page, number):
    named = list(named_tests(page))
    assert len(named) > number
    missing = [
        f"{file}::{name}"
        for file, name in named
        if f"def {name}(" not in (ROOT / "tests" / str(file)).read_text(encoding="utf-8")
    ]
    assert not missing, missing
