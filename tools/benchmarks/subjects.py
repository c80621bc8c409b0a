"""The servers that peers.py measures, how each is started, and the requests that each is loaded with."""

from __future__ import annotations

import argparse
import contextlib
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from config import Config
from tools.benchmarks import common, n8n, node_red, npm
from tools.benchmarks.accounts import Recorded
from tools.benchmarks.load import Api, Measure, Target, echo_server, request
from tools.benchmarks.requests import recorded_run
from tools.benchmarks.webhook import INPUT, Hook


class Subject(NamedTuple):
    """A request to load, and the check of its recorded answers, if there are any."""

    target: Target
    recorded: Recorded | None = None

    def load(self, measured: Measure, concurrency: int, seconds: float, unanswered: int) -> dict[str, Any]:
        """Execute one load and check the database; up to `unanswered` runs may be without an answer."""
        seen = measured(self.target, concurrency, seconds)
        if self.recorded:
            seen |= self.recorded.account(seen["answers"], unanswered)._asdict()
        return seen


class Peer(NamedTuple):
    """A server. `serve` starts it with its files in a folder; `subjects` are its requests, the webhook first."""

    name: str
    version: str
    serve: Callable[[Path], AbstractContextManager[common.Server]]
    subjects: Callable[[common.Server, Path], list[Subject]]


def peers(options: argparse.Namespace, skipped: dict[str, str]) -> list[Peer]:
    """Return all servers that can be measured. `skipped` gets the reason for each other one."""
    found = []
    for prefix, root in checkouts(options).items():
        found += [_echo(prefix, root, options.workers), _headrace(prefix, root, options.workers)]
    optional = {"node-red": partial(_node_red, options.node_red, options.install)}
    if options.with_n8n:
        optional["n8n"] = partial(_n8n, options.with_n8n, options.install)
    for name, peer in optional.items():
        try:
            found.append(peer())
        except npm.NotInstalledError as error:
            skipped[name] = str(error)
    return found


def checkouts(options: argparse.Namespace) -> dict[str, Path]:
    """Return the folders of Headrace to measure, by the prefix of the names of their targets."""
    return {"": common.ROOT} | ({"before: ": options.against} if options.against else {})


def _echo(prefix: str, root: Path, workers: int) -> Peer:
    name = f"{prefix}echo"

    def serve(folder: Path) -> AbstractContextManager[common.Server]:
        return echo_server(workers, folder, root)

    return Peer(name, commit(root), serve, partial(_posted, name, "/", b'"customer"'))


def _headrace(prefix: str, root: Path, workers: int) -> Peer:
    def serve(folder: Path) -> AbstractContextManager[common.Server]:
        return common.headrace(folder, workers, root=root)

    def subjects(server: common.Server, folder: Path) -> list[Subject]:
        api, database = Api(server.port), Config(data_dir=folder).database_path
        recorded = {"webhook": Hook(api, server, database, "node"), "run": recorded_run(api, server, database)}
        for name, one in recorded.items():
            one.target = one.target._replace(name=prefix + name)
            one.check()
        return [Subject(one.target, one) for one in recorded.values()]

    return Peer(f"{prefix}headrace", commit(root), serve, subjects)


def _node_red(folder: Path, may_install: bool) -> Peer:
    """Node-RED, installed into the folder first if it is missing and that is wanted.

    Raises: NotInstalledError if it is missing.
    """
    try:
        script = node_red.find(folder)
    except npm.NotInstalledError:
        if not may_install:
            raise
        npm.install(folder, [f"node-red@{node_red.VERSION}"], node_red.INSTALL_SECONDS)
        script = node_red.find(folder)
    version = f"{node_red.VERSION} on Node.js {npm.version(npm.program('node'))}"
    return Peer(
        "node-red", version, partial(node_red.serve, script), partial(_posted, "node-red", node_red.PATH, b"Ada: 105")
    )


def _n8n(folder: Path, may_install: bool) -> Peer:
    """n8n, installed into the folder first if it is missing and that is wanted.

    Raises: NotInstalledError if it is missing.
    """
    try:
        program = n8n.find(folder)
    except npm.NotInstalledError:
        if not may_install:
            raise
        n8n.install(folder)
        program = n8n.find(folder)
    version = f"{n8n.VERSION} on Node.js {npm.version(program[0])}"
    return Peer("n8n", version, partial(n8n.serve, program), partial(_posted, "n8n", n8n.PATH, b"Ada: 105"))


def _posted(name: str, path: str, contains: bytes, server: common.Server, _: Path) -> list[Subject]:
    """Return a request with the same body to a server that records nothing."""
    return [Subject(Target(name, server.port, server.process.pid, request("POST", path, {}, INPUT), contains))]


def commit(root: Path) -> str:
    """Return the commit of a checkout and its subject; a + marks changed files."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        number, _, subject = _git(root, "log", "-1", "--format=%h %s").partition(" ")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
        return f"{number}{'+' if changed else ''} {subject}"
    return "unknown"


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
