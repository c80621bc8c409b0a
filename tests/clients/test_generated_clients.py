"""docs/clients.md works, and the clients that it generates make every call with a real server.

The Python generator is installed at the first use, into an environment of its own, since its pins differ from those of
the tests; the TypeScript one is the app's. If it cannot be installed, the tests are skipped.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path

import pytest
from every_call import write_program
from servers import EMAIL, PASSWORD, Server
from world import ROOT

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent
PAGE = (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")
PARTS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
PINS = HERE / "python.txt"
VENV = ROOT / ".venv" / "clients"
MODULES = ROOT / "web" / "node_modules"
LONGEST = 300  # seconds that a command may take
OPTIONS = ("--strict", "--skipLibCheck", "--target", "es2022", "--module", "nodenext", "--types", "node")
COMPILE = (MODULES / ".bin" / "tsc", *OPTIONS)
# The packages that the page installs are there already.
SHIMS = """
python3() { [ "$*" = "-m venv client" ] && ln -s "$GENERATOR" client; }
npm() { [ "$1" = install ]; }
npx() { "$MODULES/.bin/$1" "${@:2}"; }
"""
VARYING = ("ts", "database_bytes")  # what differs between two requests
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")


def do(*command, cwd, text=None, **environment):
    """Execute a command with this input and return its output. Fail the test if it fails or takes too long."""
    programs = f"{ROOT / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"  # `make` may have installed Node.js there
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, "PATH": programs, **environment},
        input=text or "",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LONGEST,
        check=False,
    )
    assert done.returncode == 0, f"{command[0]}: {done.stdout[-4_000:]}"
    return done.stdout


def follow_page(server, folder, *parts, **environment):
    """Write the files of these parts of the page and execute their commands, in order; return the output."""
    blocks = [found for part in parts for found in re.findall(r"^```(\w*)\n(.*?)^```$", PARTS[part], re.DOTALL | re.M)]
    commands = "".join(text for language, text in blocks if language == "sh")
    for there, here in (
        ("http://127.0.0.1:8000", server.url),
        ("me@example.com", EMAIL),
        ("change-me-please", PASSWORD),
    ):
        assert there in commands
        commands = commands.replace(there, here)
    for language, text in blocks:
        if language != "sh":
            (folder / text.split(None, 2)[1]).write_text(text)
    output = do("bash", "-e", cwd=folder, text=SHIMS + commands, **environment)
    assert "Traceback" not in output and "warning" not in output.lower(), output
    return output


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server in a separate process."""
    started = Server(tmp_path_factory.mktemp("clients") / "data")
    try:
        yield started.start()
    finally:
        started.close()


@pytest.fixture(scope="module")
def document(server, tmp_path_factory):
    """The file of the server's description."""
    path = tmp_path_factory.mktemp("document") / "openapi.json"
    path.write_text(json.dumps(server.call("GET", "/api/openapi.json")))
    return path


@pytest.fixture(scope="module")
def ids(server):
    """Values for the parameters of paths, by name, or by operation and name."""
    server.log_in()
    nodes = [{"id": "start", "type": "manual"}, {"id": "say", "type": "log", "config": {"message": "Hello"}}]
    flow = server.add_flow({"nodes": nodes, "edges": [["start", "say"]]})
    table = server.call("POST", "/api/tables", {"name": "guests", "columns": [{"name": "who"}]})["id"]
    (row,) = server.call("POST", f"/api/tables/{table}/rows", {"rows": [{"who": "Ada"}]})["items"]
    bearer = {"name": "c", "type": "http_bearer", "data": {"token": "t"}}
    return {
        "flow": flow,
        "run": server.run(flow, {"name": "Ada"}, wait=20)["id"],
        "number": 1,
        "name": "output",
        "get_agent name": "summarizer",
        "agent_run": "arun_1",
        "memory": server.call("POST", "/api/agent/memory", {"agent_id": "a", "key": "k", "content": "c"})["id"],
        "credential": server.call("POST", "/api/credentials", bearer)["id"],
        "connector": "slack",
        "path": "no.txt",
        "table": table,
        "row_id": row["id"],
    }


def install(python):
    """Install the packages with uv, which the tests' own packages bring; where it does not work, pip does."""
    packages = ("--require-hashes", "-r", PINS)
    try:
        do(ROOT / ".venv" / "bin" / "uv", "pip", "install", "--quiet", "--python", python, *packages, cwd=ROOT)
    except (AssertionError, FileNotFoundError):
        do(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages, cwd=ROOT)


@pytest.fixture(scope="module")
def generator():
    """The Python generator's environment."""
    stamp = VENV / "stamp"
    if not stamp.exists() or stamp.read_text() != PINS.read_text():
        try:
            do(sys.executable, "-m", "venv", "--clear", VENV, cwd=ROOT)
            install(VENV / "bin" / "python")
        except (AssertionError, subprocess.TimeoutExpired) as error:
            shutil.rmtree(VENV, ignore_errors=True)
            pytest.skip(f"the generator of Python clients cannot be installed: {error}")
        stamp.write_text(PINS.read_text())
    return VENV


@pytest.fixture(scope="module")
def python_client(server, generator, tmp_path_factory):
    """The folder in which the page generated and used its Python client, and the output."""
    folder = tmp_path_factory.mktemp("python")
    return folder, follow_page(server, folder, "An API token", "curl", "Python", GENERATOR=str(generator))


