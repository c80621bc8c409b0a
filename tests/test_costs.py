"""What starting the server costs: no library that only some node needs."""

from test_layers import LAZY
from world import said, start_python

START = """
import sys
import workflow_server
from config import Config
workflow_server.create_app(Config.from_env({"HEADRACE_DATA_DIR": sys.argv[1]}), tell=False)
print(*sys.modules)
"""
# What something else that is needed at once loads: apispec reads docstrings as YAML, APScheduler knows of asyncio. A
# new database needs playhouse, the server's key cryptography, and the first login argon2.
NEEDED = {"argon2", "asyncio", "cryptography", "playhouse", "yaml"}


def test_a_first_start_loads_nothing_that_only_some_nodes_need(tmp_path):
    loaded = set(said(start_python(START, tmp_path)))
    assert "peewee" in loaded
    assert loaded & (LAZY - NEEDED) == set()
    assert loaded & {"psycopg", "pymysql", "requests", "pydantic"} == set()
