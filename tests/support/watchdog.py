"""End the process if a test ignores its timeout, for example in a C library, and print the stack of each thread.

The plugin `faulthandler` of pytest can do this too, but starts a thread for each test, which takes longer than many
tests do. Here one thread watches all tests of a minute. `-p no:watchdog` is for tests that may take any time.
"""

import faulthandler
import os
import time

import pytest

SECONDS = 900
RENEW_SECONDS = 60  # A test may have so much less.
_stderr = None
_renewed = None


def pytest_configure():
    """Keep the process's own stderr: during a test, pytest captures it."""
    global _stderr
    _stderr = os.dup(2)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol():
    """Begin to count anew, at most once a minute."""
    global _renewed
    if _renewed is None or time.monotonic() - _renewed > RENEW_SECONDS:
        faulthandler.dump_traceback_later(SECONDS, exit=True, file=_stderr)
        _renewed = time.monotonic()


def pytest_exception_interact():
    """Begin to count anew with the next test: the plugin `faulthandler` ends the count after a failure."""
    global _renewed
    _renewed = None


def pytest_sessionfinish():
    faulthandler.cancel_dump_traceback_later()
