"""Work in a process of its own: what it gets, and how it ends."""

import threading
import time

import psutil
import pytest

from errors import NodeError
from nodes import confined
from nodes.confined import run_confined

ANSWER = "import json, sys\nasked = json.load(sys.stdin.buffer)\n"


@pytest.fixture
def program(tmp_path):
    """`program(source)` gives the path of a program; `asked` is in it what it was asked."""

    def write(source):
        path = tmp_path / "program.py"
        path.write_text(ANSWER + source, encoding="utf-8")
        return path

    return write


def test_the_answer_is_that_of_the_program(program):
    path = program("json.dump({'result': [asked, sys.argv[1:]]}, sys.stdout)")
    assert run_confined(path, {"a": "é"}, 1.5, 100) == [{"a": "é"}, ["2", str(100 * 2**20)]]


def test_it_sees_no_environment_and_none_of_our_modules(program, monkeypatch):
    monkeypatch.setenv("HEADRACE_SECRET_KEY", "secret")
    source = "import os, importlib.util\nfound = [dict(os.environ), importlib.util.find_spec('nodes')]\n"
    environment, found = run_confined(program(source + "json.dump({'result': found}, sys.stdout)"), None, 10)
    assert environment.get("HEADRACE_SECRET_KEY") is None and "PATH" not in environment
    assert found is None


def test_its_error_is_permanent(program):
    with pytest.raises(NodeError, match="^no such thing$") as caught:
        run_confined(program("json.dump({'error': 'no such thing'}, sys.stdout)"), None, 10)
    assert caught.value.permanent


@pytest.mark.parametrize("source", ["import os; os.abort()", "sys.exit(3)", "raise MemoryError", "1 / 0"])
def test_a_program_that_breaks_off_is_an_error_in_plain_words(program, source):
    with pytest.raises(NodeError, match="could not be done within 1024 MB and 10 s") as caught:
        run_confined(program(source), None, 10)
    assert caught.value.permanent and "Traceback" not in caught.value.message


def test_a_program_that_takes_too_long_is_killed(program):
    children = set(psutil.Process().children())
    with pytest.raises(NodeError, match="took longer than 0.3 s") as caught:
        run_confined(program("import time; time.sleep(60)"), None, 0.3)
    assert not caught.value.permanent
    assert set(psutil.Process().children()) <= children


def test_text_that_cannot_be_sent_is_refused(program):
    with pytest.raises(NodeError, match="half a surrogate pair"):
        run_confined(program(""), {"a": "\ud800"}, 10)


def test_no_more_run_at_a_time_than_there_are_places(program, monkeypatch):
    monkeypatch.setattr(confined, "_places", threading.BoundedSemaphore(1))
    path = program("import time; time.sleep(asked); json.dump({'result': asked}, sys.stdout)")
    results = []
    threads = [threading.Thread(target=lambda: results.append(run_confined(path, 0.3, 20))) for _ in range(3)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [0.3] * 3 and time.monotonic() - began >= 0.9
    with confined._places, pytest.raises(NodeError, match="no process became free within 0.1 s"):
        run_confined(path, 0, 0.1)
