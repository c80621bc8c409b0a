"""Runs with options: a draft, a node to stop at, or pinned nodes. Otherwise they are like any other run."""

import orjson
import pytest
from crashes import crash_everywhere, first_run
from world import add_flow, chain, flow, node, run_of, steps_of

from database import execute
from database.queries import runs, waits, workflows
from definition import Pin
from dispatch import Start, StartOptions
from dispatch.payloads import Kept
from errors import BadInput, Conflict, DefinitionError, NotFound
from models import Run, RunOptions, Workflow, WorkflowVersion

SAVED = chain(node("a", "act"), node("b", "act", {"value": "saved"}), node("c", "act"))
DRAFT = chain(node("a", "act"), node("b", "act", {"value": "draft"}), node("c", "act"))


def text(definition):
    return orjson.dumps(definition).decode()


def begun(dispatcher, made=SAVED, input=1, flow=None, **options):
    """Start a run with these options, and return its row once the inline dispatcher has executed what it can."""
    given = StartOptions(**options)
    return run_of(dispatcher.submit(Start(flow or add_flow(made), input, "manual", options=given)).run.id)


def output(dispatcher, run):
    return dispatcher.resources.value(run.id, "output", Kept(run.output, run.output_bytes))


def nodes(run):
    return [step.node_id for step in steps_of(run.id)]


def test_a_draft_runs_instead_of_the_flow_and_does_not_change_it(inline):
    saved = add_flow(SAVED)
    run = begun(inline, flow=saved, definition=text(DRAFT))
    assert (run.status, output(inline, run), run.workflow_version, runs.draft(run)) == ("success", "draft", None, True)
    assert Workflow.get_by_id(saved.id) == saved and WorkflowVersion.select().count() == 1


def test_an_invalid_draft_leaves_nothing(inline):
    with pytest.raises(DefinitionError, match=r"nodes\[0\].type"):
        begun(inline, definition=text(chain(node("a", "nothing"))))
    assert Run.select().count() == RunOptions.select().count() == 0


def test_the_progress_of_a_partial_run_counts_only_its_nodes(inline):
    run = begun(inline, until="b")
    assert runs.progress(run) == {"done": 2, "total": 2} and nodes(run) == ["a", "b"]
    assert (runs.until(run), runs.draft(run), runs.pinned(run), run.workflow_version) == ("b", False, [], 1)


def test_an_ordinary_run_has_no_options(inline):
    run = run_of(inline.submit(Start(add_flow(SAVED), 1, "manual")).run.id)
    assert (run.options, runs.draft(run), runs.until(run), runs.pinned(run)) == (None, False, None, [])
    assert RunOptions.select().count() == 0


def test_pinned_outputs_have_the_size_limit_of_an_input(start):
    dispatcher = start(inline=True, inline_value_bytes=100, max_value_bytes=1_000)
    large = ["x" * 900]
    run = begun(dispatcher, chain("a", "b"), pinned={"a": Pin(large)})
    assert output(dispatcher, run) == large and RunOptions.get().value is None
    with pytest.raises(BadInput, match="pinned: the output has"):
        begun(dispatcher, chain("a", "b"), pinned={"a": Pin(["x" * 500]), "b": Pin(["x" * 500])})
    assert Run.select().count() == RunOptions.select().count() == 1


def test_a_run_over_the_concurrency_limit_leaves_no_options(start, gate):
    dispatcher = start(inline_value_bytes=10)
    busy = add_flow(flow(node("g", "gate"), "a", edges=["g a"], max_concurrent_runs=1, overlap="skip"))
    dispatcher.submit(Start(busy, 1, "manual", options=StartOptions(until="g")))
    assert gate.reached.wait(20)
    with pytest.raises(Conflict):
        dispatcher.submit(Start(busy, 1, "manual", options=StartOptions(pinned={"g": Pin("a long one")})))
    gate.opened.set()
    assert RunOptions.select().count() == 1 and len(list(dispatcher.resources.payloads.run_ids())) == 1


