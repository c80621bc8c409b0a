"""The recorded state in a database, read without the server, and checks of it."""

import json
import shutil
from collections import Counter, defaultdict
from pathlib import Path
from types import SimpleNamespace

from chosen_engine import ON_POSTGRES
from effects import http_node
from engines import lease_now, other_connection
from servers import until
from world import on_postgres

UNFINISHED = "SELECT id FROM runs WHERE status IN ('pending', 'running')"


def ask(path, sql, *params):
    """Return the rows of a query while a server uses the database that this file is, or stands for."""
    with other_connection(path) as connection:
        found = connection.execute(sql, params)
        names = [column[0] for column in found.description]
        return [SimpleNamespace(**dict(zip(names, row, strict=True))) for row in found.fetchall()]


def settled(path, *ids):
    """Wait until none of these runs, or of all runs, is pending or running."""
    mine = f" AND id IN ({', '.join('?' * len(ids))})" if ids else ""
    until(lambda: not ask(path, UNFINISHED + mine, *ids), "the runs end")


def owner_with_expired_lease(path):
    """Return the owner with an expired lease, once there is one and other processes have claimed its runs."""

    def found():
        silent = ask(path, "SELECT name FROM leases WHERE until < ? AND name LIKE 'proc%'", lease_now(path))
        names = [row.name for row in silent]
        return len(names) == 1 and not ask(path, "SELECT id FROM runs WHERE lease_owner = ?", *names) and names

    (name,) = until(found, "the runs of the stopped process are claimed by others")
    return name


def left_on_disk(path, folder):
    """Return a copy of the files after a crash. Opening the original would do recovery work of the server.

    On PostgreSQL, return the database itself, as soon as it has executed what the processes have sent to it.
    """
    if ON_POSTGRES:
        on_postgres().wait_for_commits(path)
        return path
    copy = Path(folder) / path.name
    for suffix in ("", "-wal"):
        if Path(f"{path}{suffix}").exists():
            shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")
    return copy


def key_of(step):
    """Return the Idempotency-Key of an http node's step."""
    return f"{step.run_id}:{step.node_id}:{step.item_index or 0}"


def steps(path, run_id=None):
    """Return the steps of a run, or of all, in order."""
    where = "" if run_id is None else "WHERE run_id = ?"
    return ask(path, f"SELECT * FROM all_steps {where} ORDER BY run_id, seq", *([] if run_id is None else [run_id]))


def completed(path):
    """Return the keys of http steps recorded as completed."""
    return {key_of(step) for step in steps(path) if step.node_type == "http" and is_done(step) and not is_map(step)}


def is_done(step):
    return step.status == "success"


def is_map(step):
    """Return True if the step is that of a whole `foreach`, which sends no request itself."""
    return step.node_id == "each" and step.item_index is None


def is_interrupted(step):
    return step.status == "failed" and "interrupted" in (step.error_text or "")


class Flow:
    """The flow of the load and its expected result: four or five requests, two of them items, and a branch."""

    def __init__(self, url):
        doubled = "{{ steps.twice.n + item }}"
        end = {"each": "{{ steps.each | map(attribute='body') }}", "last": "{{ input.body.n }}"}
        self.definition = {
            "nodes": [
                {"id": "start", "type": "manual"},
                http_node("one", url, {"n": "{{ trigger.n }}"}),
                {"id": "twice", "type": "set", "config": {"values": {"n": "{{ input.body.n * 2 }}"}}},
                http_node("each", url, {"n": doubled}, foreach="{{ [1, 2] }}"),
                {"id": "third", "type": "if", "config": {"condition": "{{ trigger.n % 3 == 0 }}"}},
                http_node("more", url, {"n": "{{ trigger.n }}"}),
                {"id": "less", "type": "set", "config": {"values": {"n": "{{ trigger.n }}"}}},
                http_node("last", url, {"n": "{{ steps.twice.n }}"}),
                {"id": "end", "type": "set", "config": {"values": end}},
            ],
            "edges": [
                ["start", "one"],
                ["one", "twice"],
                ["twice", "each"],
                ["each", "third"],
                ["third", "more", "true"],
                ["third", "less", "false"],
                ["more", "last"],
                ["less", "last"],
                ["last", "end"],
            ],
        }

    @staticmethod
    def output(number):
        """Return the output of the run with this number."""
        return {"each": [{"n": 2 * number + 1}, {"n": 2 * number + 2}], "last": 2 * number}

    @staticmethod
    def ends(number):
        """Return the expected end of each node and item, in order."""
        chosen, other = ("more", "less") if number % 3 == 0 else ("less", "more")
        done = [("start", None), ("one", None), ("twice", None), ("each", None), ("third", None)]
        done += [(chosen, None), ("last", None), ("end", None)]
        return {
            **{at: "success" for at in [*done, ("each", 0), ("each", 1)]},
            (other, None): "skipped",
        }


