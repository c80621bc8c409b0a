"""Download the packages of npm.txt into a folder, if their hashes are right. Nothing of them is installed or run.

Usage: download_npm.py FOLDER
"""

import base64
import hashlib
import sys
import urllib.request
from pathlib import Path

REGISTRY = "https://registry.npmjs.org/"
TIMEOUT = 60
MAX_BYTES = 20_000_000


def download(url: str, integrity: str, folder: Path) -> None:
    """Save the package at this URL in the folder.

    Raises: ValueError if its hash is another one, OSError if it cannot be downloaded.
    """
    with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
        content = answer.read(MAX_BYTES)
    algorithm, _, expected = integrity.partition("-")
    if base64.b64encode(hashlib.new(algorithm, content).digest()).decode() != expected:
        raise ValueError(f"{url} is not the package that npm.txt names: its hash is another one")
    (folder / file_name(url)).write_bytes(content)


def file_name(url: str) -> str:
    """Return the name that `npm pack` gives the file: with the scope, as in `linear-sdk-98.0.0.tgz`."""
    package, _, name = url.removeprefix(REGISTRY).partition("/-/")
    scope = package.partition("/")[0].removeprefix("@") + "-" if package.startswith("@") else ""
    return scope + name


def main(folder: Path) -> None:
    """Download all packages into this folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for line in Path(__file__).with_name("npm.txt").read_text().splitlines():
        if line.strip():
            url, integrity = line.split()
            download(url, integrity, folder)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except (OSError, ValueError) as error:
        sys.exit(str(error))
