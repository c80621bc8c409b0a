"""The queue of several machines, on real brokers: what is offered is delivered, and no failure reaches the caller."""

import queue
import signal
import time
from collections import Counter
from contextlib import suppress

import pytest
from message_brokers import RabbitMQ, Redis, serving
from servers import until
from world import PATIENCE

pytest.importorskip("celery")
from amqp.exceptions import ChannelError
from kombu import Connection, Exchange

from errors import ConfigError
from packs.celery.queue import MAX_OFFERS, NAMES, RESTART_SECONDS, RETRY_SECONDS, TASK, CeleryQueue
from registry import Registry

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=[RabbitMQ, Redis])
def broker(request):
    """A running broker, and again after each test."""
    yield from serving(request.param)


@pytest.fixture
def begin(broker):
    """`begin(lanes, execute)` returns a started queue on the broker."""
    begun = []

    def make(lanes=(), execute=None, url=broker.url, concurrency=2):
        made = CeleryQueue(url, lanes, concurrency)
        made.start(execute or (lambda run_id: None))
        begun.append(made)
        return made

    yield make
    for made in begun:
        made.close()
        made.stop(time.monotonic() + PATIENCE)
    if broker.process is None:
        broker.start()


@pytest.fixture
def receive(begin):
    """`receive(*lanes)` returns a worker that is connected, and the ids that it gets."""

    def make(*lanes):
        got = queue.SimpleQueue()
        made = begin(lanes, got.put)
        until(lambda: not made.state().is_down, "the worker is connected")
        return made, got

    return make


def test_an_offered_run_is_delivered_to_a_worker_of_its_lane(begin, receive):
    _, slow = receive("slow")
    begin().offer("run_1", "slow")
    assert slow.get(timeout=PATIENCE) == "run_1"


def test_each_of_many_runs_is_delivered(begin, receive):
    _, got = receive("runs", "slow")
    web = begin()
    ids = {f"run_{number}" for number in range(200)}
    for id_ in ids:
        web.offer(id_, "runs")
    assert {got.get(timeout=PATIENCE) for _ in ids} == ids
    assert web.state() == (0, False, 0.0)


def heard(web, got):
    """Return the first run that comes. It is offered again, since a broker that has just started may lose messages."""

    def look():
        web.offer("run_1", "runs")
        with suppress(queue.Empty):
            return got.get(timeout=1)

    return until(look, "a run comes")


def test_an_offer_neither_waits_nor_fails_without_a_broker(begin, broker):
    web = begin()
    broker.kill()
    began = time.monotonic()
    for number in range(MAX_OFFERS + 100):
        assert web.offer(f"run_{number}", "runs")
    assert time.monotonic() - began < 5
    until(lambda: web.state().is_down, "a failure is seen")
    assert web.state().depth <= MAX_OFFERS


def test_the_sender_notices_without_an_offer_that_the_broker_is_back(begin, broker, monkeypatch):
    monkeypatch.setattr("packs.celery.queue.MAX_PAUSE", 0.2)
    web = begin()
    broker.kill()
    web.offer("run_1", "runs")
    until(lambda: web.state().is_down, "a failure is seen")
    broker.start()
    until(lambda: not web.state().is_down, "it is connected again")
    web.offer("run_2", "runs")

    counted = Counter()

    def has_sent():
        counted.update({one.labels[0]: one.value for one in web.offer_counts.take()})
        return counted["sent"]

    until(has_sent, "the offer is sent")
    assert counted == {"failed": 1, "sent": 1}
    with Connection(broker.url) as connection:
        # The next test must not get it. It may be on its way, when a purge would miss it.
        assert until(lambda: connection.default_channel.basic_get(NAMES["runs"], no_ack=True), "the run is queued")
        connection.default_channel.queue_purge(NAMES["runs"])


def test_an_offer_to_a_silent_broker_fails_within_seconds(begin, broker):
    web = begin()
    broker.signal(signal.SIGSTOP)
    try:
        web.offer("run_1", "runs")
        assert until(lambda: web.state().is_down, "a failure is seen", seconds=30)
    finally:
        broker.signal(signal.SIGCONT)


def test_a_worker_notices_that_the_broker_is_down_and_returns_to_it(begin, receive, broker):
    worker, got = receive("runs")
    broker.kill()
    until(lambda: worker.state().is_down, "a failure is seen")
    broker.start()
    until(lambda: not worker.state().is_down, "the worker is connected")
    assert heard(begin(), got) == "run_1"


def test_a_worker_is_deaf_from_the_first_run_that_it_missed_until_a_message_comes(begin, receive):
    worker, got = receive("runs")
    assert worker.state().deaf_for == 0
    worker.note_missed()
    time_of_first = time.monotonic()
    until(lambda: time.monotonic() > time_of_first + 0.05, "time passes")
    worker.note_missed()
    assert worker.state().deaf_for >= 0.05
    assert heard(begin(), got) == "run_1"
    until(lambda: worker.state().deaf_for == 0, "it hears")


def test_a_consumer_that_was_deaf_for_a_minute_starts_again(begin, receive, monkeypatch):
    monkeypatch.setattr("packs.celery.queue.RETRY_SECONDS", 0.1)
    worker, got = receive("runs")
    first = worker._consumer
    worker.note_missed()
    worker.clock = lambda: time.monotonic() + RESTART_SECONDS
    worker.note_missed()
    until(lambda: worker._consumer not in (None, first) and not worker.state().is_down, "the consumer starts again")
    assert heard(begin(), got) == "run_1"


