"""Shared code of the tests of definition, engine, recorder, dispatcher and tables.

Small flows, node types that exist for one test only, and real database files. No fixtures: each file has its own.
"""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import orjson
from children import end_child, start_child
from chosen_engine import ON_POSTGRES, connect, database_of

import database
import engine
from config import Config
from database.queries import workflows
from dispatch import Dispatcher, Resources, make_services
from dispatch.recorder import Recorder
from errors import NodeError
from models import Run, Step
from nodes.base import REGISTRY, Node
from nodes.fields import anything

ROOT = Path(__file__).parents[2]
PATIENCE = 60  # seconds after which a missing event fails the test


# Flows


def node(id_, type_="noop", config=None, **more):
    """Return a node of a definition: `node("a", "give", {"value": 1}, on_error="continue")`."""
    return {"id": id_, "type": type_, **({} if config is None else {"config": config}), **more}


def flow(*nodes, edges=(), **settings):
    """Return a definition; a node given as text is a `noop`, an edge may be text too: `"a b"`, `"a b branch"`."""
    found = [node(item) if isinstance(item, str) else item for item in nodes]
    wires = [edge.split(" ") if isinstance(edge, str) else edge for edge in edges]
    return {"nodes": found, "edges": wires, **({"settings": settings} if settings else {})}


def chain(*nodes, **settings):
    """Return a definition in which each node leads to the next."""
    made = flow(*nodes, **settings)
    ids = [item["id"] for item in made["nodes"]]
    return made | {"edges": [[a, b] for a, b in zip(ids, ids[1:], strict=False)]}


def run(definition, input=None, **job):
    """Run a definition or a plan. Return `status`, `output`, …, the `steps`, and `of`: the last step of each node."""
    steps = []
    job = {"on_step": steps.append, "sleep": lambda seconds: None, **job}
    plan = definition if isinstance(definition, engine.Plan) else engine.plan(definition)
    outcome = engine.run(plan, engine.Job("run_1", input, **job))
    return SimpleNamespace(
        **outcome._asdict(), outcome=outcome, steps=steps, of={step.node_id: step for step in steps if at_top(step)}
    )


@contextmanager
def workers(count):
    """Threads for the nodes or items of one run, as `Job.workers` gives them."""
    with ThreadPoolExecutor(count) as pool:
        yield pool


def run_at_once(made, count, input=None, **job):
    """Run a definition with that many nodes at the same time; else like `run`."""
    made = {**made, "settings": {**made.get("settings", {}), "parallel": count}}
    return run(made, input, workers=workers, **job)


def at_top(step):
    """Return True if the step is that of a whole node, not of an item."""
    return step.item_index is None


def value(step):
    """Return a step's output as data."""
    return None if step.output is None else orjson.loads(step.output)


# Node types


class Types:
    """Node types that are registered within a `with`. Three exist from the start:

    - `give` (pure) returns its `value`;
    - `act` (not pure) records its idempotency key in `effects` and returns its `value`, else its input;
    - `fail` (pure) fails with its `value`.
    """

    def __init__(self):
        self.effects = []
        self.offer("give", lambda config, input, ctx: config["value"])
        self.offer("act", self._act, pure=False)
        self.offer("fail", self._fail)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for type_ in [name for name, made in REGISTRY.items() if getattr(made, "of_a_test", False)]:
            del REGISTRY[type_]

    def offer(self, type_, run, *, branches=(), **attributes):
        """Register a node type for a function `run(config, input, ctx)`. Its only setting is `value`."""
        config = type("Config", (Node.Config,), {"value": anything("A value")})
        made = {
            "__doc__": "Is here for one test.",
            "type": type_,
            "category": "trigger" if attributes.get("trigger") else "logic",
            "of_a_test": True,
            "Config": config,
            "branches": classmethod(lambda cls, config: branches),
            "run": lambda self, config, input, ctx: run(config, input, ctx),
        }
        type("Made", (Node,), made | attributes)

    def _act(self, config, input, ctx):
        self.effects.append(ctx.idempotency_key)
        return config.get("value", input)

    def _fail(self, config, input, ctx):
        raise NodeError(str(config.get("value", "no")))


