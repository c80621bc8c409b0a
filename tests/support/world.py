"""What tests of the definition, the engine, the recorder, the dispatcher and the tables share.

Small flows, node types that exist for one test only, and real database files. No fixtures: each file has its own.
"""

import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import orjson
from children import end_child, start_child

import database
import engine
from config import Config
from dispatch import Dispatcher, Resources, make_services
from dispatch.recorder import Recorder
from errors import NodeError
from models import Run, Step, Workflow
from nodes.base import REGISTRY, Node
from nodes.fields import anything

ROOT = Path(__file__).parents[2]
PATIENCE = 60  # seconds after which something that never comes fails the test


# Flows


def node(id_, type_="noop", config=None, **more):
    """A node as the file has it: `node("a", "give", {"value": 1}, on_error="continue")`."""
    return {"id": id_, "type": type_, **({} if config is None else {"config": config}), **more}


def flow(*nodes, edges=(), **settings):
    """A definition; a node that is given as text is a `noop`, an edge may be text too: `"a b"`, `"a b branch"`."""
    found = [node(item) if isinstance(item, str) else item for item in nodes]
    wires = [edge.split(" ") if isinstance(edge, str) else edge for edge in edges]
    return {"nodes": found, "edges": wires, **({"settings": settings} if settings else {})}


def chain(*nodes, **settings):
    """A definition in which each node leads to the next."""
    made = flow(*nodes, **settings)
    ids = [item["id"] for item in made["nodes"]]
    return made | {"edges": [[a, b] for a, b in zip(ids, ids[1:], strict=False)]}


def run(definition, input=None, **job):
    """Run it, or a plan. Gives `status`, `output`, `error_text`…, the `steps`, and `of`: the last step of each node."""
    steps = []
    job = {"on_step": steps.append, "sleep": lambda seconds: None, **job}
    plan = definition if isinstance(definition, engine.Plan) else engine.plan(definition)
    outcome = engine.run(plan, engine.Job("run_1", input, **job))
    return SimpleNamespace(
        **outcome._asdict(), outcome=outcome, steps=steps, of={step.node_id: step for step in steps if at_top(step)}
    )


def at_top(step):
    """Whether the step is of a node as a whole, not of an item."""
    return step.item_index is None


def value(step):
    """A step's output as data."""
    return None if step.output is None else orjson.loads(step.output)


# Node types


class Types:
    """Node types that are in the registry for the time of a `with`. Three are there at once:

    - `give` (pure) gives its `value`;
    - `act` (not pure) notes its idempotency key in `effects` and gives its `value`, else its input;
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
        """Make a node type of a function `run(config, input, ctx)`. Its only setting is `value`."""
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
    """A place where nodes wait for the test: `reached` is set when one is there, `opened` lets all go on."""

    def __init__(self):
        self.reached, self.opened = threading.Event(), threading.Event()

    def __call__(self, config, input, ctx):
        self.reached.set()
        assert self.opened.wait(PATIENCE), "the test never opened the gate"
        return input


# Databases and what works on them


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
    """A migrated database file in the folder, to which this thread is connected."""
    path = folder / "headrace.sqlite3"
    content = migrated_database()
    folder.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    database.connect(path, "normal")
    with database.write():
        pass  # as the migrations do, so that commits are counted from here on
    try:
        yield path
    finally:
        database.disconnect()


@contextmanager
def started_recorder():
    """A recorder with its thread."""
    recorder = Recorder()
    recorder.start()
    try:
        yield recorder
    finally:
        recorder.stop()


@contextmanager
def process(folder, *, inline=False, **settings):
    """A dispatcher with its recorder, as one process has them, over the database of `fresh_database`."""
    # Nobody prolongs its lease, and after that it takes no runs.
    settings = {"run_threads": 2, "grace": 0, "lease": 3600, **settings}
    config = Config(data_dir=folder, **settings)
    with started_recorder() as recorder:
        dispatcher = Dispatcher(Resources(config, make_services(config)), recorder, inline)
        dispatcher.start()
        try:
            yield dispatcher
        finally:
            dispatcher.stop()


def add_flow(definition, workspace="ws_1", **values):
    """A flow on record, of whose triggers nobody fires any unless `triggers` are given."""
    text = definition if isinstance(definition, str) else orjson.dumps(definition).decode()
    values = {"name": "Flow", "status": "active", "triggers": [], **values}
    return Workflow.draft(workspace_id=workspace, definition_json=text, **values)


def run_of(id_):
    """The run as its row is."""
    return Run.get_by_id(id_)


def steps_of(run_id):
    """The run's steps as their rows are."""
    return list(Step.select().where(Step.run_id == run_id).order_by(Step.seq))


class Background:
    """Something in a thread of its own, which gives its database connection back. `.result()` waits for the outcome."""

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
    """What `work(number)` gives in `count` threads that begin together."""
    together = threading.Barrier(count)

    def begin(number):
        together.wait(PATIENCE)
        return work(number)

    return [thread.result() for thread in [Background(begin, number) for number in range(count)]]


def start_python(source, *args):
    """Another process that runs this source, with our modules and these arguments."""
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
    """What the process printed, a line an item, once it has ended well."""
    try:
        out, error = process.communicate(timeout=480)
    finally:
        end_child(process)
    assert process.returncode == 0, error
    return out.split()


def raced(count, source, *args):
    """What so many processes print that run this source, a word an item; each prints `ready`, then all go on."""
    processes = [start_python(source, *args) for _ in range(count)]
    try:
        for one in processes:
            assert one.stdout.readline() == "ready\n"
        for one in processes:
            one.stdin.write("\n")
            one.stdin.flush()
        return [word for one in processes for word in said(one)]
    finally:
        for one in processes:
            end_child(one)
