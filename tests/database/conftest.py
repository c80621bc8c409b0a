import psycopg
import pytest
from races import Race
from tcp_proxy import TcpProxy
from world import add_flow, flow, fresh_database

import database
from database import fetch_value


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


@pytest.fixture
def proxy(fresh_url, postgres_server):
    """A proxy to a new database, through which this process is connected; by `url`; `direct` is that without it."""
    direct = fresh_url()
    with TcpProxy(("127.0.0.1", postgres_server.port)) as proxy:
        proxy.direct = f"{direct}?sslmode=disable"
        proxy.connect = lambda: psycopg.connect(proxy.direct, autocommit=True)
        proxy.url = proxy.direct.replace(f":{postgres_server.port}/", f":{proxy.port}/")
        database.connect(proxy.url, "normal")
        fetch_value("SELECT 1")
        yield proxy
        proxy.heal()
        database.disconnect()