@pytest.fixture(scope="module")
def typescript_client(server):
    """The folder, in which Node.js finds the app's packages, of the page's TypeScript client, and the output."""
    if not (MODULES / ".bin" / "openapi-typescript").exists():
        pytest.skip("the packages of the browser app are not installed: make web")
    with tempfile.TemporaryDirectory(prefix=".clients-", dir=MODULES) as path:
        yield Path(path), follow_page(server, Path(path), "An API token", "curl", "TypeScript", MODULES=str(MODULES))


def test_the_page_installs_the_versions_of_these_tests():
    python = re.findall(r"^[\w-]+==\S+$", (HERE / "python.in").read_text(), re.MULTILINE)
    assert set(re.findall(r"[\w-]+==[\d.]+", PAGE)) <= set(python)
    web = json.loads((ROOT / "web" / "package.json").read_text())
    pinned = {f"{name}@{version}" for name, version in {**web["dependencies"], **web["devDependencies"]}.items()}
    installed = set(re.search(r"^npm install (.*)$", PAGE, re.MULTILINE)[1].split())
    assert len(installed) == 4 and installed <= pinned


def lines_of(output):
    """Return the lines that the programs of the page print."""
    return re.findall(r"^((?:flows|run|step|log|error):.*)$", output, re.MULTILINE)


def test_the_curl_commands_of_the_page_work(python_client):
    _, output = python_client
    assert '"name":"Greeting"' in output and '"node_id":"say"' in output and '"message":"Hello, Ada"' in output
    assert re.search(r"There is no run 'run_7'\"}\s+404\n", output)


def test_the_python_client_of_the_page_works(python_client):
    flows, *rest = lines_of(python_client[1])
    assert flows.startswith("flows: ['Greeting'")
    assert rest == [
        "run: success {'name': 'Grace'}",
        *("step: start success", "step: say success"),
        "log: Hello, Grace",
        *("error: There is no run 'run_7'",),
    ]


def test_the_typescript_client_of_the_page_works(typescript_client):
    flows, *rest = lines_of(typescript_client[1])
    assert flows.startswith("flows: [ 'Greeting'")
    assert rest == [
        "run: success { name: 'Grace' }",
        *("step: start success", "step: say success"),
        "log: Hello, Grace",
        "error: 404 There is no run 'run_7'",
    ]


def plain(value):
    """Return JSON with all times written alike, numbers as JavaScript has them, and without VARYING."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items() if key not in VARYING}
    if isinstance(value, list):
        return [plain(part) for part in value]
    if type(value) is int:
        return float(value)
    return datetime.fromisoformat(value).isoformat() if isinstance(value, str) and TIME.fullmatch(value) else value


def curl(url, *headers):
    """Return what curl gets: JSON, or text."""
    options = [part for header in headers for part in ("-H", header)]
    done = subprocess.run(["curl", "-s", *options, url], capture_output=True, timeout=LONGEST, check=True)
    got = done.stdout.decode()
    try:
        return json.loads(got)
    except ValueError:
        return got


def test_every_read_of_the_python_client_returns_what_curl_gets(python_client, document, server, ids):
    cookie = server.session()["Cookie"]
    program = ("client/bin/python", HERE / "read_all.py", server.url, cookie, document, json.dumps(ids))
    output = do(*program, cwd=python_client[0], PYTHONPATH="headrace-client")
    reads = [json.loads(line) for line in output.splitlines()]
    wrong = []
    for read in reads:
        expected = curl(server.url + read["path"], f"Cookie: {cookie}")
        if plain(read["parsed"]) != plain(expected):
            wrong.append(f"{read['operation']}: {read['parsed']!r:.300}, not {expected!r:.300}")
    assert not wrong, "\n".join(wrong)
    described = json.loads(document.read_text())["paths"].values()
    assert len(reads) == sum("get" in item for item in described)
    assert len([read for read in reads if read["status"] == 200]) > 50


def test_lists_of_the_python_client_are_those_of_curl(python_client, server):
    folder, _ = python_client
    shutil.copy(HERE / "use.py", folder)
    program = ("client/bin/python", "use.py", server.url, EMAIL, PASSWORD)
    compare_with_curl(server, do(*program, cwd=folder, PYTHONPATH="headrace-client"))


@pytest.fixture(scope="module")
def programs(typescript_client, document):
    """The folder in which a program that uses lists, and one that calls each operation, are compiled."""
    folder, _ = typescript_client
    shutil.copy(HERE / "use.mts", folder)
    (folder / "every.mts").write_text(write_program(json.loads(document.read_text())))
    do(*COMPILE, "use.mts", "every.mts", cwd=folder)
    return folder


def test_every_typescript_call_needs_only_what_the_server_requires(programs):
    assert (programs / "every.mjs").read_text().count("await client.") > 150


def test_lists_of_the_typescript_client_are_those_of_curl(programs, server):
    compare_with_curl(server, do("node", "use.mjs", server.url, EMAIL, PASSWORD, cwd=programs))


def compare_with_curl(server, output):
    """Fail unless the output, what a client got by path, is what curl gets."""
    reads = json.loads(output)
    assert len(reads) == 5
    cookie = server.session()["Cookie"]
    for path, got in reads.items():
        assert plain(got) == plain(curl(server.url + path, f"Cookie: {cookie}")), path


@pytest.mark.nightly
def test_the_python_client_passes_mypy(python_client, generator):
    folder, _ = python_client
    shutil.copy(HERE / "use.py", folder)
    strict = ("--strict", "--no-warn-redundant-casts", "--config-file=")  # the generator casts more than it must
    files = ("headrace-client/headrace_client", "flows.py", "use.py")
    do(generator / "bin" / "mypy", *strict, *files, cwd=folder, MYPYPATH="headrace-client")
