"""Fixtures with a server: see tests/support/api_server.py."""

import pytest
from api_server import app, config, first_config, furnished, ids, shared_server, template  # noqa: F401
from world import fresh_database


@pytest.fixture
def path(tmp_path):
    """A migrated database of its own."""
    with fresh_database(tmp_path) as path:
        yield path
