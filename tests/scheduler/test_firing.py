"""Due schedules fire once; `catch_up` decides on missed times; errors are in the log."""

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moments import DAY, HOUR, MINUTE, SECOND, START, at, config, fires, logged, row, runs, schedule, sync, utc
from properties import examples
from query_plans import explain, is_full
from world import add_flow, at_once, flow, fresh_database, raced

from database import execute, write
from database.queries import runs as run_queries
from database.queries import schedules, workflows
from database.queries.metrics import metrics
from database.queries.schedules import GRACE_MS
from models import LogEntry, Run, Schedule, ScheduleFire, Workflow, WorkflowVersion
from scheduler.firing import MAX_CAUGHT_UP, MAX_COUNTED, decide, fire_due, format_duration, get_fire_times, watch

pytestmark = pytest.mark.usefixtures("path")


# On time


def test_an_instant_becomes_a_pending_run():
    made = schedule(every=60)
    assert fire_due(START + 59_999) == []
    (id_,) = fire_due(START + 60_400)
    (run,) = runs()
    assert (run.id, run.status, run.triggered_by, run.trigger_node) == (id_, "pending", "schedule", "tick")
    assert (run.workflow_id, run.workflow_name, run.workspace_id) == (made.id, "Flow", "ws_1")
    assert orjson.loads(run.input) == {"scheduled_for": utc(START + MINUTE), "fired_at": utc(START + 60_400)}
    (fire,) = ScheduleFire.select()
    assert (fire.instant, fire.run_id, fire.fired_at, fire.note) == (START + MINUTE, id_, START + 60_400, None)
    assert row(made).next_at == START + 2 * MINUTE
    assert logged() == []


def test_a_run_has_the_version_of_the_flow_at_that_moment():
    made = schedule(every=60)
    fire_due(START)
    same = [("tick", "schedule", {"every": 60, "timezone": "UTC", "catch_up": "last"})]
    workflows.change(made, None, triggers=same, definition_json=orjson.dumps(flow("other")).decode())
    fire_due(START + MINUTE)
    assert runs()[0].workflow_version == 2
    assert WorkflowVersion.select().where(WorkflowVersion.version == 2).count() == 1


def test_a_cron_schedule_fires_by_its_time_zone():
    made = schedule(at("2024-03-30 12:00"), cron="30 2 * * *", timezone="Europe/Berlin")
    fire_due(at("2024-03-30 12:00"))
    assert row(made).next_at == at("2024-03-31 03:00", "Europe/Berlin")
    fire_due(at("2024-03-31 01:00"))
    assert fires() == [at("2024-03-31 01:00")]
    assert row(made).next_at == at("2024-04-01 00:30")


def test_several_schedules_of_a_flow_fire_for_themselves():
    made = add_flow(flow("a"))
    sync(made, fast=config(every=20), slow=config(every=60))
    fire_due(START + MINUTE)
    assert sorted((run.trigger_node, orjson.loads(run.input)["scheduled_for"]) for run in runs()) == [
        ("fast", utc(START + 20 * SECOND)),
        ("fast", utc(START + 40 * SECOND)),
        ("fast", utc(START + MINUTE)),
        ("slow", utc(START + MINUTE)),
    ]


@pytest.mark.parametrize("status", ["draft", "archived"])
def test_a_flow_that_is_not_active_does_not_fire(status):
    made = schedule(every=60)
    workflows.change(made, None, status=status)
    assert fire_due(START + MINUTE) == []
    assert (runs(), fires(), Schedule.select().count()) == ([], [], 0)


def test_a_deleted_flow_does_not_fire():
    made = schedule(every=60)
    other = schedule(every=60)
    workflows.remove(made)
    fire_due(START + MINUTE)
    assert [run.workflow_id for run in runs()] == [other.id]


def test_a_schedule_without_any_date_waits_for_ever():
    made = schedule(cron="0 0 */31 * MON#5")
    fire_due(START)
    assert row(made).next_at is None
    assert fire_due(START + 400 * DAY) == []
    assert schedules.overdue(START + 400 * DAY) == 0


def test_an_unreadable_schedule_is_logged_and_delays_no_other():
    broken = schedule(cron="0 12 * * *", timezone="Mars/Olympus")
    good = schedule(every=60)
    fire_due(START + MINUTE)
    assert fires() == fires(good) == [START + MINUTE]
    assert row(broken).next_at is None
    ((level, message),) = logged()
    assert level == "error" and "tick" in message and "Mars/Olympus" in message


# Once


def back_to(made, instant):
    """As if the instant had not been dealt with."""
    with write():
        execute("UPDATE schedules SET next_at = ? WHERE workflow_id = ?", (instant, made.id))


