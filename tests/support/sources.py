"""Sources that a test can change, the trigger that polls them, and processes that poll when the test says so."""

import threading
import time
from contextlib import contextmanager

import orjson
from marshmallow import Schema, fields
from moments import Clock
from world import Types, add_flow, flow, node, process

import engine
from database import closing_connection, write
from database.base import now_ms
from database.queries import workflows
from dispatch.publishing import find_triggers
from errors import NodeError
from models import Poll, PollEntry, Run
from nodes.base import Item, Polled, setting
from nodes.credentials.keyring import DecryptedCredential
from nodes.credentials.types import TYPES
from nodes.fields import Number, text
from packs.polls.keeper import make_listeners
from packs.polls.poller import Poller
from scheduler.leader import Leader


class Config(Schema):
    url = text("Where to look", load_default="here")
    every = setting(Number, "Seconds", literal=True, load_default=60.0)
    backlog = setting(fields.Boolean, "Whether what is there counts", literal=True, load_default=False)


class Source:
    """The source of the trigger `watch`: `shown` has the keys of its entries, oldest first.

    `during` is called in each poll. `asked` has the config and the state of each poll.
    """

    def __init__(self, *shown):
        self.shown = list(shown)
        self.whole, self.more, self.problem = True, False, None
        self.value = lambda key: {"key": key}
        self.during = lambda ctx: None
        self.asked = []

    def poll(self, node, config, state, ctx):
        self.asked.append((config, state))
        shown, state = list(self.shown), {"polls": (state or {"polls": 0})["polls"] + 1}
        self.during(ctx)
        if self.problem is not None:
            raise NodeError(self.problem)
        return Polled([Item(key, self.value(key)) for key in shown], state, self.whole, self.more)


@contextmanager
def watched(source):
    """Register the node type `watch`, which polls the source."""
    with Types() as types:
        attributes = {"trigger": True, "polls": True, "quick": True, "Config": Config, "source": ("url",)}
        poll = lambda self, config, state, ctx: source.poll(self, config, state, ctx)  # noqa: E731
        types.offer("watch", lambda config, input, ctx: input, poll=poll, **attributes)
        yield types


def definition(**config):
    """Return a flow with a `watch` trigger; `settings` are the settings of the flow."""
    settings = config.pop("settings", {})
    return flow(node("new", "watch", config), node("end"), edges=["new end"], **settings)


def active(made=None, workspace="ws_1", **values):
    """Add an active flow whose trigger is polled from now on."""
    made = definition() if made is None else made
    return add_flow(made, workspace, triggers=find_triggers(engine.plan(made)), **values)


def change(made, changed=None, **values):
    """Change a flow as the API does."""
    wanted = None
    if changed is not None:
        values["definition_json"] = orjson.dumps(changed).decode()
    if values.get("status", made.status) == "active":
        wanted = find_triggers(engine.plan(changed or orjson.loads(made.definition_json)))
    assert workflows.change(made, None, triggers=wanted, **values)
    return made


class Process:
    """A process that polls in the test's thread, with the test's clock."""

    def __init__(self, dispatcher, clock=None, start=lambda work: work()):
        self.dispatcher, self.clock = dispatcher, clock or Clock(now_ms())
        wall, monotonic = self.clock.wall, self.clock.monotonic
        self.leader = Leader(lambda ids: dispatcher.pick_up(), dispatcher.may_start, wall, monotonic)
        seconds = lambda: monotonic() / 1000  # noqa: E731
        owner, leads = self.leader.owner, self.leader.leads
        self.poller = Poller(dispatcher, owner, leads, start, wall, seconds, make_listeners=make_listeners)

    def tick(self):
        self.leader.tick()
        self.poller.tick()

    def look(self, after=0):
        """Make every trigger due, and poll it."""
        self.clock.pass_by(after)
        with write():
            Poll.update(next_at=self.clock.now).where(Poll.next_at.is_null(False)).execute()
        self.tick()


@contextmanager
def polling(folder, clock=None, **settings):
    """Start a polling process on the database in the folder. Runs stay pending unless `runs=True`."""
    runs = settings.pop("runs", False)
    with process(folder, inline=True, **settings) as dispatcher:
        if not runs:
            dispatcher.close()
        yield Process(dispatcher, clock)


def fired(made=None):
    """Return the keys of the entries that have a run, in the order of the runs."""
    query = Run.select().where(Run.trigger_node == "new")
    if made is not None:
        query = query.where(Run.workflow_id == made.id)
    return [orjson.loads(run.input)["key"] for run in query.order_by(Run.id)]


def row(made):
    """Return the row of the trigger."""
    return Poll.get(Poll.workflow_id == made.id)


def entries(made):
    """Return the known entries of the trigger: True by digest if the source shows the entry."""
    rows = PollEntry.select().where(PollEntry.workflow_id == made.id)
    return {bytes(entry.entry): entry.gone_at is None for entry in rows}


def keys(first, last):
    return [f"entry {number}" for number in range(first, last + 1)]


# A process that listens: the scheduler's tick runs in a thread of the test, with the real clock


SECONDS = 30


@contextmanager
def listening(folder, credentials, **settings):
    """A process that ticks; `process.stop()` ends it as a server ends. `credentials`: type and data by name."""
    with polling(folder, egress_allow=("127.0.0.1", "localhost"), **settings) as process:
        process.credentials = dict(credentials)

        def find(workspace_id, name):
            type_, data = process.credentials[name]
            data = TYPES[type_].load(data)
            return DecryptedCredential(name, type_, data, tuple(TYPES[type_].hosts(data)))

        process.dispatcher.resources.find_credential = find
        process.clock.wall = lambda: int(time.time() * 1000)
        process.poller.wall = process.leader.wall = process.leader._lease.wall = process.clock.wall
        process.poller.monotonic = time.monotonic
        ended = threading.Event()

        def tick():
            while not ended.wait(0.05):
                process.tick()

        thread = threading.Thread(target=closing_connection(tick))
        thread.start()

        def stop():
            if not ended.is_set():
                ended.set()
                thread.join(SECONDS)
                process.poller.stop()
                process.leader.stop()

        process.stop = stop
        try:
            yield process
        finally:
            stop()


def hurry():
    """Let what waits after a failure begin now."""
    with write():
        Poll.update(next_at=1).where(Poll.owner.is_null(), Poll.next_at.is_null(False)).execute()


def inputs(made=None):
    """Return the inputs of the runs, in their order."""
    import orjson

    query = Run.select() if made is None else Run.select().where(Run.workflow_id == made.id)
    return [orjson.loads(run.input) for run in query.order_by(Run.id)]
