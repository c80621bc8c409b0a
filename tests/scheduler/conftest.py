import pytest
from world import fresh_database


@pytest.fixture
def path(tmp_path):
    """A migrated database of its own."""
    with fresh_database(tmp_path) as path:
        yield path
