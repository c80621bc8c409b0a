"""Any flow that is interrupted at any commit and resumed from the disk reaches the same result as without.

A crash leaves a prefix of the commits, so the data is copied at each commit while the run continues, and one of the
copies is resumed: by a process that is interrupted in the same way, or by one that finishes it.
"""

import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import orjson
import pytest
from chosen_engine import ON_POSTGRES, connect, database_of
from engines import has_run, restore, snapshot, statements_of_thread
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from properties import examples
from test_engine_properties import flows, ways
from world import Types, add_flow, at_top, fresh_database, steps_of

import database
from config import Config
from definition import Pin
from dispatch import MAX_DEATHS, Dispatcher, Resources, Start, StartOptions, make_services
from dispatch.payloads import Kept
from dispatch.recorder import Recorder
from errors import NodeError
from models import Run, RunDay

pytestmark = [pytest.mark.slow, pytest.mark.soak, pytest.mark.postgres]

# On PostgreSQL, a copy takes ten times as long.
EXAMPLES = (15 if ON_POSTGRES else 150) + 4 * int(os.environ.get("HEADRACE_SOAK_SECONDS") or 0)
MEMORY = (
    "/dev/shm" if Path("/dev/shm").is_dir() else None
)  # a crash of a process needs no fsync, and there are many copies
INLINE_BYTES = 12  # so that many values are in files
INPUT = {"x": ["a value", 1]}


@pytest.fixture(scope="module")
def types():
    def burn(config, input, ctx):
        types.effects.append(ctx.idempotency_key)
        raise NodeError("burnt")

    def hesitate(config, input, ctx):
        """Fails at the first request for each key."""
        types.effects.append(ctx.idempotency_key)
        if types.effects.count(ctx.idempotency_key) == 1:
            raise NodeError("not yet")
        return config.get("value", input)

    with Types() as types:
        types.offer("burn", burn, pure=False)
        types.offer("hesitate", hesitate, pure=False)
        yield types


@st.composite
def cases(draw):
    """A definition, the trigger that fired, other options of the run, and the commits at which it is interrupted."""
    definition, fired = draw(flows(most=6))
    options = None
    for node in definition["nodes"]:
        node["on_interrupt"] = draw(st.sampled_from(["retry", "retry", "fail"]))
        if node["type"] == "act" and draw(st.booleans()):
            node["type"], node["retry"] = "hesitate", {"attempts": 2, "delay": 0}
    if draw(st.booleans()):
        fired, options = None, draw(starts(definition))
    return definition, fired, options, draw(st.lists(st.integers(0, 100), min_size=1, max_size=MAX_DEATHS - 1))


@st.composite
def starts(draw, definition):
    """Runs of a draft or of the flow, whole or until a node, with some nodes pinned."""
    text = orjson.dumps(definition).decode() if draw(st.booleans()) else None
    until = draw(st.sampled_from([None, *(node["id"] for node in definition["nodes"])]))
    pinned = {
        node["id"]: Pin(["pinned", node["id"]], draw(st.sampled_from(ways(node))))
        for node in definition["nodes"]
        if draw(st.integers(0, 4)) == 0
    }
    return StartOptions(text, until, pinned)


# A watched process


class Watched(Recorder):
    """A recorder with a thread that announces each statement before its execution.

    Each unit of writes has a commit of its own, so that there is a moment between any two, the same ones at every try.
    """

    max_group = 0

    def __init__(self, watch):
        super().__init__()
        self.watch = watch

    def _work(self):
        with statements_of_thread(self.watch):
            super()._work()


class Copies:
    """Copies of the database and of the values in files, one before each commit: what a crash then would leave.

    With each, how many effects the world outside had seen by then.
    """

    def __init__(self, folder, effects):
        self.folder, self.effects = folder, effects
        self.made = []

    def __call__(self, sql):
        if sql.upper().startswith("COMMIT"):
            files = {file: file.read_bytes() for file in self.folder.glob("values/*/*")}
            self.made.append((snapshot(self.folder / "headrace.sqlite3"), files, len(self.effects)))

    def go_back_to(self, number):
        """Give the folder the data of this copy. Return the number of effects before it."""
        rows, files, seen = self.made[number]
        restore(self.folder / "headrace.sqlite3", rows)
        shutil.rmtree(self.folder / "values", ignore_errors=True)
        for file, content in files.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        return seen


