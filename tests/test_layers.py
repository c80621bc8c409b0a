"""Which module may import what. The tables below are the specification; a module that is not in them fails.

Read as: nodes may import expressions and net, and so on. Anything may import `errors`, `config`, `constants` and
`server_log`.
"""

import ast
import gc
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ANYWHERE = {"errors", "config", "constants", "server_log", "registry"}

# Our top-level modules, and what of ours each may import.
LAYERS = {
    "errors": set(),
    "config": set(),
    "constants": set(),
    "server_log": set(),
    "registry": set(),
    "expressions": set(),
    "net": set(),
    "database": set(),
    "models": {"database"},
    "database.queries": {"database", "models"},
    "migrations": set(),
    "fields": set(),
    "schemas": {"fields", "database.queries"},
    "parsers": set(),
    "nodes": {"expressions", "fields", "net", "parsers"},
    "definition": {"expressions", "nodes"},
    "node_execution": {"definition", "expressions", "nodes"},
    "engine": {"definition", "expressions", "node_execution", "nodes"},
    "security": {"database", "database.queries", "models", "definition", "nodes", "schemas"},
    "dispatch": {
        *("database", "database.queries", "models", "definition", "engine", "nodes"),
        *("expressions", "fields", "net", "parsers", "security"),
    },
    "worker": {"dispatch"},
    "scheduler": {"database", "database.queries", "models", "dispatch", "fields", "nodes"},
    "api": {
        *("models", "fields", "schemas", "definition", "engine", "nodes"),
        *("dispatch", "scheduler", "security"),
        *("database", "database.queries", "net", "parsers"),
    },
    "cli": {
        *("database", "database.queries", "models", "dispatch", "scheduler", "definition", "engine"),
        *("fields", "schemas", "nodes", "security", "worker"),
    },
    "gunicorn.conf": {"net"},
}
# A pack uses the core; other packs only those that its NEEDS name (see `needs`).
LAYERS["packs"] = set(LAYERS) - {"gunicorn.conf"}
# The top: it puts everything together.
LAYERS["workflow_server"] = set(LAYERS) - {"gunicorn.conf", "packs"}

# Libraries that only these may import.
HOMES = {
    **dict.fromkeys(
        ("flask", "flask_login", "flask_smorest", "flask_swagger_ui", "werkzeug"), {"api", "workflow_server", "packs"}
    ),
    **dict.fromkeys(("peewee", "playhouse"), {"database", "database.queries", "models", "migrations"}),
    "marshmallow": {"fields", "schemas", "nodes", "definition", "security", "api", "packs"},
    "apscheduler": {"scheduler"},
    **dict.fromkeys(("celery", "kombu"), {"packs"}),
    **dict.fromkeys(("opentelemetry", "authlib", "prometheus_client"), {"packs"}),
    "gunicorn": {"workflow_server", "gunicorn.conf", "net"},
    "jinja2": {"expressions"},
    "dotenv": {"config"},
}

# Costly or optional: these, and modules of these packages, may be imported inside a function, at their first use.
# Nothing else may.
LAZY = {
    "authlib",
    *("pydantic_ai", "pydantic_monty", "jsonschema_rs", "httpx2", "httpcore2", "rich", "cryptography", "jmespath"),
    *("prometheus_client", "argon2", "apprise", "oauthlib", "openpyxl", "playhouse", "celery", "gunicorn"),
    "opentelemetry",
    *("asyncssh", "defusedxml", "feedparser", "imap_tools", "markdown_it", "mcp", "minio", "nh3", "paho", "psycopg"),
    *("pymysql", "pypdf", "selectolax", "smtplib", "imaplib", "yaml", "certifi", "idna", "requests", "urllib3"),
    *("asyncio", "mcp_types", "pydantic", "pydantic_core", "genai_prices"),
    *("email", "http", "joserfc", "net.http_transport", "xmltodict"),
    *("dispatch.expression_preview", "dispatch.run_search", "packs.polls.listeners"),
    "cli",
    *(
        "packs.agents.nodes.agent_turn",
        "packs.agents.tools",
        "packs.mcp.server",
    ),
}

# A single file that may import what its folder may not.
EXCEPTIONS = {
    "packs/sql/node.py": {"playhouse"},
    **dict.fromkeys((f"packs/postgres/{name}.py" for name in ("engine", "pipeline", "transactions")), {"peewee"}),
    "dispatch/recorder.py": {"peewee"},
    # Backups and copies of all data, which ask the tables whether a server is alive and where the data is.
    "database/backups.py": {"database.queries", "models"},
    "packs/moving/rows.py": {"database.queries"},
}

# Where a syntax tree has statements: in no expression.
BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")

NOT_LAYERS = {"tests", "tools", "docs", "deploy", "web", "data", "build", "dist", "node_modules"}


@cache
def sources():
    """Our Python files outside tests and tools, as paths relative to the root."""
    folders = [
        folder
        for folder in ROOT.iterdir()
        if folder.is_dir() and folder.name not in NOT_LAYERS and not folder.name.startswith(".")
    ]
    found = [*ROOT.glob("*.py"), *(path for folder in folders for path in folder.rglob("*.py"))]
    return tuple(sorted(path.relative_to(ROOT).as_posix() for path in found))


