"""The server's log as JSON: fields, bounds, and lines that nothing breaks."""

import json
import logging
import os
import sys
import threading

import pytest
from world import PATIENCE, Types, chain, node, run

from server_log import CURRENT, MAX_ERROR, MAX_MESSAGE, JsonFormatter, JsonHandler, copy_work, read_ids, set_work


def record(message, *args, level=logging.INFO, exc_info=None, **extra):
    made = logging.LogRecord("headrace.tests", level, "tests.py", 1, message, args, exc_info)
    made.__dict__.update(extra)
    return made


def line(*args, **options):
    return JsonFormatter().format(record(*args, **options))


def test_a_line_has_time_level_logger_message_and_process():
    made = record("%d runs", 3, level=logging.WARNING)
    made.created = 0.0625
    assert json.loads(JsonFormatter().format(made)) == {
        "time": "1970-01-01T00:00:00.062Z",
        "level": "warning",
        "logger": "headrace.tests",
        "message": "3 runs",
        "process": os.getpid(),
    }


@pytest.mark.parametrize("text", ["two\nlines", "\r\n\0\x1b[31m", "\x85 \u2028 \u2029", "half a pair: \ud800", "é 🙂"])
def test_no_text_breaks_a_line(text):
    written = line("%s", text)
    assert len(written.splitlines()) == 1
    assert json.loads(written)["message"] == text.replace("\ud800", "?")


def test_arguments_that_do_not_fit_the_message_are_logged_all_the_same():
    assert json.loads(line("%d runs", "three"))["message"] == "%d runs ('three',)"


def test_a_long_message_is_cut():
    assert len(json.loads(line("x" * 100_000))["message"]) < MAX_MESSAGE + 20


def test_an_exception_is_one_string_that_keeps_its_start_and_its_end():
    try:
        raise ValueError("x" * 100_000 + " the end")
    except ValueError:
        error = json.loads(line("it failed", exc_info=sys.exc_info()))["error"]
    assert error.startswith("Traceback (most recent call last):\n") and error.endswith(" the end")
    assert len(error) < MAX_ERROR + 20


def test_a_traceback_that_is_a_part_of_the_message_becomes_the_error():
    entry = json.loads(line("node a raised\n%s", "Traceback…", traceback="Traceback…"))
    assert (entry["message"], entry["error"]) == ("node a raised", "Traceback…")


def test_a_record_may_name_its_run():
    assert json.loads(line("lost", run_id="run_1"))["run_id"] == "run_1"


def test_a_handler_writes_whole_lines_and_survives_the_end_of_its_reader():
    reading, writing = os.pipe()
    handler = JsonHandler(writing)
    handler.handle(record("one\ntwo"))
    handler.handle(record("three"))
    assert [json.loads(part)["message"] for part in os.read(reading, 65_536).splitlines()] == ["one\ntwo", "three"]
    os.close(reading)
    handler.handle(record("nobody reads this"))
    os.close(writing)


# The ids of the work


@pytest.mark.parametrize("quick", [True, False])
def test_lines_of_a_node_have_the_ids_of_its_run_and_flow(quick):
    seen = []
    with Types() as types:
        types.offer("look", lambda config, input, ctx: seen.append(read_ids()), quick=quick)
        definition = chain(node("a", "look"), node("b", "look"))
        run(definition, scope={"workflow": {"id": "wf_1"}}, workspace_id="ws_1")
    ids = {"run_id": "run_1", "workflow_id": "wf_1", "workspace_id": "ws_1"}
    assert seen == [{**ids, "node_id": "a"}, {**ids, "node_id": "b"}]
    assert read_ids() == {}


def test_another_thread_has_the_ids_only_if_it_is_given_them(monkeypatch):
    monkeypatch.setattr(CURRENT, "request_id", "request-1")
    work, found = copy_work(), []

    def look():
        found.append(read_ids())
        set_work(work)
        found.append(read_ids())

    thread = threading.Thread(target=look)
    thread.start()
    thread.join(PATIENCE)
    assert found == [{}, {"request_id": "request-1"}]
