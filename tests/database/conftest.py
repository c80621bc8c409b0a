import pytest
from races import Race
from world import add_flow, flow, fresh_database

import database


@pytest.fixture
def path(tmp_path):
    """A migrated database of its own."""
    with fresh_database(tmp_path) as path:
        yield path


@pytest.fixture(params=[False, True], ids=["without", "with"])
def race(request, shared_url, monkeypatch):
    """Two transactions, without the locks of their statements and with them."""
    database.connect(shared_url, "normal")
    race = Race(shared_url, monkeypatch, request.param)
    yield race
    race.close()
    database.disconnect()


@pytest.fixture
def made(path):
    """A flow."""
    return add_flow(flow("a"))
