"""A value that is handed on many times is small in memory and huge when it is written: that is refused before it is."""

import tracemalloc

import pytest
from world import Types, flow, node, run

LARGE = {"text": "x" * 100_000}
MOST = 1_000_000


@pytest.fixture(autouse=True)
def types():
    with Types() as types:
        yield types


@pytest.fixture
def little_memory():
    """No more than some times the largest value may be in use at any moment."""
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * MOST


def test_a_config_that_repeats_a_large_value_is_refused(little_memory):
    values = {f"v{at}": "{{ input }}" for at in range(1_000)}
    ran = run(flow(node("a", "give", {"value": values})), LARGE, max_value_bytes=MOST)
    assert ran.status == "failed" and "config.value exceeds the limit of" in ran.error_text


def test_a_config_of_many_small_values_is_none_of_these():
    values = {f"v{at}": "{{ input }}" for at in range(1_000)}
    assert run(flow(node("a", "give", {"value": values})), "small").output == dict.fromkeys(values, "small")


def test_a_foreach_that_gives_a_large_value_for_each_item_is_refused(little_memory):
    made = flow(
        node("a", "give", {"value": {"item": "{{ item }}", "all": "{{ trigger.large }}"}}, foreach="{{ input.items }}")
    )
    ran = run(made, {"large": LARGE, "items": list(range(1_000))}, max_value_bytes=MOST)
    assert ran.status == "failed" and "the outputs of 10 items have" in ran.error_text


def test_many_nodes_that_hand_on_a_large_value_to_one_are_refused(little_memory):
    many = [f"n{at}" for at in range(300)]
    made = flow("root", *many, "last", edges=[*(f"root {id_}" for id_ in many), *(f"{id_} last" for id_ in many)])
    ran = run(made, LARGE, max_value_bytes=MOST)
    assert ran.status == "failed" and "what 300 nodes give together exceeds the limit of" in ran.error_text


def test_many_leaves_that_hand_on_a_large_value_are_refused(little_memory):
    many = [f"n{at}" for at in range(300)]
    ran = run(flow("root", *many, edges=[f"root {id_}" for id_ in many]), LARGE, max_value_bytes=MOST)
    assert ran.status == "failed" and "what 300 nodes give together exceeds the limit of" in ran.error_text
