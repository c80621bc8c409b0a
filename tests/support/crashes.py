"""Crashes everywhere: a copy of the database at every commit, from which another process continues."""

import re
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field

from chosen_engine import connect, database_of
from engines import restore, snapshot
from properties import sample
from world import run_of, steps_of

import database
from config import Config
from dispatch import Dispatcher, Resources, make_services
from dispatch.payloads import Kept
from dispatch.recorder import Recorder
from models import Lease, LogEntry, Run, Step, Wait


class Copying(Recorder):
    """A recorder that calls `copy` before every commit, while its callers wait."""

    def __init__(self, copy):
        super().__init__()
        self.copy = copy

    def _commit(self, group):
        self.copy()
        super()._commit(group)


@dataclass
class Moment:
    """A state of the database: the number of actions before it, and the recorded steps with effects."""

    rows: object
    action: int
    done: set = field(default_factory=set)


class Moments(list):
    """The states of the database during one sequence of actions."""

    def __init__(self, folder):
        self.path, self.action = folder / "headrace.sqlite3", 0

    def copy(self):
        done = {
            f"{step.run_id}:{step.node_id}:{step.item_index or 0}"
            for step in Step.select().where(Step.status == "success")
        }
        self.append(Moment(snapshot(self.path), self.action, done))

    def go_back_to(self, moment):
        """Give the database the rows of that moment, and connect to it."""
        database.disconnect()
        restore(self.path, moment.rows)
        connect(self.path)


@contextmanager
def inline_process(folder, recorder, **settings):
    """Like `world.process`, in the test's own thread, with this recorder."""
    config = Config(data_dir=folder, **database_of(folder), run_threads=2, grace=0, lease=3600, **settings)
    recorder.start()
    dispatcher = Dispatcher(Resources(config, make_services(config)), recorder, inline=True)
    dispatcher.start()
    try:
        yield dispatcher
    finally:
        dispatcher.stop()
        recorder.stop()


def essence(output):
    """Return, for every run of the database, the parts that do not depend on crashes.

    Ids of runs are left out, and so are attempts that a crash cut off.
    """

    def steps(run_id):
        last = {}
        for step in steps_of(run_id):
            last[step.node_id, step.item_index] = (step.status, step.branch)
        return sorted(last.items(), key=repr)

    def end(run):
        failures = LogEntry.message.startswith("The run failed: ")
        told = LogEntry.select().where(LogEntry.run_id == run.id, failures).count()
        assert told == int(run.status == "failed" and not run.cancelled), (run.id, run.status, told)
        return run.workflow_name, run.status, run.waiting, run.depth, run.nodes_total, run.nodes_done

    return sorted([(end(run), output(run), steps(run.id)) for run in Run.select()], key=repr)


def crash_everywhere(folder, types, actions, **settings):
    """Run the actions, each `action(dispatcher)`, then continue from the moments, as if the process had crashed there.

    From each moment the result is the same, no run waits, and no recorded effect is repeated. A short profile of
    Hypothesis tries some of the moments.
    """

    def outputs(dispatcher):
        def output(run):
            text = dispatcher.resources.payloads.load(run.id, "output", Kept(run.output, run.output_bytes))
            return re.sub(r"run_\w+", "run", f"{text} {run.error_text}")

        return output

    moments = Moments(folder)
    with inline_process(folder, Copying(moments.copy), **settings) as dispatcher:
        for number, action in enumerate(actions):
            moments.action = number
            action(dispatcher)
            moments.copy()
        whole, values = essence(outputs(dispatcher)), value_folder(dispatcher)
    assert Wait.select().count() == 0
    effects = _without_runs(types.effects)
    written = _copied(values, folder / "written")
    for moment in sample(list(moments)):
        moments.go_back_to(moment)
        Lease.delete().execute()
        types.effects.clear()
        if not Run.select().exists():
            continue
        # Restore the files of the original process: a process that continued from another moment may have numbered
        # its steps differently.
        _copied(written, values)
        with inline_process(folder, Recorder(), **settings) as dispatcher:
            dispatcher.sweep()
            for action in actions[moment.action + 1 :]:
                action(dispatcher)
            found = essence(outputs(dispatcher))
            assert found == whole, moment
        assert not moment.done & set(types.effects), moment
        assert _without_runs(types.effects) | _without_runs(moment.done) >= effects, moment
        assert Wait.select().count() == 0 and not Step.select().where(Step.status == "waiting").exists()
    return moments


def value_folder(dispatcher):
    """Return the folder of large values; None on PostgreSQL, where they are rows."""
    return getattr(dispatcher.resources.payloads, "folder", None)


def _copied(folder, to):
    """Make a folder an exact copy of another, if that exists."""
    if to is None:
        return None
    shutil.rmtree(to, ignore_errors=True)
    if folder is not None and folder.exists():
        shutil.copytree(folder, to)
    return to


def _without_runs(keys):
    return {key.split(":", 1)[1] for key in keys}


def first_run():
    """Return the first run."""
    return run_of(Run.select(Run.id).order_by(Run.id).limit(1).scalar())
