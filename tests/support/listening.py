"""A process that listens: the scheduler's tick runs in a thread of the test, with the real clock."""

import threading
import time
from contextlib import contextmanager

from sources import polling

from database import closing_connection, write
from models import Poll, Run
from nodes.credentials.keyring import DecryptedCredential
from nodes.credentials.types import TYPES

SECONDS = 30


@contextmanager
def listening(folder, credentials, **settings):
    """A process that ticks; `process.stop()` ends it as a server ends. `credentials`: type and data by name."""
    with polling(folder, egress_allow=("127.0.0.1", "localhost"), **settings) as process:
        process.credentials = dict(credentials)

        def find(workspace_id, name):
            type_, data = process.credentials[name]
            data = TYPES[type_].load(data)
            return DecryptedCredential(name, type_, data, tuple(TYPES[type_].hosts(data)))

        process.dispatcher.resources.find_credential = find
        process.clock.wall = lambda: int(time.time() * 1000)
        process.poller.wall = process.leader.wall = process.leader._lease.wall = process.clock.wall
        process.poller.monotonic = time.monotonic
        ended = threading.Event()

        def tick():
            while not ended.wait(0.05):
                process.tick()

        thread = threading.Thread(target=closing_connection(tick))
        thread.start()

        def stop():
            if not ended.is_set():
                ended.set()
                thread.join(SECONDS)
                process.poller.stop()
                process.leader.stop()

        process.stop = stop
        try:
            yield process
        finally:
            stop()


def hurry():
    """Let what waits after a failure begin now."""
    with write():
        Poll.update(next_at=1).where(Poll.owner.is_null(), Poll.next_at.is_null(False)).execute()


def inputs(made=None):
    """Return the inputs of the runs, in their order."""
    import orjson

    query = Run.select() if made is None else Run.select().where(Run.workflow_id == made.id)
    return [orjson.loads(run.input) for run in query.order_by(Run.id)]
