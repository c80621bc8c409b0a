"""Fixtures for the tests of the `sql` node."""

import pytest

from errors import NodeError


@pytest.fixture(params=["postgres", pytest.param("mysql", marks=pytest.mark.slow)])
def sql_server(request):
    """Each database server in turn; starting MySQL takes seconds."""
    return request.getfixturevalue(f"{request.param}_server")


@pytest.fixture
def ask(run):
    """Return `ask(database, statement, **config)`, which runs the statement; `context` is passed to `make_ctx`."""

    def ask(database, statement, params=None, context=None, **config):
        config |= {"credential": "shop", "statement": statement} | ({} if params is None else {"params": params})
        return run("sql", config, credentials=database.credentials, **(context or {}))

    return ask


@pytest.fixture
def fails(ask):
    def fails(*args, **config):
        with pytest.raises(NodeError) as caught:
            ask(*args, **config)
        return caught.value

    return fails
