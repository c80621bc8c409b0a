"""Loops whose items wait: sub-flows, questions, pauses and rate limits of items."""

import pytest
from crashes import crash_everywhere, first_run
from dispatching import called, children, finished, nothing_waits, output, submit, wait_for
from world import PATIENCE, add_flow, chain, flow, node, run_of, steps_of

from database import execute, write
from database.base import now_ms
from database.queries import waits
from dispatch import Start
from errors import Conflict, NodeError, NotFound
from models import DataRow, Run
from packs.tables import queries


def items_of(run, node_id="c"):
    """Return the status, index and output of each item's last step."""
    rows = [step for step in steps_of(run.id) if step.node_id == node_id and step.item_index is not None]
    return [(step.item_index, step.status, step.output) for step in rows]


def each(made, items, **more):
    """Return a flow that runs another one for each item, then acts once."""
    config = {"workflow_id": made.id, "input": "{{ item }}"}
    return chain(node("c", "subflow", config, foreach=items, **more), node("end", "act"))


def test_a_loop_over_a_flow_returns_the_outputs_in_the_order_of_the_items(inline, types):
    made = called(node("b", "act", {"value": "{{ input * 2 }}"}))
    run = submit(inline, each(made, "{{ input }}"), [1, 2, 3])
    assert (run_of(run.id).status, output(inline, run_of(run.id))) == ("success", [2, 4, 6])
    assert [child.parent_node_id for child in children(run)] == ["c:0", "c:1", "c:2"]
    assert items_of(run) == [(0, "success", "2"), (1, "success", "4"), (2, "success", "6")]
    assert nothing_waits() and run_of(run.id).claims == 2


@pytest.mark.parametrize("concurrency", [1, 2, 7])
def test_at_most_so_many_runs_of_a_loop_are_open(inline, types, concurrency):
    seen = []

    def count(config, input, ctx):
        open_ = Run.select().where(Run.status.in_(["pending", "running"]), Run.waiting.is_null(), Run.depth == 1)
        seen.append(open_.count())
        return input

    types.offer("count", count, pure=False)
    run = submit(inline, each(called(node("b", "count")), list(range(5)), concurrency=concurrency))
    assert output(inline, run_of(run.id)) == [0, 1, 2, 3, 4]
    assert max(seen) <= concurrency and seen[0] == min(concurrency, 5)


