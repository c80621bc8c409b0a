"""Pages of the documentation as tests: their files are written, and their commands executed, with a real server."""

import os
import re
import subprocess
import sys
from pathlib import Path

from test_readme import free_port

ROOT = Path(__file__).parents[2]
# `make run` uses its own terminal; here it returns as soon as the server responds.
MAKE = """
make() {
    [ "$*" = run ] || return 1
    .venv/bin/python workflow_server.py & SERVER=$!
    trap 'kill $SERVER; wait $SERVER' EXIT
    until curl -s -o /dev/null http://127.0.0.1:$PORT/api/health; do kill -0 $SERVER; sleep 0.05; done
}
"""

# In the folder of Headrace there is a workflow_server.py.
PYTHON = """#!/bin/sh
[ "$1" = workflow_server.py ] && shift && set -- "{root}/workflow_server.py" "$@"
exec "{python}" "$@"
"""


def blocks_of(name):
    """Return the blocks of a page as (language, text)."""
    page = (ROOT / "docs" / name).read_text(encoding="utf-8")
    return re.findall(r"^```(\w*)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)


def write_files(blocks, place, languages=("python",)):
    """Write the files of a page, whose first lines name them, and a folder `headrace` to execute its commands in."""
    for language, text in blocks:
        if language in languages:
            path = place / text.splitlines()[0].removeprefix("# ")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    python = place / "headrace" / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(PYTHON.format(root=ROOT, python=sys.executable))
    python.chmod(0o755)


def paste(blocks, place, replaced=(), **env):
    """Execute all commands of a page, in order, with these texts replaced. Return the finished process."""
    port = free_port()
    commands = "".join(text for language, text in blocks if language == "sh")
    for there, here in (*replaced, ("http://127.0.0.1:8000", f"http://127.0.0.1:{port}")):
        commands = commands.replace(there, here)
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HEADRACE")}
    done = subprocess.run(
        ["bash", "-e"],
        input=MAKE + commands,
        cwd=place / "headrace",
        env={**kept, "PORT": str(port), "PYTHONPATH": str(ROOT), **env},  # as the folder of Headrace has it
        text=True,
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done
