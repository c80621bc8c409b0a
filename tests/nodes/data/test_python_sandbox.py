"""The code node and its sandbox."""

import threading

import psutil
import pytest
from children import LIVING

from errors import NodeError
from nodes.data.python_sandbox import CUT, Sandbox


@pytest.fixture
def code(run):
    def execute(source, input=None, timeout=5, memory_mb=64, **context):
        result = run("code", {"source": source, "timeout": timeout, "memory_mb": memory_mb}, input, **context)
        execute.lines = [message for _, message, _ in run.lines]
        return result

    return execute


def failure(code, source, **options):
    with pytest.raises(NodeError) as caught:
        code(source, **options)
    assert code("1 + 1") == 2
    return caught.value


def test_the_result_is_the_last_expression(code):
    assert code("total = sum(input['prices'])\n{'total': total}", {"prices": [1, 2.5]}) == {"total": 3.5}


def test_without_an_expression_the_result_is_null(code):
    assert code("x = 1") is None


def test_only_input_steps_trigger_and_vars_are_in_scope(code):
    scope = {"steps": {"a": 1}, "trigger": {"b": 2}, "vars": {"c": 3}, "secrets": {"d": 4}}
    assert code("[steps['a'], trigger['b'], vars['c'], input]", "in", scope=scope) == [1, 2, 3, "in"]
    with pytest.raises(NodeError, match="secrets"):
        code("secrets", scope=scope)


def test_no_variable_remains_for_the_next_run(code):
    code("left = 1")
    with pytest.raises(NodeError, match="line 1: NameError: name 'left' is not defined"):
        code("left")


def test_tuples_become_lists(code):
    assert code("(1, ('a', None), {'b': (True,)})") == [1, ["a", None], {"b": [True]}]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{1, 2}", "a set, which is not JSON; return a list"),
        ("{1: 2}", "keys must be text"),
        ("b'a'", "bytes"),
        ("...", "ellipsis"),
        ("class A: pass\nA()", "has a A"),
        ("import datetime\ndatetime.datetime.now()", "datetime"),
        ("float('nan')", "number that JSON does not allow"),
        ("2 ** 100", "number that JSON does not allow"),
        pytest.param("a = [1]\nfor _ in range(60): a = [a, a]\na", "too large", marks=pytest.mark.slow),
        ("a = 1\nfor _ in range(1000): a = [a]\na", "nested too deeply"),
    ],
)
def test_a_result_that_is_not_json_is_refused(code, source, message):
    error = failure(code, source)
    assert message in error.message and error.permanent


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = 1\n1 / 0", "code: line 2: ZeroDivisionError: division by zero"),
        ("x = (", "code: line 1: SyntaxError"),
        ("raise ValueError('no')", "code: line 1: ValueError: no"),
        ("def f(n):\n    return f(n + 1)\nf(0)", "RecursionError"),
        ("open('/etc/passwd').read()", "PermissionError"),
        ("import os\nos.system('ls')", "AttributeError"),
        ("import os\nos.environ['HOME']", "not supported"),
        ("import socket", "ModuleNotFoundError"),
        ("import subprocess", "ModuleNotFoundError"),
        ("().__class__.__base__.__subclasses__()", "Error"),
    ],
)
def test_a_failure_is_permanent_and_names_the_line(code, source, message):
    error = failure(code, source)
    assert message in error.message and error.permanent


@pytest.mark.parametrize(
    "source", ["while True: pass", "while True: print('x')", "import time\nwhile True: time.sleep(0.05)"]
)
def test_code_is_stopped_at_its_timeout(code, source):
    error = failure(code, source, timeout=0.2)
    assert error.message == "code: ran longer than 0.2 s" and not error.permanent


def test_code_is_stopped_at_the_deadline_of_the_run(code):
    with pytest.raises(NodeError, match=r"ran longer than 0\.\d+ s"):
        code("while True: pass", timeout=60, seconds=0.2)


@pytest.mark.parametrize(
    "source",
    [
        *("[0] * 10**9", "'a' * 10**9", "2 ** 10**9", "a = []\nwhile True: a.append('x' * 1000)"),
        # These end the worker.
        *("('x' * 1_000_000).split('x')", "b'x'.join([b'a' * 10**6] * 200)"),
    ],
)
def test_code_that_exceeds_its_memory_fails_with_the_setting_and_its_value(code, source):
    error = failure(code, source, memory_mb=8)
    assert error.message == (
        "code: it needs more memory than memory_mb allows, which is 8 MB; "
        "process less data at once, or raise memory_mb (at most 512)"
    )
    assert error.permanent and error.kind == "limit"


def test_printed_output_is_logged_line_by_line(code):
    assert code("print('a')\nprint('b', 1)\nprint('c', end='')\n5") == 5
    assert code.lines == ["a", "b 1", "c"]


def test_output_before_a_failure_is_logged(run):
    with pytest.raises(NodeError):
        run("code", {"source": "print('a')\n1 / 0"})
    assert run.lines == [("info", "a", None)]


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("for i in range(200): print(i)", 101),
        ("print('x' * 100_000)", 2),
        ("for i in range(20): print('x' * 10_000)", 8),
    ],
)
def test_long_output_is_truncated(code, source, lines):
    code(source)
    assert len(code.lines) == lines and code.lines[-1] == CUT
    assert sum(map(len, code.lines)) < 70_000


def test_an_input_of_an_unknown_type_is_refused(code):
    assert "Cannot convert" in failure(code, "input", input=object()).message


def test_a_crash_is_a_transient_failure(code):
    def crash():
        servers = {server.pid for server in LIVING}  # which other tests started, and use after this one
        for worker in psutil.Process().children():
            if worker.pid not in servers:
                worker.kill()

    timer = threading.Timer(0.2, crash)
    timer.start()
    error = failure(code, "while True: pass", timeout=5)
    timer.join(60)
    assert error.message == "code: the sandbox crashed" and not error.permanent


def test_several_sandboxes_run_at_the_same_time(sandbox):
    results = []
    threads = [
        threading.Thread(target=lambda n=n: results.append(sandbox.run("n * 2", {"n": n}, 5, 64, print)))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(results) == [0, 2, 4, 6, 8, 10, 12, 14]


def test_a_sandbox_starts_at_its_first_use_and_ends_when_closed():
    before = len(psutil.Process().children())
    sandbox = Sandbox()
    assert len(psutil.Process().children()) == before
    assert sandbox.run("1", {}, 5, 64, print) == 1
    assert len(psutil.Process().children()) > before
    sandbox.close()
    assert len(psutil.Process().children()) == before
    sandbox.close()
