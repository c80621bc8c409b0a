"""Properties of flows with waiting nodes: in any order of answers, a run ends as if it had the answers at once."""

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from properties import examples
from test_engine_properties import BRANCHES, KINDS
from world import Types, add_flow, at_top, flow, fresh_database, node, process, run, run_of, steps_of

import definition as definitions
import engine
from database.queries import steps as step_queries
from definition import Pin
from dispatch import Start, StartOptions
from dispatch.payloads import Kept
from engine import Open, Settled
from errors import NodeError
from models import Run, Wait
from nodes.base import Answer, Branch, Suspend

MANY = settings(max_examples=examples(200), deadline=None)
WAITING = ("ask", "choose", "refuse")


@pytest.fixture(scope="module", autouse=True)
def types():
    """`ask`, `choose` (a branch, yes or no) and `refuse` (fails) wait; `ask_now` etc. return the same at once."""

    def ask(config):
        return {"answer": config["value"]}

    def choose(config):
        return Branch("yes" if config["value"] % 2 else "no", [config["value"]])

    def refuse(config):
        raise NodeError(f"refused {config['value']}")

    def burn(config, input, ctx):
        raise NodeError("burnt")

    with Types() as types:
        types.offer("burn", burn, pure=False)
        for name, give in (("ask", ask), ("choose", choose), ("refuse", refuse)):
            branches = ("yes", "no") if name == "choose" else ()
            types.offer(
                name,
                lambda config, input, ctx: Suspend(None, ctx.node_id),
                suspends=True,
                answers=("it",),
                branches=branches,
                resume=lambda self, config, input, answer, give=give: give(config),
            )
            types.offer(
                f"{name}_now",
                lambda config, input, ctx, give=give: give(config),
                branches=branches,
            )
        yield types


@st.composite
def flows(draw, most=7):
    """Draw a valid definition in which some nodes wait, in any order, and the same one without waiting."""
    nodes, edges = [], []
    for number in range(draw(st.integers(1, most))):
        waits = draw(st.booleans())
        made = (
            {"type": draw(st.sampled_from(WAITING)), "config": {"value": draw(st.integers(0, 3))}}
            if waits
            else dict(draw(KINDS))
        )
        made |= {"id": f"n{number}", "on_error": draw(st.sampled_from(["continue", "branch", "fail", "continue"]))}
        made |= {"disabled": draw(st.integers(0, 7)) == 0, "retry": {"attempts": draw(st.integers(1, 2)), "delay": 0}}
        looked_at = [node["id"] for node in nodes if node["type"] not in WAITING]
        if not waits and made["type"] == "noop" and looked_at and draw(st.booleans()):
            other = draw(st.sampled_from(looked_at))
            made |= {"type": "give", "config": {"value": f"{{{{ steps.{other} | default(none) }}}}"}}
        for source in draw(st.lists(st.sampled_from(nodes), unique_by=id, max_size=3)) if nodes else []:
            leaving = draw(st.lists(st.sampled_from(ways(source)), min_size=1, max_size=2, unique=True))
            edges += [[source["id"], made["id"], branch] for branch in leaving]
        nodes.append(made)
    made = flow(*nodes, edges=draw(st.permutations(edges)))
    at_once = [{**node, "type": f"{node['type']}_now"} if node["type"] in WAITING else node for node in nodes]
    return made, {**made, "nodes": at_once}


def ways(node):
    """Return the branches from which an edge can start."""
    own = ("yes", "no") if node["type"] == "choose" else BRANCHES.get(node["type"], (None,))
    return (*own, "error") if node["on_error"] == "branch" else own


def record_of(steps):
    """Return the record of these steps for `engine.Job`, without answers."""
    rows = {step.seq: step for step in steps}
    settled, tried, waiting = {}, {}, {}
    for step in sorted(rows.values()):
        key = (step.node_id, step.item_index)
        if step.status == "waiting":
            waiting[step.node_id] = Open(step.seq, step.attempt, step.started_at, "")
        elif step.status in ("success", "skipped") or step.output is not None:
            output = settled[step.same_as, None].output if step.same_as else orjson.loads(step.output or b"null")
            skipped = step.status == "skipped" and step.output is None and step.same_as is None
            settled[key] = Settled(output, step.branch, skipped)
        else:
            tried[key] = step.attempt
    return {"settled": settled, "tried": tried, "waiting": waiting, "first_seq": max(rows, default=-1) + 1}


def ends(steps):
    """Return the last step of each node as a whole."""
    last = {step.node_id: step for step in steps if at_top(step)}
    return {id_: (step.status, step.branch, step.error_text, step.attempt) for id_, step in last.items()}


def is_same_end(ended, whole):
    """Return True for the same outcome. The first answer decides which of several failures ends a run."""
    if whole.status == "failed":
        return ended.status == "failed"
    return (ended.status, ended.output) == (whole.status, whole.output)


