import psycopg
import pytest
from tcp_proxy import TcpProxy

import database
from database import fetch_value


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