def test_an_instant_that_has_fired_never_fires_again():
    made = schedule(every=60)
    fire_due(START + MINUTE)
    back_to(made, START + MINUTE)
    assert fire_due(START + MINUTE) == []
    assert len(runs()) == 1 and row(made).next_at == START + 2 * MINUTE


def test_a_fired_instant_does_not_fire_again_after_deletion_of_its_run():
    made = schedule(START - HOUR, cron="* * * * *")
    fire_due(START)
    for run in runs():
        run_queries.remove(run)
    sync(made)
    sync(made, START - MINUTE, tick=config(cron="* * * * *"))
    assert fire_due(START) == []


def test_leaders_in_several_threads_fire_once():
    for _ in range(60):
        schedule(every=60)
    ids = at_once(4, lambda number: fire_due(START + MINUTE))
    assert len({id_ for some in ids for id_ in some}) == sum(map(len, ids)) == 60
    assert len(runs()) == len(fires()) == 60


@pytest.mark.slow
def test_leaders_in_several_processes_fire_once(path):
    for _ in range(200):
        schedule(every=5, catch_up="all")
    source = """
import sys, database
from chosen_engine import connect
from scheduler.firing import fire_due
connect(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for second in range(0, 40, 3):
    print(*fire_due(int(sys.argv[2]) + second * 1000))
database.disconnect()
"""
    ids = raced(3, source, path, START)
    assert len(ids) == len(set(ids)) == 200 * 7
    assert {run.id for run in runs()} == set(ids)
    assert len(fires()) == 200 * 7


def test_a_transaction_that_fails_half_way_leaves_nothing():
    for _ in range(5):
        schedule(every=60)
    before = sorted(found.next_at for found in Schedule.select())
    asked = []

    def may_start(flow):
        asked.append(flow.id)
        if len(asked) == 3:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fire_due(START + MINUTE, may_start)
    assert (runs(), fires()) == ([], [])
    assert sorted(found.next_at for found in Schedule.select()) == before
    assert len(fire_due(START + MINUTE)) == 5


# Too late


def test_within_the_grace_every_instant_fires_whatever_the_policy():
    for policy in ("none", "last", "all"):
        made = schedule(every=10, catch_up=policy)
        fire_due(START + 70_000)
        assert fires(made) == [START + second * SECOND for second in range(10, 80, 10)]
    assert logged() == []


@pytest.mark.parametrize(
    ("policy", "hours", "told"),
    [
        ("none", [], "no missed times are fired"),
        ("last", [5], f"only the latest missed time, {utc(START + 5 * HOUR)}, is fired"),
        ("all", [1, 2, 3, 4, 5], "all 5 missed times are fired"),
    ],
)
def test_after_downtime_the_policy_decides(policy, hours, told):
    made = schedule(every=3600, catch_up=policy)
    fire_due(START)
    now = START + 5 * HOUR + 30 * MINUTE
    ids = fire_due(now)
    assert [run.id for run in runs()] == ids
    assert [orjson.loads(run.input)["scheduled_for"] for run in runs()] == [utc(START + hour * HOUR) for hour in hours]
    assert row(made).next_at == START + 6 * HOUR
    ((level, message),) = logged()
    assert level == "warning"
    assert message == (
        f"The schedule tick of the flow Flow was due at {utc(START + HOUR)}, 4 h 30 min ago; "
        f"by its catch_up policy ({policy}), {told}"
    )
    entry = LogEntry.get()
    assert (entry.workspace_id, entry.run_id, entry.node_id) == ("ws_1", None, "tick")
    assert orjson.loads(entry.data) == {
        "workflow_id": made.id,
        "due_at": utc(START + HOUR),
        "late_seconds": 4 * 3600 + 30 * 60,
        "catch_up": policy,
        "fired": len(hours),
    }


@pytest.mark.parametrize(("policy", "minutes"), [("none", [9, 10]), ("last", [8, 9, 10]), ("all", range(1, 11))])
def test_instants_within_the_grace_fire_in_addition_to_missed_ones(policy, minutes):
    schedule(cron="* * * * *", catch_up=policy)
    fire_due(START)
    fire_due(START + 10 * MINUTE)
    assert fires() == [START + minute * MINUTE for minute in minutes]


def test_the_edge_of_the_grace():
    schedule(every=3600, catch_up="none")
    fire_due(START)
    fire_due(START + HOUR + GRACE_MS)
    assert fires() == [START + HOUR]
    fire_due(START + 2 * HOUR + GRACE_MS + 1)
    assert fires() == [START + HOUR] and len(logged()) == 1