class Crashes:
    """The recorded state at each crash: completed steps are not repeated, and only runs in progress are resumed."""

    def __init__(self, effects):
        self.effects = effects
        self._done = {}
        self._interrupted = Counter()

    def note(self, path):
        """Store the recorded state just after a kill."""
        if ON_POSTGRES:
            on_postgres().wait_for_commits(path)
        keys = completed(path)
        seen = self.effects.seen()
        for key in keys:
            self._done.setdefault(key, seen[key])
        # An interrupted run may already have been claimed, because the death of its process is visible.
        self._interrupted.update(run.id for run in ask(path, UNFINISHED))

    def check(self, runs):
        seen = self.effects.seen()
        again = [key for key, times in self._done.items() if seen[key] != times]
        assert not again, f"recorded as completed, but repeated: {again}"
        taken = [run.id for run in runs if not 1 <= run.claims <= 1 + self._interrupted[run.id]]
        assert not taken, f"claimed from a process that was not killed: {taken}"


def check(path, load, effects, crashes):
    """Check every guarantee about the runs of this load, after all have ended."""
    runs = ask(path, "SELECT * FROM runs ORDER BY id")
    broken = [(run.id, run.status, run.claims, run.error_text) for run in runs if run.status != "success"]
    assert not broken, f"{len(broken)} runs did not succeed: {broken[:5]}"
    crashes.check(runs)
    _check_no_run_is_lost_or_duplicated(path, load, runs)
    by_run = defaultdict(list)
    for step in steps(path):
        by_run[step.run_id].append(step)
    seen = effects.seen()
    for run in runs:
        _check_record(run, by_run[run.id])
        check_effects(run, by_run[run.id], seen)
    foreign = {key.partition(":")[0] for key in seen} - {run.id for run in runs}
    assert not foreign, f"requests of runs that are not recorded: {foreign}"


def _check_no_run_is_lost_or_duplicated(path, load, runs):
    ids = defaultdict(set)
    for run in runs:
        ids[json.loads(run.input)["n"]].add(run.id)
    twice = {number: found for number, found in ids.items() if len(found) > 1}
    assert not twice, f"started once, recorded twice: {twice}"
    wrong = {number: found for number, found in load.told.items() if found != ids[number]}
    assert not wrong, f"accepted with these ids, but recorded with others: {wrong}"
    assert not load.refused & {number for number, found in ids.items() if found}, "refused, but recorded"
    missing = set(range(1, load.last + 1)) - set(load.told) - load.lost - load.refused
    assert not missing, f"neither accepted nor refused: {missing}"
    bound = {row.key: row.run_id for row in ask(path, "SELECT * FROM idempotency_keys")}
    keyed = {f"run:{load.key(number)}": found for number, found in ids.items() if found and load.key(number)}
    assert bound == {key: next(iter(found)) for key, found in keyed.items()}
    days = ask(path, "SELECT SUM(total) AS total, SUM(success) AS success FROM run_days")[0]
    assert (days.total, days.success) == (len(runs), len(runs)), "the metrics do not match the recorded runs"


def _check_record(run, of_it):
    number = json.loads(run.input)["n"]
    assert json.loads(run.output) == Flow.output(number), (run.id, run.output)
    assert (run.lease_owner, run.finished_at is None) == (None, False), run.id
    ends = [step for step in of_it if not is_interrupted(step)]
    assert Counter((step.node_id, step.item_index) for step in ends).most_common(1)[0][1] == 1, describe(of_it)
    assert {(step.node_id, step.item_index): step.status for step in ends} == Flow.ends(number), describe(of_it)
    at_top = [step.node_id for step in ends if step.item_index is None]
    assert at_top == ["start", "one", "twice", "each", "third", *at_top[5:7], "last", "end"], describe(of_it)
    if run.claims == 1:
        assert [step.seq for step in of_it] == list(range(len(of_it))), describe(of_it)
        assert len(ends) == len(of_it), describe(of_it)


def check_effects(run, of_it, seen):
    """Check that each completed request came once, plus at most once for each interrupted attempt."""
    asked = [step for step in of_it if step.node_type == "http" and not is_map(step)]
    doubts = Counter(key_of(step) for step in asked if is_interrupted(step))
    for key in (key_of(step) for step in asked if is_done(step)):
        assert 1 <= seen[key] <= 1 + doubts[key], f"{key} came {seen[key]} times\n{describe(of_it)}"


def describe(of_it):
    """Return the steps in readable form."""
    return "\n".join(f"{s.seq} {s.node_id} {s.item_index} {s.status} {s.error_text or ''}" for s in of_it)
