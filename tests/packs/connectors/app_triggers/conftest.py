"""A server for all tests of a module: see tests/support/api_server.py."""

import pytest
from api_server import app, config, first_config, furnished, ids, shared_server, template  # noqa: F401


@pytest.fixture
def client(app):  # noqa: F811
    """Somebody who is not logged in."""
    return app.test_client()
