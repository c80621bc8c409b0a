"""What starting the server costs: nothing that only some node or some request needs."""

import copy

from test_layers import LAZY
from world import said, start_python

from schemas import Login

START = """
import gc
import sys
import workflow_server
from config import Config
workflow_server.create_app(Config.from_env({"HEADRACE_DATA_DIR": sys.argv[1]}), print_login=False)
"""
# What something else that is needed at once loads: apispec reads docstrings as YAML, APScheduler knows of asyncio,
# Werkzeug of parts of email and http. A new database needs playhouse, the server's key cryptography, and the first
# login argon2.
NEEDED = {"argon2", "asyncio", "cryptography", "email", "http", "playhouse", "yaml"}


def test_a_first_start_loads_nothing_that_only_some_nodes_need(tmp_path):
    loaded = set(said(start_python(START + "print(*sys.modules)", tmp_path)))
    assert "peewee" in loaded
    assert loaded & (LAZY - NEEDED) == set()
    assert loaded & {"psycopg", "pymysql", "requests", "pydantic", "email.policy", "http.cookiejar"} == set()


def test_a_start_does_not_describe_the_api(tmp_path):
    made = set(said(start_python(START + "print(*{type(one).__name__ for one in gc.get_objects()})", tmp_path)))
    assert "App" in made and "APISpec" not in made


def test_a_start_does_not_look_through_what_it_has_imported_for_garbage(tmp_path):
    state = "print(gc.get_stats()[2]['collections'], gc.get_freeze_count() > 50_000, gc.isenabled())"
    assert said(start_python(START + state, tmp_path)) == ["0", "True", "True"]


def test_a_schema_is_not_copied_for_each_decorator_of_a_view():
    schema = Login()
    assert copy.deepcopy({"schema": schema})["schema"] is schema