def test_a_refused_worker_logs_the_reason_in_one_line(begin, broker, caplog):
    if broker.name != "RabbitMQ":
        pytest.skip("this broker has no password")
    begin(("runs",), url=broker.url.replace("guest:guest", "guest:hidden"))
    until(lambda: "ACCESS_REFUSED" in caplog.text, "the refusal is logged")
    assert "Traceback" not in caplog.text and "hidden" not in caplog.text


@pytest.mark.parametrize("given", [(5,), ({"a": 1},), ("x" * 1000,), ()])
def test_a_strange_message_is_ignored(begin, receive, given):
    worker, got = receive("runs")
    worker.app.tasks[worker._task.name].apply_async(given, queue=NAMES["runs"], retry=False)
    begin().offer("run_1", "runs")
    assert got.get(timeout=PATIENCE) == "run_1" and got.empty()


def test_a_failure_while_a_run_begins_does_not_end_the_worker(begin, broker):
    got = queue.SimpleQueue()

    def execute(run_id):
        got.put(run_id)
        raise OSError("no database")

    worker = begin(("runs",), execute)
    until(lambda: not worker.state().is_down, "the worker is connected")
    web = begin()
    for number in range(3):
        web.offer(f"run_{number}", "runs")
    assert {got.get(timeout=PATIENCE) for _ in range(3)} == {"run_0", "run_1", "run_2"}


JSON = {"content_type": "application/json", "content_encoding": "utf-8"}
OURS = {"task": TASK, "id": "1"}
DEEP = b"[" * 100_000
HOSTILE = {
    "a number": (b"1", JSON),
    "a number with headers": (b"1", JSON | {"headers": OURS}),
    "nothing": (b"", JSON | {"headers": OURS}),
    "no list of arguments": (b"[5, {}, {}]", JSON | {"headers": OURS}),
    "too few parts": (b"[1, 2]", JSON | {"headers": OURS}),
    "too deep": (DEEP, JSON | {"headers": OURS}),
    "not UTF-8": (b"\xff\xfe", JSON | {"headers": OURS}),
    "no id": (b"[[], {}, {}]", JSON | {"headers": {"task": TASK}}),
    "an object as id": (b"[[], {}, {}]", JSON | {"headers": {"task": TASK, "id": {"a": 1}}}),
    "an object as task": (b"[[], {}, {}]", JSON | {"headers": {"task": {"a": 1}, "id": "1"}}),
    "another task": (b"[[], {}, {}]", JSON | {"headers": {"task": "celery.ping"}}),
    "a strange time": (b"[[], {}, {}]", JSON | {"headers": OURS | {"eta": "x", "expires": [1], "timelimit": 5}}),
    "strange callbacks": (b'[[], {}, {"callbacks": 5, "chain": 9}]', JSON | {"headers": OURS}),
    "unknown type": (b"abc", {"content_type": "application/x-evil", "content_encoding": "binary"}),
    "unknown type with headers": (
        b"abc", {"content_type": "application/x-evil", "content_encoding": "binary", "headers": OURS},
    ),
    "pickle": (
        b"cos\nsystem\n.", {"content_type": "application/x-python-serialize", "content_encoding": "binary",
                            "headers": OURS},
    ),
    "unknown encoding": (b"abc", {"content_type": "application/json", "content_encoding": "x", "headers": OURS}),
    "bad compression": (b"abc", JSON | {"headers": OURS | {"compression": "application/x-gzip"}}),
    "old protocol": (b'{"task": 5, "id": [1], "args": 5}', JSON),
}  # fmt: skip


def test_a_hostile_message_does_not_end_the_consumer(begin, receive, broker):
    """A good message after each comes to the same consumer at once, and the broker keeps no hostile one."""
    worker, got = receive("runs")
    first, web = worker._consumer, begin()
    with Connection(broker.url) as connection:
        producer = connection.Producer(exchange=Exchange("headrace", type="direct"), auto_declare=False)
        for number, (kind, (body, properties)) in enumerate(HOSTILE.items()):
            producer.publish(body, routing_key=NAMES["runs"], **properties)
            web.offer(f"run_{number}", "runs")
            assert got.get(timeout=PATIENCE) == f"run_{number}", kind
            assert worker._consumer is first and not worker.state().is_down, kind
        with suppress(ChannelError):  # Redis has no queue that is empty
            assert connection.default_channel.queue_declare(NAMES["runs"], passive=True).message_count == 0
    assert got.empty()


def test_a_message_that_the_client_of_redis_cannot_read_ends_the_consumer_once(begin, receive, broker):
    if broker.name != "Redis":
        pytest.skip("this broker has properties of a message apart from its body")
    worker, got = receive("runs")
    first, start = worker._consumer, time.monotonic()
    worker.clock = lambda: time.monotonic() + RETRY_SECONDS  # it has run for longer than the pause
    with Connection(broker.url) as connection:
        connection.default_channel.client.lpush(NAMES["runs"], b"garbage")
    until(lambda: worker._consumer not in (None, first) and not worker.state().is_down, "the consumer starts again")
    assert time.monotonic() - start < RETRY_SECONDS
    assert heard(begin(), got) == "run_1"


def test_workers_take_no_commands_from_the_broker(receive, broker):
    """Celery's remote control can shut workers down, and its commands have no password."""
    worker, _ = receive("runs")
    worker.app.control.shutdown()
    assert worker.app.control.ping(timeout=1) == [] and not worker.state().is_down
    assert "Control" not in {type(step).__name__ for step in worker._consumer.consumer.steps}


def test_the_broker_is_refused_without_the_pack():
    with pytest.raises(ConfigError, match="CELERY_BROKER_URL needs the pack celery"):
        Registry().find_part("celery", "CELERY_BROKER_URL")