def parsed(source, path="test.py"):
    """The syntax tree. The garbage collector, which would look through its many nodes again and again, rests."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        return ast.parse(source, path)
    finally:
        if enabled:
            gc.enable()


def statements(tree, in_function=False):
    """Every statement below the tree, with whether it is inside a function. Quicker than `ast.walk`, which visits
    expressions too.
    """
    for field in BLOCKS:
        for child in getattr(tree, field, ()):
            yield child, in_function
            yield from statements(child, in_function or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))


def layer_of(path):
    """`api/runs.py` is in api, `engine.py` in engine, `database/queries/runs.py` in database.queries."""
    if path.startswith("database/queries/"):
        return "database.queries"
    return path.split("/")[0].removesuffix(".py")


def imports(tree):
    """Every import as (dotted name, line, whether it is inside a function)."""
    for node, lazy in statements(tree):
        if isinstance(node, ast.Import):
            yield from ((name.name, node.lineno, lazy) for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from ((f"{node.module}.{name.name}", node.lineno, lazy) for name in node.names)


@cache
def needs(pack):
    """The packs that a pack names in NEEDS and EXTENDS."""
    body = parsed((ROOT / "packs" / pack / "pack.py").read_text(encoding="utf-8")).body
    named = [node for node in body if isinstance(node, ast.Assign) and node.targets[0].id in ("NEEDS", "EXTENDS")]
    return [name for node in named for name in ast.literal_eval(node.value)]


def parents(module):
    """The packages of `a.b.c`: `a` and `a.b`."""
    parts = module.split(".")
    return {".".join(parts[:end]) for end in range(1, len(parts))}


def complaints(path, source):
    """What in this file breaks the rules, a line each."""
    tree, layer = parsed(source, path), layer_of(path)
    for module, line, lazy in imports(tree):
        name = "database.queries" if module.startswith("database.queries") else module.split(".")[0]
        where = f"{path}:{line}: {layer}"
        if name in {*LAYERS, *NOT_LAYERS} - LAYERS[layer] - ANYWHERE - {layer} - EXCEPTIONS.get(path, set()):
            yield f"{where} may not import {name}"
        if name in HOMES and layer not in HOMES[name] and name not in EXCEPTIONS.get(path, ()):
            yield f"{where} may not import {name}; only {', '.join(sorted(HOMES[name]))} may"
        own_pack = ".".join(path.split("/")[:2])
        if name == layer == "packs" and not f"{module}.".startswith(f"{own_pack}."):
            other = module.split(".")[1]
            if other not in needs(path.split("/")[1]):
                yield f"{where}: the pack {own_pack} may not import the pack {other}, which it does not name"
        if lazy and not {module, *parents(module)} & (LAZY | {own_pack}):
            yield f"{where} imports {module} inside a function"


def test_every_module_of_ours_has_a_row_in_the_table():
    unknown = {layer_of(path) for path in sources()} - set(LAYERS)
    assert not unknown, f"say in tests/test_layers.py what these may import: {', '.join(sorted(unknown))}"


def test_imports_run_one_way():
    TopologicalSorter(LAYERS).prepare()
    assert set().union(*LAYERS.values()) <= set(LAYERS)


def test_a_file_imports_only_what_its_layer_may():
    paths = [path for path in sources() if layer_of(path) in LAYERS]
    found = [line for path in paths for line in complaints(path, (ROOT / path).read_text(encoding="utf-8"))]
    assert not found, "\n".join(found)


def test_a_pack_says_what_it_is():
    for folder in (path.parent for path in ROOT.glob("packs/*/pack.py")):
        first = (ast.get_docstring(parsed((folder / "pack.py").read_text(encoding="utf-8"))) or "").splitlines()[:1]
        assert first and first[0].endswith("."), f"{folder}/pack.py needs a docstring: what the pack is, in a line"
        assert "HEADRACE_PACKS" in (folder / "README.md").read_text(encoding="utf-8"), "how to switch it off"


@pytest.mark.parametrize(
    ("path", "source", "complaint"),
    [
        ("engine.py", "import models", "engine may not import models"),
        (
            "nodes/http/request.py",
            "from flask.views import View",
            "nodes may not import flask; only api, packs, workflow_server may",
        ),
        ("api/runs.py", "from tools.weight import weigh", "api may not import tools"),
        ("nodes/http/request.py", "from playhouse.db_url import connect", "nodes may not import playhouse"),
        ("packs/sql/node.py", "from packs.other import node", "the pack packs.sql may not import the pack other"),
        ("api/runs.py", "from packs.sql import node", "api may not import packs"),
        ("cli.py", "if True:\n    import peewee as p", "cli.py:2: cli may not import peewee"),
        ("dispatch.py", "def f():\n    import tomllib", "dispatch imports tomllib inside a function"),
    ],
)
def test_a_broken_rule_is_found(path, source, complaint):
    (found,) = complaints(path, source)
    assert complaint in found


@pytest.mark.parametrize(
    ("path", "source"),
    [
        (
            "nodes/http/request.py",
            "from nodes.base import Node\nfrom . import base\nimport errors, config, expressions",
        ),
        ("packs/sql/node.py", "def f():\n    from playhouse.db_url import connect"),
        ("nodes/code.py", "class A:\n    def run(self):\n        import pydantic_monty"),
    ],
)
def test_what_is_allowed_passes(path, source):
    assert not list(complaints(path, source))
