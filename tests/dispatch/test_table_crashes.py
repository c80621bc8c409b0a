"""Runs that write to tables, and a crash at any moment: every write is done once."""

import pytest
from crashes import crash_everywhere, first_run
from world import add_flow, chain, node

from dispatch import Start
from models import DataRow
from packs.tables import queries

pytestmark = pytest.mark.postgres


def write(id_, operation, **config):
    return node(id_, "table", {"operation": operation, "table": "orders", **config})


def test_a_crash_at_any_moment_repeats_no_write(tmp_path, types):
    queries.make_table("ws_1", "orders", [("number", "text"), ("total", "number")])
    one = {"number": "A1"}
    made = chain(
        write("insert", "insert", values={**one, "total": 0}),
        write("add", "increment", where=one, column="total", by=2),
        node("act", "act"),
        write("more", "increment", where=one, column="total", by="{{ steps.add.value }}"),
        write("again", "upsert", values={"number": "A2", "total": "{{ input.value }}"}, column="number"),
        write("sums", "list", sort="number"),
        node("end", "give", {"value": "{{ [steps.sums[0].total, steps.sums[1].total] }}"}),
    )
    submit = [lambda dispatcher: dispatcher.submit(Start(add_flow(made), 1, "manual"))]
    moments = crash_everywhere(tmp_path, types, submit, inline_value_bytes=8)
    assert len(moments) > 6 and first_run().status == "success", first_run().error_text
    assert DataRow.select().count() == 2
