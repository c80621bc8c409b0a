"""Fixtures with a server: see tests/support/api_server.py."""

from api_server import app, client, config, first_config, furnished, ids, shared_server, template  # noqa: F401
