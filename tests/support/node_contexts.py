"""Fixtures that execute one node as the engine does: the schema loads its config, then `run` gets a context."""

import socket
import threading
import time
from types import SimpleNamespace

import pytest
from sql_servers import MYSQL, MySQL, database, serving
from toolboxes import Agents

from net.egress import HttpClient, Rule
from nodes import REGISTRY
from nodes.base import Context, Services
from nodes.credentials.keyring import DecryptedCredential, Keyring
from nodes.credentials.types import TYPES
from nodes.data.python_sandbox import Sandbox
from nodes.files.files import WorkspaceFiles
from packs.agents.tools import base, toolbox

HERE = Rule(["127.0.0.1"])


class DictStore:
    """A store over a dict; entries expire by the clock of the test."""

    def __init__(self):
        self.data, self.ttls = {}, {}

    def get(self, key):
        return self.data.get(key)

    def set(self, key, value, ttl=None):
        self.data[key], self.ttls[key] = value, ttl

    def delete(self, key):
        return self.data.pop(key, self) is not self

    def increment(self, key, by=1, ttl=None):
        self.set(key, self.data.get(key, 0) + by, ttl)
        return self.data[key]

    def list(self, prefix="", limit=100):
        found = sorted(key for key in self.data if key.startswith(prefix))
        return [{"key": key, "value": self.data[key]} for key in found[:limit]]


def make_credential(name, type_, data, hosts=None):
    """Return a credential as the server decrypts it."""
    loaded = TYPES[type_].load(data)
    return DecryptedCredential(name, type_, loaded, tuple(TYPES[type_].hosts(loaded) if hosts is None else hosts))


@pytest.fixture(scope="session")
def sandbox():
    sandbox = Sandbox(max_processes=2)
    yield sandbox
    sandbox.close()


@pytest.fixture(scope="session")
def client():
    """A client that may reach 127.0.0.1 by this address, and no other address of this machine."""
    client = HttpClient(HERE, max_bytes=50_000)
    yield client
    client.close()


@pytest.fixture
def make_ctx(sandbox, client, tmp_path):
    """A context as a run has it; `ctx.store.data` and `ctx.lines`, the log, are there to look at.

    `credentials` are those of the workspace: `{"name": ("smtp", {"host": …})}`, with a third part the hosts.
    """

    def make(seconds=None, scope=None, inputs=None, http=None, credentials=None, rule=HERE, ca_file=None):
        lines = []
        keyring = Keyring(
            lambda name: make_credential(name, *credentials[name]) if name in (credentials or {}) else None
        )
        ctx = Context(
            node_id="node",
            inputs=inputs or {},
            scope=scope or {},
            idempotency_key="run:node:0",
            deadline=None if seconds is None else time.monotonic() + seconds,
            write_log=lambda *entry: lines.append(entry[1:]),
            store=DictStore(),
            services=Services(lambda: http or client, lambda: sandbox, rule, ca_file),
            keyring=keyring,
            files=WorkspaceFiles(tmp_path / "files", max_bytes=1_000_000),
        )
        return ctx, lines

    return make


@pytest.fixture
def run(make_ctx):
    """`run(type, config, input)` returns the result of the node; `run.lines` is the log of the latest run."""

    def execute(node_type, config=None, input=None, ctx=None, **context):
        node = REGISTRY[node_type]
        if ctx is None:
            ctx, execute.lines = make_ctx(**context)
        return node.run(node.Config().load(config or {}), input, ctx)

    return execute


@pytest.fixture
def tools(make_ctx):
    """`tools(spec, …)` returns an agent's tools by name; `tools.ctx` and `tools.listings` are their context's."""

    def build(*specs, agents=None, session=None, given=None, lent=None, listings=None, flows=None, **context):
        ctx, build.lines = make_ctx(**context)
        ctx.flows, build.ctx = flows, ctx
        agents = Agents() if agents is None else agents
        tool_ctx = base.ToolContext(ctx, agents, "helper", session or "", lent or {}, given, listings or {})
        build.listings = tool_ctx.listings
        return toolbox.build(specs, tool_ctx)

    return build


@pytest.fixture(scope="session")
def mysql_server(authority):
    yield from serving(MySQL, "mariadb-install-db", MYSQL, authority)


@pytest.fixture
def sqlite():
    return database("sqlite", "sqlite:///data/shop.db")


@pytest.fixture
def postgres(postgres_server):
    postgres_server.clear()
    return database("postgres", postgres_server.url())


@pytest.fixture
def mysql(mysql_server):
    mysql_server.clear()
    return database("mysql", mysql_server.url())


@pytest.fixture
def serve_bytes():
    """A server of one connection that sends the given pieces until the client closes the connection."""
    listener = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()

    def answer(pieces, pause):
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            try:
                for piece in pieces:
                    connection.sendall(piece)
                    if done.wait(pause):
                        return
            except OSError:
                return

    def start(pieces, pause=0.02):
        thread = threading.Thread(target=answer, args=(pieces, pause), daemon=True)
        thread.start()
        return SimpleNamespace(url=f"http://127.0.0.1:{listener.getsockname()[1]}/", thread=thread)

    yield start
    done.set()
    listener.close()
