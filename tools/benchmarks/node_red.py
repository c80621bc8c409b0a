"""Node-RED as a peer to measure: its version, its installation from npm, its flow and its process.

Node-RED is installed into a folder that Git ignores and that anybody may delete; nothing of it is in this repository.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools.benchmarks import common, npm

# The newest that runs on Node.js 20; Node-RED 5 wants 22.9.
VERSION = "4.1.15"
FOLDER = common.ROOT / ".venv" / "peers" / f"node-red-{VERSION}"
INSTALL_SECONDS = 600.0
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
# The five nodes of the flow that Headrace runs (webhook.py).
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


def find(folder: Path) -> Path:
    """Node-RED's script in the folder.

    Raises: NotInstalledError if Node.js or Node-RED is missing.
    """
    npm.program("node")
    script = folder / "node_modules" / "node-red" / "red.js"
    if not script.exists():
        how = "python tools/benchmarks/peers.py --install, or make bench-peers, installs it (120 MB)"
        raise npm.NotInstalledError(f"Node-RED {VERSION} is not in {folder}: {how}.")
    return script


@contextlib.contextmanager
def serve(script: Path, folder: Path) -> Iterator[common.Server]:
    """Node-RED with the flow, its files in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "settings.js").write_text(SETTINGS, encoding="utf-8")
    (folder / "flows.json").write_text(json.dumps(FLOW), encoding="utf-8")
    port = common.free_port()
    command = [npm.program("node"), str(script), "--userDir", str(folder)]
    with common.serve(command, npm.environment() | {"PORT": str(port)}, port, PATH, folder) as server:
        yield server
