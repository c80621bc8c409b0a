"""The node `table` on a real database."""

import pytest
from contract import Case, Contract
from world import fresh_database

from database.queries.store import WorkspaceStore
from errors import NodeError
from packs.tables import queries

pytestmark = pytest.mark.postgres


@pytest.fixture
def table(run, make_ctx, tmp_path):
    """`table(operation, …)` runs the node on the table `orders`, each time as another step."""
    steps = iter(range(1_000))
    with fresh_database(tmp_path):
        queries.make_table("ws_1", "orders", [("number", "text"), ("total", "number"), ("paid", "boolean")])

        def call(operation, input=None, key=None, name="orders", **config):
            ctx, _ = make_ctx()
            ctx.store, ctx.idempotency_key = WorkspaceStore("ws_1"), key or f"run_1:n{next(steps)}:0"
            return run("table", {"operation": operation, "table": name, **config}, input, ctx=ctx)

        yield call


def plain(row):
    """Return a row without what the server sets."""
    return {key: value for key, value in row.items() if key not in ("id", "created_at", "updated_at")}


def test_an_object_is_one_row_and_a_list_several(table):
    row = table("insert", values={"number": "A1", "total": 5})
    assert plain(row) == {"number": "A1", "total": 5, "paid": None}
    rows = table("insert", input=[{"number": "A2"}, {"number": "A3"}])
    assert [row["number"] for row in rows] == ["A2", "A3"]
    assert table("count") == {"count": 3}


def test_rows_are_listed_by_conditions_in_an_order(table):
    table("insert", input=[{"number": f"A{n}", "total": n, "paid": n % 2 == 0} for n in range(6)])
    listed = table("list", where={"total": {"gte": 1, "lt": 5}, "paid": False}, sort="-total")
    assert [row["total"] for row in listed] == [3, 1]
    assert len(table("list", limit=4)) == 4
    found = table("list", where={"total": {"lt": 1}, "number": "A5"}, match="any")
    assert [row["number"] for row in found] == ["A0", "A5"]
    assert table("get", where={"number": "A4"})["total"] == 4
    assert table("get", where={"number": "B"}) is None


def test_rows_are_changed_by_conditions(table):
    table("insert", input=[{"number": "A1", "total": 1}, {"number": "A2", "total": 2}])
    assert table("upsert", values={"number": "A2", "paid": True}, column="number")["total"] == 2
    assert [row["paid"] for row in table("upsert", input=[{"number": "A3"}], column="number")] == [None]
    assert table("update", where={"number": {"ne": "A2"}}, values={"paid": False}) == {"updated": 2}
    assert table("increment", where={"number": "A1"}, column="total", by=1.5) == {"updated": 1, "value": 2.5}
    assert table("increment", where={"number": "A3"}, column="total") == {"updated": 1, "value": 1}
    assert table("delete", where={"paid": False}) == {"deleted": 2}
    assert [row["number"] for row in table("list")] == ["A2"]


def test_a_repeated_step_writes_once(table):
    first = table("insert", values={"number": "A1", "total": 1}, key="run_1:a:0")
    assert table("insert", values={"number": "A1", "total": 1}, key="run_1:a:0") == first
    for _ in range(3):
        assert table("increment", where={"number": "A1"}, column="total", key="run_1:b:0")["value"] == 2
    assert table("count") == {"count": 1}


def test_a_missing_table_is_made_on_request(table):
    with pytest.raises(NodeError, match="There is no table 'visits'"):
        table("insert", values={"page": "home"}, name="visits")
    assert plain(table("insert", values={"page": "home", "n": 1}, name="visits", create=True)) == {
        "page": "home",
        "n": 1,
    }


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"operation": "insert", "values": 5}, "must be an object"),
        ({"operation": "insert", "values": {"numbr": 1}}, "no column 'numbr'"),
        ({"operation": "insert", "values": {"id": "row_1"}}, "set by the server"),
        ({"operation": "insert", "values": {"total": "x"}}, "total: .* is not a number"),
        ({"operation": "upsert", "values": {"number": "A"}}, "column is required"),
        ({"operation": "upsert", "values": {"total": 1}, "column": "number"}, "needs a value"),
        ({"operation": "update", "values": [{}], "where": {"total": 1}}, "must be one object"),
        ({"operation": "delete"}, "where: is required"),
        ({"operation": "list", "where": {"total": {"near": 1}}}, "'near' must be one of eq"),
        ({"operation": "list", "where": [1]}, "where: must be an object"),
        ({"operation": "increment", "where": {"total": 1}, "column": "number"}, "type number"),
    ],
)
def test_a_mistake_is_a_permanent_error_that_says_what_to_do(table, config, words):
    with pytest.raises(NodeError, match=words) as caught:
        table(**config)
    assert caught.value.permanent


def test_without_a_database_it_says_so(run, make_ctx):
    ctx, _ = make_ctx()
    ctx.store = None
    with pytest.raises(NodeError, match="not available"):
        run("table", {"operation": "count", "table": "orders"}, ctx=ctx)


@pytest.fixture
def case_table():
    return Case(config={"operation": "insert", "table": "orders", "values": {"number": "A1"}})


class TestTheTableKeepsTheContract(Contract):
    type_ = "table"

    @pytest.fixture
    def make_ctx(self, make_ctx, tmp_path):
        with fresh_database(tmp_path):
            queries.make_table("ws_1", "orders", [("number", "text")])

            def make(**options):
                ctx, lines = make_ctx(**options)
                ctx.store = WorkspaceStore("ws_1")
                return ctx, lines

            yield make