@contextmanager
def connected(folder):
    connect(folder)
    try:
        yield
    finally:
        database.disconnect()


@contextmanager
def process(folder, watch):
    """A process that executes inline with the database in this folder; `watch` gets its statements."""
    with connected(folder):
        recorder = Watched(watch)
        recorder.start()
        config = Config(data_dir=folder, **database_of(folder), inline_value_bytes=INLINE_BYTES, grace=0, lease=3600)
        dispatcher = Dispatcher(Resources(config, make_services(config)), recorder, inline=True)
        try:
            dispatcher.start()
            with statements_of_thread(watch):
                yield dispatcher
            dispatcher.stop()
        finally:
            recorder.stop()


def first_try(folder, watch, definition, fired, options):
    """Start the run and execute it to the end."""
    is_draft = options is not None and options.definition is not None
    with connected(folder):
        flow = add_flow({"nodes": [{"id": "saved", "type": "fail"}]} if is_draft else definition)
    with process(folder, watch) as dispatcher:
        dispatcher.submit(Start(flow, INPUT, "manual", trigger_node=fired, options=options))
        return result(dispatcher)


def next_try(folder, watch):
    """Take over the run of a dead process, and execute it to the end."""
    with process(folder, watch) as dispatcher:
        database.execute("UPDATE leases SET until = 0 WHERE name <> ?", (dispatcher.lease.owner,))
        dispatcher.sweep()
        return result(dispatcher)


# Recorded state


def result(dispatcher):
    """Return the result of the run: its end, and the last step of each node with its value."""
    (run,) = Run.select()
    assert run.finished_at is not None and RunDay.get().total == 1, "it has not ended, or twice"
    nodes = {}
    for step in steps_of(run.id):
        assert step.status != "running", f"{step.node_id} is still running"
        if at_top(step):
            own = dispatcher.resources.value(run.id, f"step_{step.seq}", Kept(step.output, step.output_bytes))
            value = own if step.same_as is None else nodes[step.same_as][2]
            nodes[step.node_id] = (step.status, step.branch, value)
    output = dispatcher.resources.value(run.id, "output", Kept(run.output, run.output_bytes))
    return Result(run.status, output, run.error_text, run.error_node_id, nodes)


class Result(NamedTuple):
    status: str
    output: object
    error_text: str | None
    error_node_id: str | None
    nodes: dict


def on_record(folder):
    """Return whether the run has ended, the keys of completed effects, and the nodes in doubt."""
    with connected(folder):
        (run,) = Run.select()
        steps = steps_of(run.id)
    done = {f"{run.id}:{step.node_id}:{step.item_index or 0}" for step in steps if step.status == "success"}
    return run.finished_at is not None, done, {step.node_id for step in steps if step.status == "running"}


@settings(max_examples=examples(EXAMPLES), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases())
def test_a_run_interrupted_at_any_commit_reaches_the_same_result(types, case):
    definition, fired, options, cuts = case
    note(f"{definition}, fired: {fired}, {options}, cut at: {cuts}")
    types.effects.clear()
    with TemporaryDirectory(dir=MEMORY) as name, fresh_database(Path(name)):
        folder = Path(name)
        copies = Copies(folder, types.effects)
        expected = first_try(folder, copies, definition, fired, options)
        # Without those from before the run was accepted. On PostgreSQL there are several: its values are rows.
        copies.made = [copy for copy in copies.made if has_run(copy[0])]
        for cut in cuts:
            if not copies.made:
                break  # everything was one commit
            seen = copies.go_back_to(cut % len(copies.made))
            del types.effects[seen:]
            has_ended, done, doubts = on_record(folder)
            copies = Copies(folder, types.effects)
            came_to = next_try(folder, copies)
            assert not done & set(types.effects[seen:]), "done again, though it was on record"
            refusing = {node["id"] for node in definition["nodes"] if node["on_interrupt"] == "fail"}
            if doubts & refusing:
                assert came_to.status == "failed" and came_to.error_text.startswith("interrupted: ")
                assert {came_to.error_node_id} == doubts and not types.effects[seen:]
                expected = came_to
            assert came_to == expected
            if has_ended:
                break
