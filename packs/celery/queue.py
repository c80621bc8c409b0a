"""Queue of workers on several machines: Celery, with RabbitMQ or Redis. Only this module imports Celery.

The broker carries ids of runs, and may lose, repeat, delay and reorder them, because the database decides which process
executes a run. So a message is acknowledged before the run begins, nothing waits for the broker, and while it is down
the workers find pending runs in the database.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any, ClassVar

from celery import Celery
from celery.worker import state as celery_state
from celery.worker.consumer import Consumer
from kombu import Connection, Exchange
from kombu import Queue as BrokerQueue

from dispatch.histograms import Counter
from dispatch.queues import Execute, Lane, QueueState
from worker import NAMES

log = logging.getLogger("headrace.worker")
TASK = "headrace.execute"
MAX_OFFERS = 10_000  # ids that wait for the thread that sends them; older ones are dropped
MAX_ID_LENGTH = 64
SOCKET_SECONDS = 1  # timeout of the broker
FIRST_PAUSE, MAX_PAUSE = 0.5, 15.0  # seconds between two attempts; doubled after each
RETRY_SECONDS = 10.0  # at least between two starts of the consumer
RESTART_SECONDS = 60.0  # until the consumer restarts if runs are pending but no message arrives
# Options of the sending connection: it must not wait for long. Kombu reads max_retries, its transports the timeouts.
SENDING = {
    "amqp": {"max_retries": 0, "read_timeout": SOCKET_SECONDS, "write_timeout": SOCKET_SECONDS},
    "redis": {"max_retries": 0, "socket_timeout": SOCKET_SECONDS, "socket_connect_timeout": SOCKET_SECONDS},
}


def make_app(url: str) -> Celery:
    """Return the Celery app of this broker. It has no connection yet."""
    arguments = {"x-queue-type": "quorum"} if url.startswith("amqp") else {}
    exchange = Exchange("headrace", type="direct")
    app = Celery("headrace", broker=url, set_as_current=False)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        task_ignore_result=True,
        task_acks_late=False,
        task_queues=[BrokerQueue(name, exchange, name, queue_arguments=arguments) for name in NAMES.values()],
        task_default_queue=NAMES["runs"],
        task_create_missing_queues=False,
        worker_prefetch_multiplier=1,
        worker_pool="threads",
        worker_hijack_root_logger=False,
        worker_enable_remote_control=False,  # whoever can write to the broker could shut down all workers
        worker_cancel_long_running_tasks_on_connection_loss=True,  # only tasks acknowledged late; there are none
        worker_enable_soft_shutdown_on_idle=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_connection_timeout=SOCKET_SECONDS * 4,
        broker_heartbeat=10,
    )
    for name in ("celery", "kombu"):
        logging.getLogger(name).setLevel(logging.WARNING)  # they log each message
    logging.getLogger("celery.worker").addFilter(_drop_traceback)
    return app


def _drop_traceback(record: logging.LogRecord) -> bool:
    """Log filter: remove the traceback from messages of Celery, such as that about a wrong password."""
    record.exc_info = None
    return True


class Receiver(Consumer):
    """Celery's consumer, which drops messages that it cannot read: an error of one would end it, and the broker would
    deliver the message again. It does not declare the many queues that Celery has on RabbitMQ for delayed tasks.
    """

    class Blueprint(Consumer.Blueprint):
        default_steps: ClassVar = [
            step for step in Consumer.Blueprint.default_steps if "delayed_delivery" not in str(step)
        ]

    def create_task_handler(self, *args: Any, **options: Any) -> Callable[[Any], None]:
        """Return the function that takes each message."""
        handle = super().create_task_handler(*args, **options)

        def receive(message: Any) -> None:
            try:
                handle(message)
            except Exception as error:  # if the connection is lost, the next read says so
                log.warning("A message of the broker cannot be read, and is dropped: %s", _describe(error))
                if not message.acknowledged:
                    message.reject_log_error(log, self.connection_errors)

        return receive


class CeleryQueue:
    """Sends ids of runs to a broker and, with `lanes`, receives ids of these lanes and executes the runs.

    `concurrency` is the number of runs that are executed at the same time.
    """

    is_local = False

    def __init__(
        self,
        url: str,
        lanes: Collection[Lane] = (),
        concurrency: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.url, self.lanes, self.concurrency, self.clock = url, tuple(lanes), concurrency, clock
        self.app = make_app(url)
        # Unique, also among the workers of one machine, because the broker refuses a second consumer of the same name.
        self.name = f"headrace-{os.getpid()}-{secrets.token_hex(3)}@{socket.gethostname()}"
        self.offer_counts = Counter("headrace_broker_offers_total")

        def take(*args: Any, **more: Any) -> None:  # a message may have any arguments
            self._take(args[0] if args else None)

        self._task = self.app.task(name=TASK, shared=False)(take)
        self._execute: Execute | None = None
        self._offers: deque[tuple[str, Lane]] = deque(maxlen=MAX_OFFERS)
        self._has_offers = threading.Event()
        self._closed = threading.Event()
        self._connection: Connection | None = None
        self._failures = 0  # consecutive failures to send
        self._consumer: Any = None
        self._missed_since: float | None = None
        self._missed_until = 0.0
        self._threads: list[threading.Thread] = []

    def start(self, execute: Execute) -> None:
        """Start the thread that sends ids and, with lanes, the one that receives them."""
        self._execute = execute
        self._closed.clear()
        self._threads = [threading.Thread(target=self._send_all, name="offers", daemon=True)]
        if self.lanes:
            self._threads.append(threading.Thread(target=self._consume, name="broker", daemon=True))
        for thread in self._threads:
            thread.start()

    def offer(self, run_id: str, lane: Lane) -> bool:
        """Queue the id of a run for sending. If that fails, the id is dropped, and workers find the run themselves."""
        if len(self._offers) == MAX_OFFERS:
            self.offer_counts.add("dropped")
        self._offers.append((run_id, lane))
        self._has_offers.set()
        return True

    def note_missed(self) -> None:
        """Note that this process has found a pending run that the broker has not brought.

        After a minute of such runs the consumer restarts, once its runs have ended: its connection may be broken
        without an error.
        """
        self._missed_until = now = self.clock()
        if self._missed_since is None:
            self._missed_since = now
        elif now - self._missed_since >= RESTART_SECONDS and self._is_connected():
            log.warning("The broker has brought no run for a minute while runs were pending; its consumer starts again")
            self._missed_since = None
            celery_state.should_stop = 0

    def state(self) -> QueueState:
        """Return the state. The queue is down if it has no connection to receive ids, or if the last send failed."""
        is_down = self._failures > 0 or (bool(self.lanes) and not self._is_connected())
        since = self._missed_since
        return QueueState(len(self._offers), is_down, 0.0 if since is None else max(0.0, self._missed_until - since))

    def close(self) -> None:
        """Receive no more ids."""
        self._closed.set()
        self._has_offers.set()
        if self.lanes:
            celery_state.should_stop = 0  # the exit code; Celery's loop looks at it every second

    def stop(self, deadline: float) -> None:
        """Wait for the threads until the deadline. A thread that waits for a dead broker ends with the process."""
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._threads.clear()

    # Sending

    def _send_all(self) -> None:
        """Send the offered ids, in a thread of its own, until the queue is closed and all are sent or one fails."""
        while not (self._closed.is_set() and not self._offers):
            if not self._has_offers.wait(MAX_PAUSE if self._failures else None):
                self._reach(lambda connection: connection.connect())  # to notice when the broker is back
            self._has_offers.clear()
            while self._offers:
                self._send(*self._offers.popleft())
                if self._failures and self._closed.wait(min(MAX_PAUSE, FIRST_PAUSE * 2 ** (self._failures - 1))):
                    self._offers.clear()
        self._disconnect()

    def _send(self, run_id: str, lane: Lane) -> None:
        is_sent = self._reach(
            lambda connection: self._task.apply_async((run_id,), queue=NAMES[lane], connection=connection, retry=False)
        )
        self.offer_counts.add("sent" if is_sent else "failed")

    def _reach(self, use: Callable[[Connection], object]) -> bool:
        """Use the connection to the broker. Return False, and note that the broker is down, if that fails."""
        try:
            if self._connection is None:
                options = SENDING["amqp" if self.url.startswith("amqp") else "redis"]
                self._connection = Connection(self.url, connect_timeout=SOCKET_SECONDS, transport_options=options)
            use(self._connection)
        except Exception as error:
            if not self._failures:
                log.warning("The broker cannot be reached; workers look for runs in the database: %s", _describe(error))
            self._failures = min(self._failures + 1, 10)
            self._disconnect()
            return False
        if self._failures:
            log.info("The broker can be reached again")
        self._failures = 0
        return True

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):  # a broken connection may fail in any way
                connection.collect(SOCKET_SECONDS)

    # Receiving

    def _consume(self) -> None:
        """Receive ids, in a thread of its own, until the queue is closed."""
        self.app.set_default()  # Celery's threads look for the task there
        self.app.finalize()
        while True:
            began, celery_state.should_stop = self.clock(), None
            if self._closed.is_set():  # after the line above: `close` does both in the other order
                return
            try:
                self._consumer = self.app.WorkController(
                    hostname=self.name, concurrency=self.concurrency, queues=[NAMES[lane] for lane in self.lanes],
                    loglevel="WARNING", consumer_cls=Receiver, without_gossip=True, without_mingle=True,
                    without_heartbeat=True,
                )  # fmt: skip
                self._consumer.start()
            except Exception as error:
                log.error("The consumer of the broker has failed: %s", _describe(error))
            self._consumer = None
            if not self._closed.wait(max(0.0, RETRY_SECONDS - (self.clock() - began))):
                log.warning("The consumer of the broker has ended; it starts again")

    def _is_connected(self) -> bool:
        consumer = getattr(self._consumer, "consumer", None)
        return getattr(consumer, "connection", None) is not None

    def _take(self, run_id: Any) -> None:
        """Execute the run with this id. Celery calls this in one of its threads; the message may be anything."""
        self._missed_since = None
        if self._execute is None or not isinstance(run_id, str) or len(run_id) > MAX_ID_LENGTH:
            log.warning("A message of the broker is not the id of a run, and is ignored")
            return
        try:
            self._execute(run_id)
        except Exception:
            log.exception("run %s could not be begun; it stays pending", run_id, extra={"run_id": run_id})


def _describe(error: BaseException) -> str:
    """Return the kind of an error, and its text unless that may contain the broker's address with its password."""
    text = str(error)
    return type(error).__name__ if "://" in text else f"{type(error).__name__}: {text}"
