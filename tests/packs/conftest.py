"""Fixtures that execute one node: see tests/support/node_contexts.py."""

from node_contexts import (  # noqa: F401
    client,
    make_ctx,
    mysql,
    mysql_server,
    postgres,
    run,
    sandbox,
    serve_bytes,
    sqlite,
    tools,
)
