"""What starting the server costs: nothing that only some node or some request needs."""

import copy

import pytest
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
END = "|"
TELL = """
print(*sys.modules, "|")
print(gc.get_stats()[2]["collections"], gc.get_freeze_count() > 50_000, gc.isenabled(), "|")
print(*{type(one).__name__ for one in gc.get_objects()}, "|")
"""
# What something else that is needed at once loads: apispec reads docstrings as YAML, APScheduler knows of asyncio,
# Werkzeug of parts of email and http. A new database needs playhouse, the server's key cryptography, and the first
# login argon2.
NEEDED = {
    "argon2",
    "asyncio",
    "cryptography",
    "email",
    "http",
    "playhouse",
    "yaml",
}


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """Return the words of each line of TELL after a start."""
    words = said(start_python(START + TELL, tmp_path_factory.mktemp("start")))
    ends = [number for number, word in enumerate(words) if word == END]
    return [words[begin + 1 : end] for begin, end in zip([-1, *ends], ends, strict=False)]


def test_a_first_start_loads_nothing_that_only_some_nodes_need(told):
    loaded = set(told[0])
    assert "peewee" in loaded
    assert loaded & (LAZY - NEEDED) == set()
    assert loaded & {"psycopg", "pymysql", "requests", "pydantic", "email.policy", "http.cookiejar"} == set()
    assert loaded & {"celery", "kombu", "packs.celery.queue"} == set()


LOOK = (
    START.replace("workflow_server.create_app(", "app = workflow_server.create_app(")
    + """
from packs.agents.agent_runs import explain_no_model
from packs.agents.model_choice import Models
from nodes import catalogue
from packs.agents.agent_store import list_built_in
print(len(catalogue()), len(list_built_in()), bool(explain_no_model("ws_none", Models())))
print(*sys.modules)
"""
)


def test_nothing_of_the_libraries_for_agents_is_loaded_by_looking_at_agents_and_nodes(tmp_path):
    words = said(start_python(LOOK, tmp_path))
    assert int(words[0]) > 50 and int(words[1]) > 5 and words[2] == "True"
    assert set(words) & {"pydantic_ai", "pydantic", "genai_prices", "httpx2", "openai", "anthropic"} == set()


def test_a_start_does_not_describe_the_api(told):
    made = set(told[2])
    assert "App" in made and "APISpec" not in made


def test_a_start_does_not_look_through_what_it_has_imported_for_garbage(told):
    assert told[1] == ["0", "True", "True"]


def test_a_schema_is_not_copied_for_each_decorator_of_a_view():
    schema = Login()
    assert copy.deepcopy({"schema": schema})["schema"] is schema