@MANY
@given(flows(), st.data())
def test_in_any_order_of_answers_a_run_ends_as_if_no_node_had_waited(made, data):
    definition, at_once = made
    whole = run(at_once, {"x": 1})
    steps, record = [], record_of([])
    for _ in range(50):
        ran = run(definition, {"x": 1}, **record)
        steps += ran.steps
        if ran.status != "waiting":
            break
        record = record_of(steps)
        assert set(ran.waits) == set(record["waiting"])
        answered = data.draw(st.sets(st.sampled_from(sorted(ran.waits)), min_size=1), label="answered")
        for id_ in answered:
            record["waiting"][id_] = record["waiting"][id_]._replace(answer=Answer("it"))
    assert is_same_end(ran, whole)
    if whole.status == "success":
        assert ends(steps) == ends(whole.steps)
        numbers = [step.seq for step in steps if step.status not in ("running", "waiting")]
        assert len(set(numbers)) == len(numbers)


@MANY
@given(flows())
def test_a_waiting_node_delays_only_the_nodes_that_depend_on_it(made):
    """All nodes that need no answer are executed in the first pass."""
    definition, at_once = made
    ran, whole = run(definition, 1), run(at_once, 1)
    if ran.status != "waiting":
        assert is_same_end(ran, whole)
        return
    below = set(ran.waits)
    looks = {node["id"]: str(node.get("config", {})) for node in definition["nodes"]}
    for _ in definition["nodes"]:
        below |= {target for source, target, _ in definition["edges"] if source in below}
        below |= {id_ for id_, text in looks.items() if any(f"steps.{other} " in text for other in below)}
    reached = ends(ran.steps)
    if whole.status == "success":
        assert {id_: end for id_, end in reached.items() if end[0] != "waiting"} == {
            id_: end for id_, end in ends(whole.steps).items() if id_ not in below
        }


@st.composite
def starts(draw, definition):
    """Draw the start options of a run: half of them are empty."""
    if draw(st.booleans()):
        return None
    text = orjson.dumps(definition).decode() if draw(st.booleans()) else None
    nodes = definition["nodes"]
    until = draw(st.sampled_from([None, *(made["id"] for made in nodes)]))
    fixed = [made for made in nodes if draw(st.integers(0, 4)) == 0]
    pinned = {made["id"]: Pin(["pinned"], draw(st.sampled_from(ways(made)))) for made in fixed}
    return StartOptions(text, until, pinned)


def plan_of(definition, options):
    """Return the plan of a run with these start options."""
    plan = engine.plan(definition)
    return plan if options is None else definitions.select_part(plan, options.until, options.pinned)


@settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(flows(most=6), st.data())
def test_in_any_order_of_early_answers_and_restarts_a_run_ends_the_same(types, tmp_path_factory, made, data):
    """Uses the database, with another process for every pass; an answer can come before its question."""
    definition, at_once = made
    options = data.draw(starts(definition), label="options")
    plan = plan_of(definition, options)
    whole = run(plan_of(at_once, options), {"x": 1})
    folder = tmp_path_factory.mktemp("waits")
    types.effects.clear()
    with fresh_database(folder):
        is_draft = options is not None and options.definition is not None
        saved = add_flow(flow(node("saved", "fail")) if is_draft else definition)
        with process(folder, inline=True, inline_value_bytes=200) as dispatcher:
            id_ = dispatcher.submit(Start(saved, {"x": 1}, "manual", options=options)).run.id
        asked = [one.id for one in plan.nodes if one.type in WAITING and not one.disabled and one.pinned is None]
        early = data.draw(st.sets(st.sampled_from(asked)) if asked else st.just(set()), label="early")
        for _ in range(50):
            row = run_of(id_)
            if row.finished_at is not None:
                break
            with process(folder, inline=True, inline_value_bytes=200) as dispatcher:
                waiting = {step.node_id for step in step_queries.waiting(id_)}
                known = {wait.node_id for wait in Wait.select() if wait.answered_at is not None}
                open_ = sorted(waiting - known | (early - {step.node_id for step in steps_of(id_)} - known))
                dispatcher.answer(row, data.draw(st.sampled_from(open_), label="answered"), "it", None, None)
        row = run_of(id_)
        assert row.status == whole.status
        if whole.status == "success":
            assert dispatcher.resources.value(id_, "output", Kept(row.output, row.output_bytes)) == whole.output
            last = {step.node_id: step for step in steps_of(id_) if at_top(step)}
            assert {name: (step.status, step.branch) for name, step in last.items()} == {
                name: end[:2] for name, end in ends(whole.steps).items()
            }
            assert row.nodes_done == row.nodes_total == len(plan.nodes)
        succeeded = [key for key in types.effects if types.effects.count(key) > 1]
        assert not succeeded
        assert Wait.select().count() == 0 and not step_queries.waiting(id_) and Run.select().count() == 1