def test_a_key_returns_the_run_with_its_first_options(inline):
    saved = add_flow(SAVED)
    first = inline.submit(Start(saved, 1, "manual", key="k", options=StartOptions(until="a")))
    again = inline.submit(Start(saved, 1, "manual", key="k", options=StartOptions(until="c")))
    assert again.run.id == first.run.id and Run.select().count() == RunOptions.select().count() == 1


def test_the_options_of_a_run_are_deleted_with_it(inline):
    run = begun(inline, until="a")
    runs.remove(run)
    assert RunOptions.select().count() == 0


def test_a_draft_continues_after_its_flow_was_deleted(inline):
    saved = add_flow(SAVED)
    run = begun(inline, flow=saved, definition=text(chain(node("a", "ask"), node("b", "act"))))
    workflows.remove(saved)
    inline.answer(run, "a", "yes", 5, None)
    run = run_of(run.id)
    assert run.status == "success" and nodes(run) == ["a", "b"]


def test_a_partial_run_fails_if_its_flow_is_deleted_before_it_continues(inline):
    saved = add_flow(chain(node("a", "ask"), node("b", "act")))
    run = begun(inline, flow=saved, until="a")
    inline.resources.plans._kept.clear()
    execute("UPDATE runs SET waiting = NULL")
    workflows.remove(saved)
    inline.sweep()
    assert (run_of(run.id).status, run_of(run.id).error_text) == (
        "failed",
        "the flow was deleted before the run could start",
    )


def test_a_pinned_node_cannot_be_answered(inline):
    made = flow(node("a", "ask"), node("b", "ask"), "c", edges=["a c", "b c"])
    run = begun(inline, made, pinned={"a": Pin({"answer": "yes"})})
    assert run.waiting == "an answer for b"
    for id_ in ("a", "nothing"):
        with pytest.raises(NotFound):
            inline.answer(run, id_, "yes", None, None)


@pytest.mark.parametrize("lost", ["row", "file"])
def test_a_run_without_its_options_fails_and_delays_no_other(start, types, lost):
    """Without its options it would be a run of the whole flow."""
    dispatcher = start(inline=True, inline_value_bytes=10 if lost == "file" else 10_000)
    saved = add_flow(chain(node("a", "ask"), node("b", "act"), node("c", "act")))
    run, other = begun(dispatcher, flow=saved, until="b"), begun(dispatcher, flow=saved, until="c")
    for one in (run, other):
        waits.settle(one.id, "a", "yes", "5", None, None)
    if lost == "row":
        RunOptions.delete().where(RunOptions.run_id == run.id).execute()
    else:
        dispatcher.resources.payloads.remove(run.id)
    dispatcher.sweep()
    run = run_of(run.id)
    assert (run.status, run.error_text) == ("failed", "the options of the run are no longer stored; start a new run")
    assert run_of(other.id).status == "success" and {key.split(":")[0] for key in types.effects} == {other.id}
    with pytest.raises(Conflict, match="no longer stored"):
        dispatcher.retry(run, "start", None)


@pytest.mark.sqlite_only("PostgreSQL has values in rows")
def test_a_run_with_unreadable_options_waits_and_delays_no_other(start):
    dispatcher = start(inline=True, inline_value_bytes=10)
    saved = add_flow(chain(node("a", "ask"), node("b", "act")))
    run, other = begun(dispatcher, flow=saved, until="b"), begun(dispatcher, flow=saved, until="b")
    for one in (run, other):
        waits.settle(one.id, "a", "yes", "5", None, None)
    file = dispatcher.resources.payloads.folder / run.id / "options.json"
    whole = file.read_bytes()
    file.write_bytes(whole[:10])
    dispatcher.sweep()
    assert (run_of(run.id).status, run_of(other.id).status) == ("pending", "success")
    file.write_bytes(whole)
    dispatcher.sweep()
    assert run_of(run.id).status == "success"


# Retries


def failing(word):
    return chain(node("a", "act"), node("b", "act", {"value": word}), node("c", "fail"), node("d", "act"))


