"""What starting the server costs: no library that only some node needs."""

from test_layers import LAZY
from world import start_python

START = """
import sys
import workflow_server
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""
# What something else that is needed at once loads: apispec reads docstrings as YAML, APScheduler knows coroutines.
NEEDED = {"playhouse", "yaml", "asyncio"}


def test_starting_loads_nothing_that_only_some_nodes_need():
    process = start_python(START)
    loaded = set(process.communicate(timeout=60)[0].split())
    assert "peewee" in loaded and process.returncode == 0
    assert loaded & (LAZY - NEEDED) == set()
    assert loaded & {"psycopg", "pymysql", "requests", "pydantic"} == set()