def test_a_failed_run_of_a_loop_ends_it_and_the_others_do_not_start(inline, types):
    types.offer("odd", lambda config, input, ctx: 1 // (input % 2), pure=False)
    run = submit(inline, each(called(node("b", "odd")), [1, 3, 2, 5, 7]))
    row = run_of(run.id)
    assert row.status == "failed" and row.error_node_id == "c" and row.error_text.startswith("item 2: the run run_")
    assert [child.status for child in children(run)] == ["success", "success", "failed"]
    assert nothing_waits()
    assert [one[:2] for one in items_of(run)][:3] == [(0, "success"), (1, "success"), (2, "failed")]


def test_runs_of_a_failed_loop_that_have_started_are_awaited(start, types, gate):
    types.offer("bad", lambda config, input, ctx: gate(config, input, ctx) if input else 1 / 0, pure=False)
    one = start(run_threads=3)
    run = submit(one, each(called(node("b", "bad")), [1, 0, 1, 1], concurrency=2))
    for _ in range(int(PATIENCE * 20)):
        if any(child.status == "failed" for child in children(run)) and run_of(run.id).status == "pending":
            break
        gate.reached.wait(0.05)
    gate.opened.set()
    assert finished(one, run).status == "failed"
    assert [child.status for child in children(run)] == ["success", "failed"]


def test_a_loop_may_continue_after_failures(inline, types):
    types.offer("odd", lambda config, input, ctx: 1 // (input % 2), pure=False)
    run = submit(inline, each(called(node("b", "odd")), [1, 2, 4, 3], on_error="continue"))
    found = output(inline, run_of(run.id))
    assert [found[0], found[3]] == [1, 1] and [one["index"] for one in found[1:3]] == [1, 2]
    assert found[1]["error"].startswith("the run run_") and run_of(run.id).claims == 2


def test_a_failed_run_of_a_loop_is_tried_again(inline, types):
    tries = []

    def once(config, input, ctx):
        tries.append(input)
        return 1 // (tries.count(input) - 1)

    types.offer("second", once, pure=False)
    retry = {"attempts": 2, "delay": 0}
    run = submit(inline, each(called(node("b", "second")), [1, 2, 3], retry=retry))
    assert output(inline, run_of(run.id)) == [1, 1, 1]
    assert sorted(tries) == [1, 1, 2, 2, 3, 3] and len(children(run)) == 6


def test_a_cancelled_loop_starts_nothing_more(start, gate):
    one = start(run_threads=2)
    run = submit(one, each(called(node("b", "gate")), list(range(20)), concurrency=2))
    assert gate.reached.wait(PATIENCE)
    one.cancel(run_of(run.id), "Ada")
    gate.opened.set()
    assert finished(one, run).error_text == "cancelled by Ada"
    assert {child.status for child in children(run)} == {"failed"} and len(children(run)) <= 3
    assert nothing_waits()


def test_a_repeated_run_keeps_the_items_that_ended(start, types):
    broken = [True]

    def act(config, input, ctx):
        if input == 2 and broken:
            raise ValueError("broken")
        types.effects.append(input)
        return input

    types.offer("effect", act, pure=False)
    one = start(inline=True)
    run = submit(one, each(called(node("b", "effect")), [0, 1, 2, 3]))
    assert run_of(run.id).status == "failed"
    broken.clear()
    again = one.retry(run_of(run.id), "failed", None)
    assert output(one, finished(one, again.run)) == [0, 1, 2, 3]
    assert [effect for effect in types.effects if isinstance(effect, int)] == [0, 1, 2, 3]


def test_items_start_with_a_delay_between_them(start, types):
    one = start(inline=True)
    began = now_ms()
    run = submit(one, each(called("b"), [0, 1, 2], delay=0.2, concurrency=3))
    while run_of(run.id).finished_at is None:
        one.wake()
    starts = [child.started_at for child in children(run)]
    assert output(one, run_of(run.id)) == [0, 1, 2]
    assert [at - began >= 195 * number for number, at in enumerate(starts)] == [True] * 3


def test_a_loop_over_an_empty_list_ends_at_once(inline):
    run = submit(inline, each(called("b"), []))
    assert output(inline, run_of(run.id)) == [] and nothing_waits()


@pytest.mark.parametrize("more", [{"concurrency": 2}, {"on_error": "continue", "retry": {"attempts": 2, "delay": 0}}])
def test_a_loop_that_crashes_at_any_moment_does_each_item_once(tmp_path, types, more):
    def act_or_fail(config, input, ctx):
        types.effects.append(ctx.idempotency_key)
        if input == 1 and "on_error" in more:
            raise NodeError("no")
        return input

    types.offer("act_or_fail", act_or_fail, pure=False)

    def story(dispatcher):
        made = called(node("b", "act_or_fail"))
        dispatcher.submit(Start(add_flow(each(made, [0, 1, 2], **more), name="Parent"), 0, "manual"))

    moments = crash_everywhere(tmp_path, types, [story])
    assert len(moments) > 8
    assert {run.status for run in Run.select() if run.workflow_name == "Parent"} == {"success"}


# Questions


def ask_each(type_="choose", **more):
    """Return a flow that asks for each item, with a node after each branch."""
    made = chain(node("w", type_, foreach="{{ input }}", **more), "said")
    made["edges"] = [["w", "said", "yes"]] if type_ == "choose" else made["edges"]
    return made


def test_each_item_asks_a_question_of_its_own_and_they_are_answered_in_any_order(inline):
    run = submit(inline, ask_each(), [1, 2, 3])
    assert run_of(run.id).waiting == "3 items"
    for index in (2, 0, 1):
        assert run_of(run.id).status == "pending"
        inline.answer(run_of(run.id), f"w:{index}", "yes", f"answer {index}", None)
    assert output(inline, run_of(run.id)) == ["answer 0", "answer 1", "answer 2"]
    assert nothing_waits() and run_of(run.id).claims == 2


def test_only_so_many_questions_are_open_at_once(inline):
    run = submit(inline, ask_each(concurrency=2), [1, 2, 3])
    assert [index for index, status, _ in items_of(run, "w") if status == "waiting"] == [0, 1]
    inline.answer(run_of(run.id), "w:1", "yes", "b", None)
    assert [index for index, status, _ in items_of(run, "w") if status == "waiting"] == [0, 2]
    for index, answer in ((2, "c"), (0, "a")):
        inline.answer(run_of(run.id), f"w:{index}", "yes", answer, None)
    assert output(inline, run_of(run.id)) == ["a", "b", "c"]


def test_a_question_of_an_item_is_answered_once_and_only_at_its_place(inline):
    run = submit(inline, ask_each(), [1, 2])
    with pytest.raises(NotFound):
        inline.answer(run_of(run.id), "w", "yes", 1, None)
    with pytest.raises(Conflict, match="no question"):
        inline.answer(run_of(run.id), "w:7", "yes", 1, None)
    inline.answer(run_of(run.id), "w:0", "yes", 1, None)
    with pytest.raises(Conflict, match="already"):
        inline.answer(run_of(run.id), "w:0", "yes", 1, None)


def test_large_answers_of_items_do_not_mix(start):
    one = start(inline=True, inline_value_bytes=10)
    run = submit(one, ask_each(), [1, 2])
    for index in (0, 1):
        one.answer(run_of(run.id), f"w:{index}", "yes", f"a long answer {index}", None)
    assert output(one, run_of(run.id)) == ["a long answer 0", "a long answer 1"]


def test_a_crash_at_any_moment_of_a_loop_of_questions_asks_each_once(tmp_path, types):
    def answer(index):
        return lambda dispatcher: dispatcher.answer(first_run(), f"w:{index}", "yes", index, None)

    stories = [lambda one: one.submit(Start(add_flow(ask_each()), [1, 2], "manual")), answer(1), answer(0)]
    assert len(crash_everywhere(tmp_path, types, stories)) > 4


# Pauses, rounds and rates


def test_a_repeated_node_waits_without_a_thread_and_counts_its_rounds(start, types, monkeypatch):
    monkeypatch.setattr("node_execution.SHORT_PAUSE", 0.05)
    one = start(inline=True)
    types.offer("count", lambda config, input, ctx: types.effects.append(1) or len(types.effects), pure=False)
    run = submit(one, chain(node("a", "count", repeat={"until": "{{ output == 3 }}", "every": 0.1}), "end"))
    assert run_of(run.id).status == "pending" and run_of(run.id).waiting == "round 2 of at most 100"
    assert output(one, wait_for(one, run)) == 3
    assert [(s.node_id, s.status) for s in steps_of(run.id)] == [
        ("a", "repeated"), ("a", "repeated"), ("a", "success"), ("end", "success"),
    ]  # fmt: skip
    assert nothing_waits()


def test_many_short_pauses_hold_no_thread(start, types, monkeypatch):
    monkeypatch.setattr("node_execution.MIN_WAIT", 0.02)
    monkeypatch.setattr("node_execution.SHORT_PAUSE", 0.05)
    one = start(inline=True)
    types.offer("count", lambda config, input, ctx: types.effects.append(1) or len(types.effects), pure=False)
    run = submit(one, chain(node("a", "count", repeat={"until": "{{ output == 6 }}", "every": 0.02})))
    # After two pauses in the thread, the third one would be too long with them.
    assert len(types.effects) == 3 and run_of(run.id).waiting == "round 4 of at most 100"
    assert output(one, wait_for(one, run)) == 6 and len(types.effects) == 6


def test_a_flow_is_run_again_until_its_output_is_right(inline, types):
    types.offer("count", lambda config, input, ctx: types.effects.append(1) or len(types.effects), pure=False)
    made = called(node("b", "count"))
    repeat = {"until": "{{ output >= 2 + item }}", "every": 0}
    run = submit(inline, each(made, [0, 1], repeat=repeat))
    # While an item waits for its next round, the next item begins.
    assert output(inline, run_of(run.id)) == [3, 4]


def test_a_rate_limit_is_shared_by_the_nodes_of_its_key(start, types, monkeypatch):
    monkeypatch.setattr("node_execution.SHORT_PAUSE", 0.0)
    one = start(inline=True)
    times = []
    types.offer("call", lambda config, input, ctx: times.append(now_ms()), pure=False)
    rate = {"calls": 2, "per": 0.4, "key": "k"}
    made = chain(node("a", "call", foreach=[1, 2, 3], rate=rate), node("b", "call", rate=rate))
    began = now_ms()
    assert wait_for(one, submit(one, made)).status == "success"
    assert len(times) == 4 and times[2] - began >= 400 and times[3] - times[1] >= 400


def test_items_that_run_at_once_are_recorded_each_once(start, types):
    one = start(run_threads=2)
    made = chain(node("a", "act", {"value": "{{ item }}"}, foreach=list(range(40)), concurrency=8), node("e", "act"))
    run = submit(one, made)
    assert output(one, finished(one, run)) == list(range(40))
    assert sorted(types.effects) == sorted([*(f"{run.id}:a:{n}" for n in range(40)), f"{run.id}:e:0"])
    steps = [step for step in steps_of(run.id) if step.item_index is not None]
    assert [step.status for step in steps] == ["success"] * 40 and len({step.seq for step in steps}) == 40


def test_a_crash_at_any_moment_of_items_at_once_repeats_no_recorded_one(tmp_path, types):
    made = chain(node("a", "act", foreach=[1, 2, 3, 4], concurrency=3), node("e", "act"))
    crash_everywhere(tmp_path, types, [lambda one: one.submit(Start(add_flow(made), 0, "manual"))])


def test_a_routed_loop_resumes_with_its_lists(inline):
    check = node("check", "if", {"condition": "{{ item > 1 }}"}, foreach="{{ input }}")
    made = flow(check, node("w", "ask"), "small", edges=["check w true", "check small false"])
    run = submit(inline, made, [1, 2, 3])
    inline.answer(run_of(run.id), "w", "yes", 5, None)
    assert output(inline, run_of(run.id)) == {"w": {"answer": "yes", "value": 5, "by": None}, "small": [1]}


# The timeout of a flow ends a run whatever it waits for, and `for_at_most` the rounds of a `repeat`


TIMEOUT = 0.2
RATE = {"calls": 1, "per": 3600, "key": "k"}


def ask(**more):
    return node("a", "approval", {"message": "Go?", "timeout": 86_400}, **more)


WAITS = {
    "a time": lambda: chain(node("a", "wait", {"seconds": 3600})),
    "people": lambda: chain(ask()),
    "a callback": lambda: chain(node("a", "callback", {"timeout": 86_400})),
    "a flow": lambda: chain(node("a", "subflow", {"workflow_id": called(node("b", "wait", {"seconds": 3600})).id})),
    "a round": lambda: chain(node("a", "act", repeat={"until": "{{ false }}", "every": 3600})),
    "many rounds": lambda: chain(node("a", "act", repeat={"until": "{{ false }}", "every": 0.05, "at_most": 1000})),
    "an attempt": lambda: chain(node("a", "broken", retry={"attempts": 9, "delay": 3600})),
    "its turn": lambda: chain(node("first", "act", rate=RATE), node("a", "act", rate=RATE)),
    "a turn of an item": lambda: chain(node("a", "act", foreach=[1, 2], rate=RATE)),
    "items": lambda: chain(ask(foreach=[1, 2, 3])),
    "items one by one": lambda: chain(ask(foreach=[1, 2, 3], concurrency=1)),
    "flows one by one": lambda: chain(
        node(
            "a", "subflow", {"workflow_id": called(node("b", "wait", {"seconds": 3600})).id}, foreach=[1, 2, 3],
            concurrency=1,
        )
    ),
    "a delay between items": lambda: chain(node("a", "act", foreach=[1, 2], delay=3600)),
    "two nodes": lambda: flow("start", ask(), node("b", "wait", {"seconds": 3600}), edges=["start a", "start b"]),
}  # fmt: skip


@pytest.fixture
def one(start, types):
    def broken(config, input, ctx):
        raise RuntimeError("no")

    types.offer("broken", broken, pure=False)
    return start(inline=True)


@pytest.mark.parametrize("waits_for", WAITS)
def test_a_run_ends_at_the_timeout_of_its_flow(one, waits_for):
    made = WAITS[waits_for]()
    made["settings"] = {"timeout": TIMEOUT}
    began = now_ms()
    run = submit(one, made, [1])
    row = wait_for(one, run)
    assert (row.status, row.error_kind) == ("failed", "timeout"), row.error_text
    assert row.error_node_id in ("a", "b") and f"timeout of {TIMEOUT:g} s" in row.error_text
    assert TIMEOUT * 1000 <= row.finished_at - began < 10_000
    assert not [step for step in steps_of(run.id) if step.status in ("running", "waiting")]
    assert not waits.of(run.id)


def test_a_long_wait_within_the_timeout_is_not_shortened(one):
    run = submit(one, {**chain(node("a", "wait", {"seconds": 0.2}), "end"), "settings": {"timeout": 3600}})
    assert wait_for(one, run).status == "success" and nothing_waits()


def test_without_a_timeout_of_the_flow_waits_do_not_count(one):
    run = submit(one, chain(ask()))
    (wait,) = waits.of(run.id).values()
    assert wait.wake_at > now_ms() + 86_000_000


def test_the_timeout_of_an_approval_before_that_of_the_flow_is_its_branch(one):
    made = flow(node("a", "approval", {"message": "Go?", "timeout": 1}), node("late", "act"), edges=["a late timeout"])
    run = submit(one, {**made, "settings": {"timeout": 3600}})
    with write():
        execute("UPDATE waits SET wake_at = ? WHERE run_id = ?", (now_ms(), run.id))
    assert wait_for(one, run).status == "success"


def test_a_link_is_closed_at_the_timeout_of_the_flow(one):
    run = submit(one, {**chain(ask()), "settings": {"timeout": 3600}})
    ends_at = run_of(run.id).started_at + 3_600_000
    assert waits.of(run.id)["a"].wake_at == ends_at
    assert waits.explain_closed(run.id, "a", ends_at) == "The time to answer is over"


def test_a_run_whose_machine_has_a_slow_clock_takes_no_branch_at_the_timeout(one):
    """It was woken at its end by another machine."""
    made = flow(ask(), node("late", "act"), edges=["a late timeout"])
    run = submit(one, {**made, "settings": {"timeout": 3600}})
    waits.wake(run_of(run.id).started_at + 3_600_000)
    row = wait_for(one, run)
    assert (row.status, row.error_kind, row.error_node_id) == ("failed", "timeout", "a")


# for_at_most


def test_rounds_end_after_their_time_over_all_pauses(one, types, monkeypatch):
    monkeypatch.setattr("node_execution.SHORT_PAUSE", 0.0)
    repeat = {"until": "{{ false }}", "every": 0.2, "for_at_most": 0.5}
    run = submit(one, chain(node("a", "act", repeat=repeat)))
    row = wait_for(one, run)
    assert (row.status, row.error_kind, row.error_node_id) == ("failed", "limit", "a")
    began = [int(key.rpartition(":")[2]) for key in types.effects]  # the rounds, by their idempotency keys
    assert 1 <= len(began) <= 3
    said = "1 round" if len(began) == 1 else f"{len(began)} rounds"
    assert row.error_text == f"repeat: its condition was not met after {said} (for_at_most 0.5 s)"


def test_a_round_that_is_woken_too_late_does_not_begin(one, types):
    repeat = {"until": "{{ false }}", "every": 60, "for_at_most": 100}
    run = submit(one, chain(node("a", "act", repeat=repeat)))
    with write():
        execute("UPDATE steps SET started_at = started_at - 101000 WHERE run_id = ?", (run.id,))
        execute("UPDATE waits SET wake_at = ? WHERE run_id = ?", (now_ms(), run.id))
    row = wait_for(one, run)
    assert row.error_text == "repeat: its condition was not met after 1 round (for_at_most 100 s)"
    assert len(types.effects) == 1


def test_the_time_of_rounds_counts_from_the_first_one_after_a_restart(one):
    repeat = {"until": "{{ false }}", "every": 60, "for_at_most": 100}
    run = submit(one, chain(node("a", "act", repeat=repeat)))
    assert run_of(run.id).waiting == "round 2 of at most 100"
    with write():
        execute("UPDATE steps SET started_at = started_at - 61000 WHERE run_id = ?", (run.id,))
        execute("UPDATE waits SET wake_at = ? WHERE run_id = ?", (now_ms(), run.id))
    row = wait_for(one, run)
    assert row.error_text == "repeat: its condition was not met after 2 rounds (for_at_most 100 s)"


def test_no_attempt_begins_after_the_time_of_the_rounds(one):
    repeat = {"until": "{{ false }}", "for_at_most": 5}
    row = run_of(submit(one, chain(node("a", "broken", repeat=repeat, retry={"attempts": 9, "delay": 60}))).id)
    assert row.status == "failed" and "RuntimeError" in row.error_text


def test_the_time_of_rounds_ends_a_node_that_is_executed(one, types):
    def slow(config, input, ctx):
        while True:
            ctx.pause(ctx.seconds_left(10))

    types.offer("slow", slow, pure=False)
    repeat = {"until": "{{ false }}", "for_at_most": 0.3}
    row = run_of(submit(one, chain(node("a", "slow", repeat=repeat))).id)
    assert row.error_text == "repeat: its condition was not met after 1 round (for_at_most 0.3 s)"
    assert row.error_kind == "limit"


def test_a_loop_measures_the_time_of_each_item(one):
    repeat = {"until": "{{ item == 1 }}", "every": 60, "for_at_most": 5}
    made = chain(node("a", "act", foreach=[1, 2, 1], repeat=repeat, on_error="continue"))
    run = submit(one, made)
    row = run_of(run.id)
    assert row.status == "success"
    assert "for_at_most 5 s" in row.output and row.output.count("error") == 1


# Runs that write to tables, and a crash at any moment: every write is done once


def write_rows(id_, operation, **config):
    return node(id_, "table", {"operation": operation, "table": "orders", **config})


@pytest.mark.pack("tables")
def test_a_crash_at_any_moment_repeats_no_write(tmp_path, types):
    queries.make_table("ws_1", "orders", [("number", "text"), ("total", "number")])
    one = {"number": "A1"}
    made = chain(
        write_rows("insert", "insert", values={**one, "total": 0}),
        write_rows("add", "increment", where=one, column="total", by=2),
        node("act", "act"),
        write_rows("more", "increment", where=one, column="total", by="{{ steps.add.value }}"),
        write_rows("again", "upsert", values={"number": "A2", "total": "{{ input.value }}"}, column="number"),
        write_rows("sums", "list", sort="number"),
        node("end", "give", {"value": "{{ [steps.sums[0].total, steps.sums[1].total] }}"}),
    )
    submit = [lambda dispatcher: dispatcher.submit(Start(add_flow(made), 1, "manual"))]
    moments = crash_everywhere(tmp_path, types, submit, inline_value_bytes=8)
    assert len(moments) > 6 and first_run().status == "success", first_run().error_text
    assert DataRow.select().count() == 2
