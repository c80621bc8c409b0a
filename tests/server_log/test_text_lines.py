"""The server's log as text: outside text stays in its line."""

import logging
import sys

import pytest

from server_log import FORMAT, TextFormatter

FAKE = "2026-12-01 19:00:00,000 INFO headrace: FAKE"


def line(message, *args, exc_info=None, **extra):
    record = logging.LogRecord("headrace.tests", logging.INFO, "tests.py", 1, message, args, exc_info)
    record.__dict__.update(extra)
    return TextFormatter(FORMAT).format(record)


@pytest.mark.parametrize(
    ("end", "shown"),
    [
        *[("\r", r"\r"), ("\n", r"\n"), ("\r\n", r"\r\n"), ("\v", r"\x0b"), ("\f", r"\x0c"), ("\x1c", r"\x1c")],
        *[("\x85", r"\x85"), ("\u2028", r"\u2028"), ("\u2029", r"\u2029"), ("\x1b[2K", r"\x1b[2K"), ("\0", r"\x00")],
        *[("\u202e", r"\u202e"), ("\ud800", r"\ud800")],
    ],
)
def test_outside_text_stays_in_its_line(end, shown):
    written = line("webhook %s: a caller was refused", f"lp/{end}{FAKE}")
    assert written.endswith(f" INFO headrace.tests: webhook lp/{shown}{FAKE}: a caller was refused")
    assert written.isprintable()


def test_other_text_is_as_it_was():
    assert line("flow %s", "Übung – é 🙂 'quoted' C:\\path").endswith("flow Übung – é 🙂 'quoted' C:\\path")


def test_a_traceback_keeps_its_lines():
    try:
        raise ValueError(f"bad\r{FAKE}\u2028")
    except ValueError:
        written = line("it failed", exc_info=sys.exc_info())
    check_traceback(written)


def test_a_traceback_in_the_message_keeps_its_lines():
    trace = f"Traceback (most recent call last):\n  File\nValueError: bad\r{FAKE}\u2028"
    check_traceback(line("node %s: it failed\n%s", "a\rb", trace, traceback=trace))


def check_traceback(written):
    first, *trace = written.split("\n")
    assert first.isprintable()
    assert first.endswith("it failed") and trace[0] == "Traceback (most recent call last):"
    assert trace[-1] == rf"ValueError: bad\r{FAKE}\u2028" and all(one.isprintable() for one in trace)
