import time
from itertools import count

import pytest
from chosen_engine import database_of
from seeding import NOW, OLD
from sources import Source, polling, watched
from world import add_flow, flow, fresh_database

from config import Config
from database import execute, write
from database.base import first_id
from database.queries import logs, runs
from database.queries import steps as step_queries
from dispatch.payloads import Payloads
from models import IdempotencyKey
from scheduler.retention import Retention


@pytest.fixture
def path(tmp_path):
    """A migrated database of its own."""
    with fresh_database(tmp_path) as path:
        yield path


@pytest.fixture
def source():
    """A source that the trigger `watch` polls."""
    made = Source()
    with watched(made):
        yield made


@pytest.fixture
def process(tmp_path):
    """A process that polls in the test's thread; its runs stay pending."""
    with polling(tmp_path) as made:
        yield made


@pytest.fixture
def payloads(tmp_path):
    return Payloads(tmp_path / "values", 1_000)


@pytest.fixture
def make(path, payloads):
    """`make(at, status)` makes a run of that time with a step and a log entry, and returns its id.

    `steps` is their number, `text` their output, `large` bytes of a file, `key` an idempotency key used `key_at`.
    """
    numbers = count()
    made = add_flow(flow("a"))

    def run(at, status="success", steps=1, text="", large=0, key=None, key_at=OLD, **values):
        ended = at if status in ("success", "failed") else None
        id_ = first_id("run", at)[:-6] + f"{next(numbers):06d}"
        size = payloads.keep(id_, "input", b"x" * large).size if large else None
        values = {"triggered_by": "manual", "finished_at": ended, "input_bytes": size, **values}
        with write():
            execute(*runs.insertion(runs.accept(made, id=id_, status=status, **values)))
            for number in range(steps):
                row = (id_, number, f"n{number}", "noop", "N", "success", 1, *[None] * 3, text, *[None] * 4)
                execute(*step_queries.save_one((*row, at, at, 1.0, False, None), 0))
            execute(*logs.entry("ws_1", id_, None, "info", "m", None))
            if key is not None:
                IdempotencyKey.create(workflow_id=made.id, key=key, run_id=id_, created_at=key_at)
        return id_

    return run


@pytest.fixture
def keep(tmp_path, payloads):
    """`keep(days=30, …)` returns a Retention with these limits that never pauses; `audit`: days of the audit log."""

    def part(wall=lambda: NOW, monotonic=time.monotonic, pause=lambda seconds: False, audit=365, **bounds):
        bounds = {f"retention_{name}": bound for name, bound in ({"days": 0} | bounds).items()}
        config = Config(data_dir=tmp_path, **database_of(tmp_path), audit_days=audit, **bounds)
        return Retention(config, payloads, wall, monotonic, pause)

    return part
