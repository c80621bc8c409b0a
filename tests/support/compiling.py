"""Let each of several processes compile a part of the test files, before all of them need all files.

pytest compiles a test file when it imports it, and keeps the result beside it. Processes that start together would
each compile all files, for seconds.
"""

import sys
from pathlib import Path

from _pytest.assertion import rewrite


def pytest_sessionstart(session):
    """Compile this process's part, if it is one of several."""
    worker = getattr(session.config, "workerinput", None)
    if worker is not None and not sys.dont_write_bytecode:
        paths = [path for arg in session.config.args for path in list_tests(Path(arg).resolve(), session.config)]
        for path in paths[int(worker["workerid"].removeprefix("gw")) :: worker["workercount"]]:
            compile_test(path, session.config)


def list_tests(path, config):
    """Yield the test files in this folder that pytest collects."""
    if path.is_dir():
        for inner in sorted(path.iterdir()):
            if not config.hook.pytest_ignore_collect(collection_path=inner, config=config):
                yield from list_tests(inner, config)
    elif path.match("test_*.py"):
        yield path


def compile_test(path, config):
    """Compile the file as pytest does, unless this was done before. pytest itself sees whether this is outdated."""
    compiled = rewrite.get_cache_dir(path) / f"{path.stem}{rewrite.PYC_TAIL}"
    if not compiled.exists():
        compiled.parent.mkdir(exist_ok=True)
        source_hash, code = rewrite._rewrite_test(path, config)
        rewrite._write_pyc(config.stash[rewrite.assertstate_key], code, source_hash, compiled)
