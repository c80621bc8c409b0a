import pytest
from contract import Case, Contract

from errors import NodeError


@pytest.fixture
def store(run, make_ctx):
    """`store(operation, …)` runs the node, always with the same data; `store.ctx` has its context."""
    ctx, _ = make_ctx()

    def execute(operation, **config):
        return run("store", {"operation": operation, **config}, ctx=ctx)

    execute.ctx = ctx
    return execute


def test_a_value_that_was_set_is_returned(store):
    assert store("set", key="a", value={"b": 1}) == {"b": 1}
    assert store("get", key="a") == {"b": 1}


def test_a_missing_key_is_null(store):
    assert store("get", key="a") is None


def test_delete_returns_whether_the_key_existed(store):
    store("set", key="a", value=1)
    assert store("delete", key="a") == {"deleted": True}
    assert store("delete", key="a") == {"deleted": False}


def test_increment_adds_one_or_the_value(store):
    assert [store("increment", key="n"), store("increment", key="n", value=5)] == [1, 6]


@pytest.mark.parametrize("value", ["1", None, True, [1]])
def test_increment_refuses_a_value_that_is_not_a_number(store, value):
    with pytest.raises(NodeError, match="must be a number for increment"):
        store("increment", key="n", value=value)


def test_increment_of_a_stored_text_fails_and_names_the_key(store):
    store("set", key="name", value="Ada")
    with pytest.raises(NodeError, match="the value under 'name' is not a number"):
        store("increment", key="name")


def test_list_uses_the_key_as_a_prefix(store):
    for key in ("b:2", "b:1", "a"):
        store("set", key=key, value=key)
    assert [entry["key"] for entry in store("list", key="b:")] == ["b:1", "b:2"]
    assert len(store("list")) == 3


def test_a_ttl_is_stored_with_the_value(store):
    store("set", key="a", value=1, ttl=60)
    assert store.ctx.store.ttls == {"a": 60}


def test_a_number_as_key_is_converted_to_text(store):
    store("set", key=42, value=1)
    assert store("get", key="42") == 1


@pytest.mark.parametrize("operation", ["get", "set", "delete", "increment"])
def test_all_operations_except_list_require_a_key(store, operation):
    with pytest.raises(NodeError, match=f"key is required for the operation {operation}") as caught:
        store(operation)
    assert caught.value.permanent


@pytest.fixture
def case_store():
    return Case(config={"operation": "set", "key": "a", "value": {"b": 1}})


class TestTheStoreKeepsTheContract(Contract):
    type_ = "store"
