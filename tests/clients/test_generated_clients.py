"""Clients generated from the API's description: they are generated, pass their type checker, and use a real server.

The Python generator is installed at the first use, into an environment of its own, since its pins differ from those of
the tests; the TypeScript one is the app's. If it cannot be installed, the tests are skipped.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from servers import EMAIL, PASSWORD, Server
from world import ROOT

from api import openapi

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent
PINS = HERE / "python.txt"
VENV = ROOT / ".venv" / "clients"
MODULES = ROOT / "web" / "node_modules"
LONGEST = 300  # seconds that a command may take


def do(*command, cwd, path=None):
    """Execute a command and return its output. Fail the test if the command fails or takes too long."""
    environment = os.environ | ({"PATH": f"{path}{os.pathsep}{os.environ['PATH']}"} if path else {})
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LONGEST,
        check=False,
    )
    assert done.returncode == 0, f"{command[0]}: {done.stdout[-4_000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def described(tmp_path_factory):
    """A folder with the API's description."""
    folder = tmp_path_factory.mktemp("clients")
    (folder / "openapi.json").write_text(openapi.make_document())
    return folder


@pytest.fixture
def server(tmp_path):
    """A server in a separate process."""
    started = Server(tmp_path / "data")
    try:
        yield started.start()
    finally:
        started.close()


@pytest.fixture(scope="module")
def generator():
    """The folder of programs of the Python generator's environment."""
    stamp, programs = VENV / "stamp", VENV / "bin"
    if not stamp.exists() or stamp.read_text() != PINS.read_text():
        try:
            do(sys.executable, "-m", "venv", "--clear", VENV, cwd=ROOT)
            pip = (programs / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
            do(*pip, "--require-hashes", "-r", PINS, cwd=ROOT)
        except (AssertionError, subprocess.TimeoutExpired) as error:
            shutil.rmtree(VENV, ignore_errors=True)
            pytest.skip(f"the generator of Python clients cannot be installed: {error}")
        stamp.write_text(PINS.read_text())
    return programs


@pytest.mark.nightly
def test_a_generated_python_client_passes_mypy_and_uses_the_server(described, generator, server):
    made = described / "python"
    command = ("openapi-python-client", "generate", "--path", described / "openapi.json", "--output-path", made)
    do(*command, "--fail-on-warning", cwd=described, path=generator)
    shutil.copy(HERE / "use.py", made)
    strict = ("--strict", "--no-warn-redundant-casts", "--config-file=")  # the generator casts more than it must
    do(generator / "mypy", *strict, "headrace_client", "use.py", cwd=made)
    assert "all done" in do(generator / "python", "use.py", server.url, EMAIL, PASSWORD, cwd=made)


@pytest.fixture
def beside_the_modules():
    """A folder in which Node.js finds the app's packages."""
    if not (MODULES / ".bin" / "openapi-typescript").exists():
        pytest.skip("the packages of the browser app are not installed: make web")
    with tempfile.TemporaryDirectory(prefix=".clients-", dir=MODULES) as folder:
        yield Path(folder)


def test_a_generated_typescript_client_compiles_and_uses_the_server(described, beside_the_modules, server):
    folder, programs = beside_the_modules, ROOT / ".venv" / "bin"
    (folder / "package.json").write_text('{"type": "module"}')
    shutil.copy(HERE / "use.mts", folder)
    generate = (MODULES / ".bin" / "openapi-typescript", described / "openapi.json", "--default-non-nullable=false")
    do(*generate, "--output", folder / "schema.d.ts", cwd=folder, path=programs)
    compile_ = (MODULES / ".bin" / "tsc", "--strict", "--target", "es2022", "--module", "nodenext", "--types", "node")
    do(*compile_, "--lib", "es2023,dom,dom.iterable", "use.mts", cwd=folder, path=programs)
    assert "all done" in do("node", "use.mjs", server.url, EMAIL, PASSWORD, cwd=folder, path=programs)
