"""The commands of docs/credentials.md work when pasted, and the page about the types is generated from them."""

import re
import subprocess
from pathlib import Path

import pytest
from test_readme import server as real_server

from docs.generate.credentials_page import page
from nodes.credentials.types import TYPES

DOCS = Path(__file__).parent.parent / "docs"
PAGE = (DOCS / "credentials.md").read_text(encoding="utf-8")
TYPES_PAGE = (DOCS / "credential-types.md").read_text(encoding="utf-8")
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


def test_the_page_about_the_types_is_generated_from_them():
    assert page() == TYPES_PAGE, "run `make docs`"
    assert re.findall(r"^## `(\w+)`$", TYPES_PAGE, re.MULTILINE) == list(TYPES)


def test_every_secret_value_is_marked_on_the_page():
    marked = re.findall(r"^\| `(\w+)` .*\*secret\* \|$", TYPES_PAGE, re.MULTILINE)
    secret = [name for kind in TYPES.values() for name, field in kind.fields.items() if field.metadata.get("x-secret")]
    assert sorted(marked) == sorted(secret) and "password" in marked


@pytest.mark.parametrize("text", [PAGE, TYPES_PAGE], ids=["credentials", "types"])
def test_everything_that_the_page_names_exists(text):
    settings = (DOCS / "settings.md").read_text(encoding="utf-8")
    assert {name.removesuffix("_FILE") for name in re.findall(r"HEADRACE_[A-Z_]+", text)} <= set(
        re.findall(r"HEADRACE_[A-Z_]+", settings)
    )
    assert not [path for path in re.findall(r"\]\(([\w-]+\.md)", text) if not (DOCS / path).is_file()]