def test_a_delay_is_logged_once():
    schedule(every=3600)
    fire_due(START)
    for second in range(5):
        fire_due(START + 5 * HOUR + 1_800_000 + second * 500)
    assert len(logged()) == len(runs()) == 1


def test_the_newest_thousand_are_made_up_for_and_the_rest_is_counted():
    made = schedule(every=60, catch_up="all")
    fire_due(START)
    end = START + 1500 * MINUTE + 90_000
    assert len(fire_due(end)) == MAX_CAUGHT_UP + 1
    late = [instant for instant in fires(made) if instant < end - GRACE_MS]
    assert late == [START + minute * MINUTE for minute in range(501, 1501)]
    ((_, message),) = logged()
    assert message.endswith("the latest 1000 missed times are fired; 500 are dropped")


def test_a_very_long_downtime_is_not_counted_to_its_end():
    made = schedule(every=1, catch_up="all")
    fire_due(START)
    (due,) = schedules.due(START + 2 * DAY, 10)
    decision = decide(due, START + 2 * DAY)
    edge = START + 2 * DAY - GRACE_MS - SECOND
    assert decision.instants[0] == edge - (MAX_CAUGHT_UP - 1) * SECOND
    assert decision.instants == list(range(edge - (MAX_CAUGHT_UP - 1) * SECOND, START + 2 * DAY + 1, SECOND))
    assert decision.next_at == START + 2 * DAY + SECOND and row(made).next_at == START + SECOND
    assert f"more than {MAX_COUNTED - MAX_CAUGHT_UP} are dropped" in decision.missed.message


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (999, "0 s"),
        (61_000, "1 min 1 s"),
        (HOUR, "1 h"),
        (HOUR + 5_000, "1 h"),
        (3 * DAY + 2 * HOUR + MINUTE, "3 d 2 h"),
    ],
)
def test_a_delay_is_logged_in_two_units(ms, text):
    assert format_duration(ms) == text


# Not to be started


def test_a_flow_that_may_not_start_is_skipped_and_logged():
    busy, free = schedule(every=60), schedule(every=60)
    ids = fire_due(START + MINUTE, lambda flow: "one is running" if flow.id == busy.id else None)
    assert [run.workflow_id for run in runs()] == [free.id] and len(ids) == 1
    fire = ScheduleFire.get(ScheduleFire.workflow_id == busy.id)
    assert (fire.run_id, fire.note) == (None, "skipped: one is running")
    assert logged() == [
        ("warning", f"The schedule tick of the flow Flow did not start a run at {utc(START + MINUTE)}: one is running")
    ]


def test_a_skipped_instant_does_not_fire_later():
    made = schedule(every=60)
    fire_due(START + MINUTE, lambda flow: "no")
    back_to(made, START + MINUTE)
    assert fire_due(START + MINUTE) == [] and len(logged()) == 1


def test_may_start_is_called_after_each_run():
    made = schedule(every=10, catch_up="all")

    def one_at_a_time(flow):
        waiting = Run.select().where((Run.workflow_id == flow.id) & (Run.status == "pending")).count()
        return f"{waiting} are pending" if waiting else None

    fire_due(START + 30 * SECOND, one_at_a_time)
    assert len(runs(made)) == 1
    assert [fire.note for fire in ScheduleFire.select().order_by(ScheduleFire.instant)] == [
        None,
        "skipped: 1 are pending",
        "skipped: 1 are pending",
    ]


# No process fires


def test_an_overdue_schedule_is_logged_once():
    schedule(every=60)
    other = schedule(workspace="ws_2", every=3600)
    fire_due(START)
    now = START + MINUTE + GRACE_MS
    assert (watch(now), schedules.overdue(now)) == (0, 0)
    assert sum(at_once(4, lambda number: watch(now + 1))) == 1
    assert watch(now + 30_000) == 0
    assert logged() == [
        (
            "warning",
            f"The schedule tick of the flow Flow is overdue since {utc(START + MINUTE)} (1 min): no process fires it",
        )
    ]
    assert schedules.overdue(now + 1) == 1
    assert (schedules.overdue(now + 1, "ws_1"), schedules.overdue(now + 1, "ws_2")) == (1, 0)
    assert schedules.overdue(START + 2 * HOUR, "ws_2") == 1
    assert other.workspace_id == "ws_2"


def test_the_end_of_a_delay_is_logged_as_info_and_the_next_delay_again():
    schedule(every=600)
    fire_due(START)
    watch(START + 20 * MINUTE)
    fire_due(START + 25 * MINUTE)
    watch(START + 40 * MINUTE)
    assert [level for level, _ in logged()] == ["warning", "info", "warning"]
    assert schedules.overdue(START + 25 * MINUTE) == 0