class Gate:
    """A gate for nodes: `reached` is set when one waits, `opened` lets all continue."""

    def __init__(self):
        self.reached, self.opened = threading.Event(), threading.Event()

    def __call__(self, config, input, ctx):
        self.reached.set()
        assert self.opened.wait(PATIENCE), "the test never opened the gate"
        return input


# Databases, recorders and dispatchers


@cache
def migrated_database():
    """Return the bytes of an empty, migrated database file. The migrations run once in a process."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "headrace.sqlite3"
        database.connect(path, "normal")
        database.migrate()
        database.disconnect()
        return path.read_bytes()


@contextmanager
def fresh_database(folder):
    """Create a migrated database file in the folder, and connect this thread to it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "headrace.sqlite3"
    if ON_POSTGRES:
        on_postgres().new_database(path)
    else:
        path.write_bytes(migrated_database())
    connect(path)
    if not ON_POSTGRES:
        with database.write():
            pass  # like the migrations, so that commits are counted from here on
    try:
        yield path
    finally:
        database.disconnect()
        if ON_POSTGRES:
            on_postgres().release_database(path)


def on_postgres():
    """Return the module with the databases of tests; processes that tests start need no drivers and no pytest."""
    return import_module("on_postgres")


@contextmanager
def started_recorder():
    """Start a recorder with its thread."""
    recorder = Recorder()
    recorder.start()
    try:
        yield recorder
    finally:
        recorder.stop()


@contextmanager
def process(folder, *, inline=False, broker=None, **settings):
    """Start a dispatcher with its recorder, like one process, on the database of `fresh_database`."""
    # Its lease is not renewed, and after its end it claims no runs.
    settings = {"run_threads": 2, "grace": 0, "lease": 3600, **settings}
    config = Config(data_dir=folder, **{**database_of(folder), **settings})
    with started_recorder() as recorder:
        dispatcher = Dispatcher(Resources(config, make_services(config)), recorder, inline, broker=broker)
        dispatcher.start()
        try:
            yield dispatcher
        finally:
            dispatcher.stop()


def add_flow(definition, workspace="ws_1", **values):
    """Store a flow; its triggers do not fire unless `triggers` are given."""
    text = definition if isinstance(definition, str) else orjson.dumps(definition).decode()
    values = {"name": "Flow", "status": "active", "triggers": [], **values}
    return workflows.draft(workspace_id=workspace, definition_json=text, **values)


def run_of(id_):
    """Return the row of the run."""
    return Run.get_by_id(id_)


def steps_of(run_id):
    """Return the rows of the run's steps."""
    return list(Step.select().where(Step.run_id == run_id).order_by(Step.seq))


class Background:
    """A call in a separate thread, which closes its database connection. `.result()` waits for the outcome."""

    def __init__(self, work, *args):
        self.given = self.error = None
        self.thread = threading.Thread(target=self._work, args=(work, args), daemon=True)
        self.thread.start()

    def _work(self, work, args):
        try:
            self.given = work(*args)
        except BaseException as error:
            self.error = error
        finally:
            database.disconnect_thread()

    def result(self):
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive(), "it never ended"
        if self.error is not None:
            raise self.error
        return self.given


def at_once(count, work):
    """Return the results of `work(number)` in `count` threads that start together."""
    together = threading.Barrier(count)

    def begin(number):
        together.wait(PATIENCE)
        return work(number)

    return [thread.result() for thread in [Background(begin, number) for number in range(count)]]


def start_python(source, *args):
    """Start a process that runs this source, with our modules and these arguments."""
    path = os.pathsep.join(map(str, (ROOT, ROOT / "tests", ROOT / "tests" / "support")))
    command = [sys.executable, "-W", "error", "-c", source, *map(str, args)]
    return start_child(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def said(process):
    """Return the lines that the process printed, after its successful end."""
    try:
        out, error = process.communicate(timeout=480)
    finally:
        end_child(process)
    assert process.returncode == 0, error
    return out.split()


def raced(count, source, *args):
    """Run this source in so many processes; each prints `ready`, then all continue. Return their words."""
    processes = [start_python(source, *args) for _ in range(count)]
    try:
        for one in processes:
            assert one.stdout.readline() == "ready\n", said(one)
        for one in processes:
            one.stdin.write("\n")
            one.stdin.flush()
        return [word for one in processes for word in said(one)]
    finally:
        for one in processes:
            end_child(one)