def test_a_draft_is_retried_with_the_same_definition(inline, types):
    run = begun(inline, definition=text(failing("draft")))
    assert run.error_node_id == "c"
    types.effects.clear()
    again = run_of(inline.retry(run, "start", None).run.id)
    assert (runs.draft(again), again.workflow_version, again.retry_of, again.error_node_id) == (True, None, run.id, "c")
    assert [key.split(":")[1] for key in types.effects] == ["a", "b"]
    types.effects.clear()
    assert nodes(run_of(inline.retry(again, "failed", "same").run.id)) == ["a", "b", "c"] and not types.effects


@pytest.mark.parametrize("version", ["latest", 1])
def test_a_draft_cannot_be_retried_with_a_version_of_the_flow(inline, version):
    run = begun(inline, definition=text(failing("draft")))
    with pytest.raises(Conflict, match="version: must be `same`"):
        inline.retry(run, "start", version)


def test_a_partial_run_is_retried_with_the_same_options_and_by_default_the_same_version(inline):
    saved = add_flow(failing("one"))
    run = begun(inline, flow=saved, until="c", pinned={"a": Pin("pinned")})
    assert workflows.change(saved, None, definition_json=text(failing("two")), triggers=())
    for version, number, given in ((None, 1, "one"), ("same", 1, "one"), ("latest", 2, "two")):
        again = run_of(inline.retry(run, "start", version).run.id)
        steps = {step.node_id: step.output for step in steps_of(again.id)}
        options = (again.workflow_version, runs.until(again), runs.pinned(again))
        assert (*options, list(steps)) == (number, "c", ["a"], ["a", "b", "c"])
        assert steps["a"] == '"pinned"' and steps["b"] == f'"{given}"'


def test_a_partial_run_cannot_be_retried_with_a_version_without_its_node(inline):
    saved = add_flow(failing("one"))
    run = begun(inline, flow=saved, until="c")
    assert workflows.change(saved, None, definition_json=text(chain("a")), triggers=())
    with pytest.raises(BadInput, match="until: there is no node 'c'"):
        inline.retry(run, "start", "latest")
    assert Run.select().count() == 1


def test_large_options_are_shared_with_the_retry(start):
    dispatcher = start(inline=True, inline_value_bytes=10)
    run = begun(dispatcher, chain("a", node("b", "fail")), pinned={"a": Pin("a long one, for a file")})
    again = run_of(dispatcher.retry(run, "failed", None).run.id)
    dispatcher.resources.payloads.remove(run.id)
    runs.remove(run)
    assert dispatcher.resources.options_of(again).pinned == {"a": Pin("a long one, for a file")}
    assert nodes(run_of(dispatcher.retry(again, "start", None).run.id)) == ["a", "b"]


# Crashes

WAITING = flow(
    node("a", "act"),
    node("ask", "ask"),
    node("b", "act", {"value": "{{ steps.ask.value }}"}),
    node("pinned", "act"),
    node("join", "act"),
    node("end", "act"),
    edges=["a ask", "ask b", "a pinned", "b join", "pinned join", "join end"],
)


@pytest.mark.parametrize("is_draft", [True, False], ids=["draft", "saved"])
def test_a_waiting_partial_run_interrupted_anywhere_reaches_the_same_result(tmp_path, types, is_draft):
    options = StartOptions(text(WAITING) if is_draft else None, "join", {"pinned": Pin({"n": "x" * 50})})

    def submit(dispatcher):
        flow = add_flow(chain(node("saved", "fail")) if is_draft else WAITING)
        dispatcher.submit(Start(flow, 1, "manual", options=options))

    def answer(dispatcher):
        dispatcher.answer(first_run(), "ask", "yes", 5, "me")

    crash_everywhere(tmp_path, types, [submit, answer])
    run = first_run()
    assert run.status == "success" and [step.node_id for step in steps_of(run.id)] == [
        "a",
        "ask",
        "pinned",
        "b",
        "join",
    ]
