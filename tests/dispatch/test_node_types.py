"""A run whose node types this process lacks is left to a process that has them."""

import pytest
from test_dispatch import add_run
from world import add_flow, chain, node, run_of, steps_of

from database.queries import leases
from nodes.base import REGISTRY


@pytest.fixture
def run_id(types):
    """A pending run of a flow with a node type that this process then lacks."""
    types.offer("special", lambda config, input, ctx: 5)
    run_id = add_run(add_flow(chain(node("a", "special"))))
    del REGISTRY["special"]
    return run_id


def test_a_run_is_left_to_a_process_with_its_node_types(inline, types, run_id):
    leases.beat("proc_other", 60_000, ["noop", "special"])
    inline.sweep()
    assert run_of(run_id).status == "pending" and run_of(run_id).claims == 0
    types.offer("special", lambda config, input, ctx: 5)  # this process is the other one now
    inline.sweep()
    assert (run_of(run_id).status, steps_of(run_id)[0].output) == ("success", "5")


def test_runs_left_to_others_delay_no_others(inline, run_id):
    leases.beat("proc_other", 60_000, ["special"])
    mine = add_run(add_flow(chain("a")))
    inline.sweep()
    assert run_of(mine).status == "success" and inline.is_open()


@pytest.mark.parametrize("left", [None, "silent", "other types"])
def test_a_run_fails_if_no_living_process_has_its_node_types(inline, run_id, left):
    if left is not None:
        leases.beat(
            "proc_other", -1 if left == "silent" else 60_000, ["noop"] if left == "other types" else ["special"]
        )
    inline.sweep()
    run = run_of(run_id)
    assert (run.status, run.error_kind) == ("failed", "config") and "there is no node type 'special'" in run.error_text


def test_a_run_fails_once_the_process_with_its_node_types_has_ended(inline, run_id):
    leases.beat("proc_other", 60_000, ["special"])
    inline.sweep()
    leases.end("proc_other")
    inline.sweep()
    assert run_of(run_id).status == "failed"


def test_a_process_publishes_its_node_types(inline):
    assert leases.has_node_types({"http", "noop"}) and not leases.has_node_types({"noop", "special"})
