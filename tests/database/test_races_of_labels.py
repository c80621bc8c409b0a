"""Races on PostgreSQL of folders, tags and saved filters. Each is run without its locks, and with them."""

from functools import partial

import peewee
import pytest
from races import outcomes, value
from world import add_flow, flow

from database.queries import saved_filters, workflows
from database.queries.audit import NewAuditEntry
from database.queries.workflows import LabelChange
from errors import Conflict, NotFound

pytestmark = pytest.mark.slow

FILTER = {"workspace_id": "ws_1", "user_id": "usr_a", "page": "runs", "query": "{}"}


def label(made, **values):
    """Return the change of a flow's labels, as a function."""
    return lambda: LabelChange(**values).record("ws_1", [made], lambda: NewAuditEntry("flow.updated", "ws_1"))


def test_a_flow_labelled_while_it_is_deleted_leaves_no_labels(race):
    made = add_flow(flow("a"))
    found = outcomes(race.run(partial(workflows.remove, made), label(made, moves=True, folder="A", added=("x",))))
    assert found == [True, NotFound if race.cured else 1]
    left = [
        value(f"SELECT COUNT(*) FROM workflow_{name} WHERE workflow_id = ?", made.id) for name in ("folders", "tags")
    ]
    assert left == ([0, 0] if race.cured else [1, 1])


def test_a_flow_marked_while_it_is_deleted_leaves_no_mark(race):
    made = add_flow(flow("a"))
    race.run(partial(workflows.remove, made), lambda: workflows.set_favourite("usr_a", made.id, True))
    assert value("SELECT COUNT(*) FROM favourites WHERE workflow_id = ?", made.id) == (0 if race.cured else 1)


def test_two_people_together_do_not_exceed_the_number_of_folders(race, monkeypatch):
    monkeypatch.setattr(workflows, "MAX_FOLDERS", 1)
    one, other = add_flow(flow("a"), "ws_2"), add_flow(flow("b"), "ws_2")

    def move(made, folder):
        return lambda: LabelChange(True, folder).record("ws_2", [made], lambda: NewAuditEntry("flow.updated"))

    assert outcomes(race.run(move(one, "A"), move(other, "B"))) == [1, Conflict if race.cured else 1]
    assert value("SELECT COUNT(*) FROM workflow_folders WHERE workspace_id = 'ws_2'") == (1 if race.cured else 2)


def test_of_two_saved_filters_of_one_name_the_second_is_refused_with_a_reason(race):
    name = f"Failed {race.cured}"
    found = race.run(*[lambda: saved_filters.save_new(name=name, **FILTER).name] * 2)
    assert outcomes(found) == [name, Conflict if race.cured else peewee.IntegrityError]