def test_the_metrics_of_a_workspace_have_its_overdue_schedules():
    schedule(at("2020-01-01 00:00"), every=60)
    schedule(at("2020-01-01 00:00"), workspace="ws_2", every=60)
    schedule(at("2120-01-01 00:00"), every=60)
    assert metrics("ws_1", 1)["overdue_schedules"] == 1


# Old fires


def test_firings_of_a_month_ago_are_deleted_except_the_newest():
    kept, gone = schedule(every=60), schedule(every=60)
    fire_due(START + MINUTE)
    fire_due(START + 2 * MINUTE)
    sync(gone)
    late = START + 30 * DAY + 2 * MINUTE
    assert schedules.prune_fires(late) == 2
    assert fires(kept) == [START + 2 * MINUTE] and fires(gone) == [START + 2 * MINUTE]
    assert schedules.prune_fires(late + 1) == 1
    assert fires(kept) == [START + 2 * MINUTE] and fires(gone) == []


def test_pruning_continues_until_nothing_is_left(monkeypatch):
    monkeypatch.setattr("database.queries.schedules.FIRES_AT_ONCE", 10)
    made = schedule(every=1)
    fire_due(START + 35 * SECOND)
    assert schedules.prune_fires(START + 31 * DAY) == 34
    assert fires(made) == [START + 35 * SECOND]


# Many


@pytest.mark.slow
def test_a_thousand_due_schedules_fire_at_once():
    with write():
        for number in range(1_000):
            schedule(**({"cron": "1 12 * * *", "timezone": "UTC"} if number % 2 else {"every": 60}))
    fire_due(START)
    assert len(fire_due(START + MINUTE)) == 1_000
    assert len({run.workflow_id for run in runs()}) == len(runs()) == 1_000
    assert fires() == [START + MINUTE] * 1_000
    assert fire_due(START + MINUTE + 500) == []


QUESTIONS = {
    "due": lambda: schedules.due(START, 500),
    "overdue": lambda: schedules.overdue(START),
    "overdue of a workspace": lambda: schedules.overdue(START, "ws_1"),
    "watch": lambda: watch(START + DAY),
    "fire": lambda: fire_due(START + DAY),
    "prune": lambda: schedules.prune_fires(START + 90 * DAY),
    "sync": lambda: sync(Workflow(id="wf_1", workspace_id="ws_1"), START, tick=config(every=1)),
}


JOINS = ("watch", "fire", "prune")
PLANNED = pytest.mark.sqlite_only("PostgreSQL reads small tables whole to join them")


@pytest.mark.parametrize("question", [pytest.param(name, marks=PLANNED if name in JOINS else ()) for name in QUESTIONS])
def test_a_question_uses_an_index(question, caplog):
    schedule(every=60)
    fire_due(START + MINUTE)
    steps = [step for _, step in explain(QUESTIONS[question], caplog)]
    assert steps and not [step for step in steps if is_full(step) or "TEMP B-TREE" in step], steps


# All of it at random

RHYTHMS = st.one_of(
    st.builds(lambda every: {"every": every}, st.sampled_from([1, 1.5, 7, 60, 90, 3600])),
    st.builds(
        lambda cron, timezone: {"cron": cron, "timezone": timezone},
        st.sampled_from(["* * * * *", "*/7 * * * *", "30 2 * * *", "0,30 1-3 * * *", "0 * * * SUN"]),
        st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
    ),
)
BEGINNINGS = [at(text) for text in ("2024-03-31 00:50", "2024-10-27 00:50", "2024-04-06 14:50", "2024-10-05 15:20")]


@given(
    st.lists(st.tuples(RHYTHMS, st.sampled_from(["none", "last", "all"])), min_size=1, max_size=4),
    st.sampled_from(BEGINNINGS),
    st.lists(st.integers(0, GRACE_MS), min_size=1, max_size=40),
    st.integers(1, 3),
)
@settings(max_examples=examples(60), deadline=None)
def test_every_instant_fires_once_at_any_times_of_ticks(tmp_path_factory, wanted, begin, gaps, leaders):
    with fresh_database(tmp_path_factory.mktemp("random")):
        made = [schedule(begin, catch_up=policy, **fire_times) for fire_times, policy in wanted]
        now = begin
        for gap in gaps:
            now += gap
            for _ in range(leaders):
                fire_due(now)
        for one in made:
            (due,) = [due for due in schedules.due(10**15, 10) if due.workflow_id == one.id]
            expected = list(get_fire_times(due).between(begin, now))
            assert fires(one) == expected
            assert [orjson.loads(run.input)["scheduled_for"] for run in runs(one)] == [
                utc(moment) for moment in expected
            ]
        assert logged() == []
