"""Values that repeat one large value: small in memory, huge as JSON. They are refused before they are written."""

import tracemalloc

import pytest
from world import Types, flow, node, run

LARGE = {"text": "x" * 100_000}
MAX_VALUE = 1_000_000


@pytest.fixture(autouse=True)
def types():
    with Types() as types:
        yield types


@pytest.fixture
def little_memory():
    """Assert that peak memory stays below 20 times the largest allowed value."""
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * MAX_VALUE


def test_a_config_that_repeats_a_large_value_is_refused(little_memory):
    values = {f"v{at}": "{{ input }}" for at in range(1_000)}
    ran = run(flow(node("a", "give", {"value": values})), LARGE, max_value_bytes=MAX_VALUE)
    assert ran.status == "failed" and "config.value exceeds the limit of" in ran.error_text


def test_a_config_of_many_small_values_is_allowed():
    values = {f"v{at}": "{{ input }}" for at in range(1_000)}
    assert run(flow(node("a", "give", {"value": values})), "small").output == dict.fromkeys(values, "small")


def test_a_foreach_that_returns_a_large_value_for_each_item_is_refused(little_memory):
    made = flow(
        node("a", "give", {"value": {"item": "{{ item }}", "all": "{{ trigger.large }}"}}, foreach="{{ input.items }}")
    )
    ran = run(made, {"large": LARGE, "items": list(range(1_000))}, max_value_bytes=MAX_VALUE)
    assert ran.status == "failed" and "the outputs of 10 items have" in ran.error_text


def test_a_join_of_many_large_values_is_refused(little_memory):
    many = [f"n{at}" for at in range(300)]
    made = flow("root", *many, "last", edges=[*(f"root {id_}" for id_ in many), *(f"{id_} last" for id_ in many)])
    ran = run(made, LARGE, max_value_bytes=MAX_VALUE)
    assert ran.status == "failed" and "what 300 nodes give together exceeds the limit of" in ran.error_text


def test_many_leaves_with_a_large_value_are_refused(little_memory):
    many = [f"n{at}" for at in range(300)]
    ran = run(flow("root", *many, edges=[f"root {id_}" for id_ in many]), LARGE, max_value_bytes=MAX_VALUE)
    assert ran.status == "failed" and "what 300 nodes give together exceeds the limit of" in ran.error_text
