"""Fixtures that execute one node as the engine does: the schema loads its config, then `run` gets a context."""

import socket
import threading
import time
from types import SimpleNamespace

import pytest
from sql_servers import MYSQL, MySQL, database, serving

from errors import NodeError, NotFound
from net.egress import HttpClient, Rule
from nodes import REGISTRY
from nodes.base import Context, Services
from nodes.credentials.keyring import DecryptedCredential, Keyring
from nodes.credentials.types import TYPES
from nodes.data.python_sandbox import Sandbox
from nodes.files.files import WorkspaceFiles
from packs.agents.definition import ToolSpec
from packs.agents.services import CallableFlow, arguments_schema
from packs.agents.tools import base, toolbox
from packs.agents.tools.base import find_issues

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


# Helpers for tests of agent tools: tool specs, and in-memory services for agents


def Spec(type, options=None, approval=False):
    """Return the spec of some tools, as read from a definition."""
    options = {key: tuple(value) if isinstance(value, list) else value for key, value in (options or {}).items()}
    return ToolSpec(type, approval, **options)


class Memory:
    """Memory in a dict, by agent, session and key."""

    def __init__(self):
        self.entries = {}

    def search(self, agent_id, query, session=None, limit=10):
        found = [
            {"key": key, **entry}
            for (agent, where, key), entry in self.entries.items()
            if agent == agent_id and where in ("", session or "") and query in entry["content"]
        ]
        return found[:limit]

    def write(self, agent_id, key, content, session="", tags=(), expires_in=None):
        entry = {"content": content, "tags": list(tags), "expires_in": expires_in}
        self.entries[agent_id, session, key] = entry
        return {"key": key, "session": session}


class WorkspaceView:
    """Returns the name and arguments of each call."""

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)

        def ask(**arguments):
            if arguments.get("run_id") == "run_none":
                raise NotFound("There is no such run.")
            return {"asked": name, **arguments}

        return ask


class Agents:
    def __init__(self, *flows):
        self.memory, self.workspace_view, self.flows = Memory(), WorkspaceView(), list(flows)

    def callable_flows(self):
        return list(self.flows)


def flow(name="flow_ship", workflow_id="wf_1", takes=None, description="Ships an order."):
    """Return a callable flow, as the workspace lists it; `takes` is the schema of its trigger."""
    schema, wrapped = arguments_schema(takes)
    return CallableFlow(name, "Ship", description, schema, workflow_id, "called", wrapped)


class Flows:
    """Records started flows."""

    def __init__(self, error=""):
        self.started, self.error = [], error

    def start(self, node_id, workflow_id, input, wait):
        if self.error:
            raise NodeError(self.error, permanent=True)
        self.started.append((node_id, workflow_id, input, wait))
        return f"run_{len(self.started)}"


def called(toolbox, name, /, mark="call:1", **arguments):
    """Check the arguments as the agent's loop does, call the tool, and return its result."""
    tool = toolbox[name]
    assert find_issues(tool, arguments) == []
    return tool.call(arguments, mark)
