"""With any source, any process and any crash: a new entry found by a completed poll has exactly one run.

A crash leaves a prefix of the commits, so the rows are copied at each commit, and the test continues with one copy.
"""

import os
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from chosen_engine import connect
from engines import restore, snapshot, statements_of_thread
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moments import DAY, HOUR, SECOND, Clock
from properties import examples
from sources import Process, Source, active, change, definition, fired, row, watched
from world import fresh_database, process

import database
from database.base import now_ms
from models import Lease, Poll, Run

pytestmark = pytest.mark.slow

EXAMPLES = 100 + 10 * int(os.environ.get("HEADRACE_SOAK_SECONDS") or 0)
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
NUMBER = st.integers(0, 30)

STEPS = st.one_of(
    st.tuples(st.just("add"), st.integers(1, 5)),
    st.tuples(st.sampled_from(["drop", "bring back", "twice", "shuffle"]), st.randoms(use_true_random=False)),
    st.tuples(st.sampled_from(["look", "look", "look in part", "fail", "be empty"]), NUMBER),
    st.tuples(st.just("die"), NUMBER),
    st.tuples(st.just("be overtaken"), NUMBER),
    st.tuples(st.sampled_from(["edit", "stop and start", "edit meanwhile"]), NUMBER),
    st.tuples(st.just("wait"), st.sampled_from([SECOND, HOUR, 45 * DAY])),
    st.tuples(st.just("set the clock"), st.sampled_from([-40 * DAY, -HOUR, HOUR, 40 * DAY])),
    st.tuples(st.just("fill"), NUMBER),
)


class Story:
    """A source, a flow that polls it, and processes of which one polls at a time."""

    def __init__(self, folder, source, backlog):
        self.folder, self.source, self.clock = folder, source, Clock(now_ms())
        self.path = folder / "headrace.sqlite3"
        self.backlog = backlog
        self.count = 0
        self.hidden = []
        self.before, self.must, self.may = set(), set(), set()
        self.begun = False
        self.flow = active(definition(backlog=backlog))

    # The source

    def add(self, count):
        for _ in range(count):
            self.count += 1
            self.source.shown.append(f"entry {self.count}")

    def drop(self, chance):
        if self.source.shown:
            self.hidden.append(self.source.shown.pop(chance.randrange(len(self.source.shown))))

    def bring_back(self, chance):
        if self.hidden:
            self.source.shown.append(self.hidden.pop(chance.randrange(len(self.hidden))))

    def twice(self, chance):
        if self.source.shown:
            self.source.shown.insert(0, chance.choice(self.source.shown))

    def shuffle(self, chance):
        chance.shuffle(self.source.shown)

    # Processes

    def look(self, number=0, most=1_000):
        """A new process polls once. There is room for half of `most` runs."""
        self.source.asked_for, self.source.state_given = (), None
        with process(self.folder, inline=True, max_pending=most) as dispatcher:
            dispatcher.close()
            Lease.delete().execute()
            looking = Process(dispatcher, self.clock)
            looking.poller.runs_at_once = 2
            looking.look(SECOND)
            self.check_order()
        self.note()

    def note(self):
        """Record the entries that this poll has found, if it was completed."""
        poll, shown = row(self.flow), set(self.source.asked_for)
        done = self.source.state_given is not None and poll.state == self.source.state_given
        if done and not self.begun and not self.backlog:
            self.before |= shown
        elif done:
            self.must |= shown
        else:
            self.may |= shown
        self.begun = self.begun or done

    def look_in_part(self, number):
        self.source.whole = False
        self.look()
        self.source.whole = True

    def fail(self, number):
        self.source.problem = "down"
        self.look()
        self.source.problem = None

    def be_empty(self, number):
        shown, self.source.shown = self.source.shown, []
        self.look()
        self.source.shown = shown

    def die(self, number):
        """The polling process dies at one of its commits, or just after the last one."""
        made = []

        def copy(sql):
            if sql.upper().startswith("COMMIT"):
                made.append(snapshot(self.path))

        begun, sets = self.begun, (set(self.before), set(self.must), set(self.may))
        with statements_of_thread(copy):
            self.look()
        made.append(snapshot(self.path))
        self.begun, (self.before, self.must, self.may) = begun, sets
        self.go_on_from(made[number % len(made)])
        self.note()

    def go_on_from(self, rows):
        database.disconnect()
        restore(self.path, rows)
        connect(self.path)

    def be_overtaken(self, number):
        """During a poll another process polls, and completes it; the result of the first is discarded."""

        def overtake(ctx):
            self.source.during = lambda ctx: None
            self.look()

        self.source.during = overtake
        self.look()
        self.source.during = lambda ctx: None

    # Users and the clock

    def edit(self, number):
        changed = definition(backlog=self.backlog, settings={"vars": {"edited": self.count + number}})
        change(self.flow, changed)

    def edit_meanwhile(self, number):
        self.source.during = lambda ctx: self.edit(number)
        self.look()
        self.source.during = lambda ctx: None

    def stop_and_start(self, number):
        change(self.flow, status="draft")
        change(self.flow, status="active")

    def wait(self, ms):
        self.clock.pass_by(ms)

    def set_the_clock(self, ms):
        self.clock.jump(ms)

    def fill(self, number):
        """Poll with room for only a few runs; then these runs end."""
        self.look(most=2 * (number % 4) + 2)
        Run.update(status="success").execute()

    # Invariants

    def check(self):
        counts = Counter(fired(self.flow))
        assert not counts or max(counts.values()) == 1, "one entry, two runs"
        have = set(counts)
        assert not have & self.before, "was there before"
        assert self.must - self.before <= have, "was found, and has no run"
        assert have <= self.must | self.may, "a run of what nobody found"

    def check_order(self):
        """The runs of a poll have the order in which the source shows the entries."""
        found = fired(self.flow)
        latest = [key for key in found if key not in self.must | self.may]
        shown = list(dict.fromkeys(self.source.asked_for))
        assert latest == [key for key in shown if key in set(latest)]


class Watched(Source):
    """A source that records its last entries and the state returned with them."""

    asked_for = ()
    state_given = None

    def poll(self, node, config, state, ctx):
        shown = tuple(self.shown)
        polled = super().poll(node, config, state, ctx)
        count = len(self.asked)
        self.asked_for, self.state_given = shown, f'{{"polls":{count}}}'
        return polled._replace(state={"polls": count})


@settings(max_examples=examples(EXAMPLES), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(backlog=st.booleans(), steps=st.lists(STEPS, min_size=5, max_size=25))
def test_an_entry_found_by_a_completed_poll_has_one_run(backlog, steps):
    source = Watched()
    with TemporaryDirectory(dir=MEMORY) as name, watched(source), fresh_database(Path(name)):
        story = Story(Path(name), source, backlog)
        for what, with_ in steps:
            getattr(story, what.replace(" ", "_"))(with_)
            story.check()
        Run.update(status="success").execute()
        story.clock.now = now_ms()
        for _ in range(3):
            story.look()
        assert row(story.flow).last_error is None and Poll.select().count() == 1
        story.check()
        assert set(source.shown) <= story.must | story.before
