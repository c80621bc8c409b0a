import pytest
from world import add_flow, flow, fresh_database


@pytest.fixture
def path(tmp_path):
    """A migrated database of its own."""
    with fresh_database(tmp_path) as path:
        yield path


@pytest.fixture
def made(path):
    """A flow."""
    return add_flow(flow("a"))
