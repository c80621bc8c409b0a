"""Transactions of the recorder on PostgreSQL, most of them in one round trip with BEGIN and COMMIT.

The pipeline of psycopg sends each statement separately, and polls the socket before and after. Here all statements are
sent at once: a commit of eight runs takes a third of the processor time, in this process and in the server.
"""

from __future__ import annotations

import select
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import accumulate, count
from typing import Any, TypeAlias

import psycopg
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus, TransactionStatus
from psycopg.types.string import StrDumperUnknown
from psycopg_pool import ConnectionPool

from packs.postgres.commit_numbers import CommitNumber, is_of_lost_connection
from packs.postgres.connection import give_up, limit

Statement: TypeAlias = tuple[str, Sequence[Any]]  # SQL with placeholders `$1`, and its parameters
Key: TypeAlias = tuple[str, tuple[int, ...]]  # a statement, and the types of its parameters

MAX_PREPARED = 500  # statements of a connection; further ones are sent as text each time
BEGIN, COMMIT = "BEGIN", "COMMIT"
# The statement that inserts the commit number also sets the options of the transaction, which saves a statement. Plans
# are generic, because a plan for one id covers only its partition: PostgreSQL would plan most statements every time.
NUMBER = (
    "INSERT INTO commit_numbers (writer, number) VALUES ($1, $2) RETURNING set_config('synchronous_commit', $3, true), "
    "set_config('idle_in_transaction_session_timeout', '30s', true), "
    "set_config('plan_cache_mode', 'force_generic_plan', true)"
)
DONE = (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK)


class Pipeline:
    """Executes many statements in one round trip, on a connection that only one thread uses.

    With `max_prepared` it prepares statements itself, and psycopg prepares none.
    """

    _numbers = count()  # for names: a name that failed, or may still exist on a connection, is never used again

    def __init__(self, connection: psycopg.Connection, max_prepared: int = MAX_PREPARED) -> None:
        self.connection, self._libpq, self._max_prepared = connection, connection.pgconn, max_prepared
        self._threshold = connection.prepare_threshold
        if max_prepared:
            connection.prepare_threshold = None
        self._prepared: dict[Key, bytes] = {}  # the names of prepared statements
        self._poll = select.poll()
        # psycopg's own text dumper, which is written in C. `_dump` replaces NUL, as the dumper of the connection does.
        cursor = connection.cursor()
        cursor.adapters.register_dumper(str, StrDumperUnknown)
        self._transformer = Transformer(cursor)

    def end(self) -> None:
        """Reset the connection, so that psycopg can use it for its own statements."""
        self.connection.prepare_threshold = self._threshold
        # This makes psycopg forget its prepared statements, but only if it has never seen the text: so it is new.
        self.connection.execute(f"DEALLOCATE ALL /* {next(self._numbers)} */", prepare=False)

    def is_usable(self) -> bool:
        """Return True unless the connection is lost. This needs a query only if the server has sent data meanwhile."""
        try:
            if self._libpq.status == ConnStatus.OK and self._look(select.POLLIN, 0):
                self.connection.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return bool(self._libpq.status == ConnStatus.OK and self._libpq.transaction_status == TransactionStatus.IDLE)

    def execute(self, statements: Sequence[Statement]) -> list[int]:
        """Execute statements in order, and return their row counts.

        Raises: the psycopg.Error of the first that failed. Those after it were not executed.
        """
        new: dict[Key, bytes] = {}
        dumped = [(sql, *self._dump(params)) for sql, params in statements]
        # From here on nothing may block: a server that has received a part keeps its locks, and waits without a limit.
        self._libpq.enter_pipeline_mode()
        places = [self._queue(new, *each) for each in dumped]
        self._libpq.pipeline_sync()
        self._send()
        results = self._receive()
        failed = next((result for result in results if result.status not in DONE), None)
        if self._libpq.status != ConnStatus.OK and (failed is None or not failed.error_field(DiagnosticField.SQLSTATE)):
            raise psycopg.OperationalError(self._libpq.get_error_message())
        if self._libpq.status == ConnStatus.OK:
            self._libpq.exit_pipeline_mode()
        if failed is not None:
            raise error_from_result(failed, encoding=self.connection.info.encoding)
        self._prepared.update(new)
        ends = accumulate(places)
        return [results[end - 1].command_tuples or 0 for end in ends]

    def _queue(self, new: dict[Key, bytes], sql: str, values: Any, types: tuple[int, ...], formats: Any) -> int:
        """Queue one statement and return its number of results. `new` receives the name if it is prepared."""
        key = sql, types
        name = self._prepared.get(key) or new.get(key)
        if name is not None:
            self._libpq.send_query_prepared(name, values, formats)
            return 1
        if sql in (BEGIN, COMMIT) or len(self._prepared) + len(new) >= self._max_prepared:
            self._libpq.send_query_params(sql.encode(), values, types, formats)
            return 1
        name = new[key] = b"headrace_%d" % next(self._numbers)
        self._libpq.send_prepare(name, sql.encode(), types)
        self._libpq.send_query_prepared(name, values, formats)
        return 2

    def _dump(self, params: Sequence[Any]) -> tuple[Any, tuple[int, ...], Any]:
        """Return the parameters for libpq: values, types and formats."""
        if not params:
            return None, (), None
        if any([type(value) is str and "\0" in value for value in params]):
            params = [value.replace("\0", "\ufffd") if type(value) is str else value for value in params]
        values = self._transformer.dump_sequence(params, [PyFormat.AUTO] * len(params))
        return values, tuple(self._transformer.types or ()), self._transformer.formats

    def _send(self) -> None:
        while self._libpq.flush():
            if self._wait(select.POLLIN | select.POLLOUT) & select.POLLIN:
                self._libpq.consume_input()  # unread answers would make the server stop reading

    def _receive(self) -> list[Any]:
        """Return the results up to the end of the pipeline."""
        found: list[Any] = []
        while True:
            while self._libpq.is_busy():
                self._wait(select.POLLIN)
                self._libpq.consume_input()
            result = self._libpq.get_result()
            if result is None:  # the end of one statement
                if self._libpq.status != ConnStatus.OK:
                    return found
                continue
            if result.status == ExecStatus.PIPELINE_SYNC:
                return found
            found.append(result)

    def _wait(self, events: int) -> int:
        """Wait until the socket is ready, and return its events. Raises: OperationalError if it takes too long."""
        seconds = limit.for_answer
        return self._look(events, None if seconds is None else seconds * 1000) or give_up(self.connection)

    def _look(self, events: int, milliseconds: float | None) -> int:
        """Return the events for which the socket gets ready within this time; 0 for none."""
        self._poll.register(self._libpq.socket, events)
        ready = self._poll.poll(milliseconds)
        return ready[0][1] if ready else 0


class ThreadPipeline(threading.local):
    """The connection of a thread that records runs: it keeps one of the pool until `close`."""

    _pool: ConnectionPool[Any]
    _pipeline: Pipeline | None = None

    def take(self, pool: ConnectionPool[Any], attempts: int) -> Pipeline:
        """Return the connection. One that is lost, or of another pool, is replaced, at most `attempts` times."""
        if self._pipeline is not None and self._pool is not pool:
            self.close()
        while self._pipeline is None or (attempts and not self._pipeline.is_usable()):
            self.close()
            self._pool, self._pipeline, attempts = pool, Pipeline(pool.getconn()), attempts - 1
        return self._pipeline

    def close(self) -> None:
        """Reset the connection and return it to its pool."""
        pipeline, self._pipeline = self._pipeline, None
        if pipeline is not None:
            with suppress(psycopg.Error):
                pipeline.end()
            self._pool.putconn(pipeline.connection)


class RunTransaction:
    """The transaction of one `write_runs`. BEGIN is sent with its first statements, and COMMIT with the last ones.

    It has the methods of a connection, because Peewee uses it as one: `execute` returns a cursor.
    """

    def __init__(self, pipeline: Pipeline, number: CommitNumber, synchronous: str) -> None:
        self._pipeline, self._number = pipeline, number
        self._first: list[Statement] = [
            (BEGIN, ()),
            *number.deletions,
            (NUMBER, (number.writer, number.number, synchronous)),
        ]
        self._is_committed = False

    @property
    def closed(self) -> bool:
        """Return True if the connection is closed."""
        return self._pipeline.connection.closed

    def execute(self, sql: str, params: Any = None) -> Any:
        """Execute one statement and return its cursor."""
        self._begin()
        return self._pipeline.connection.execute(sql, params)

    def cursor(self) -> Any:
        """Return a cursor."""
        self._begin()
        return self._pipeline.connection.cursor()

    def execute_together(self, statements: Sequence[Statement]) -> list[int]:
        """Execute statements, and return their row counts."""
        first, self._first = self._first, []
        return self._pipeline.execute([*first, *statements])[len(first) :]

    def commit(self, connect: Callable[[], psycopg.Connection], last: Sequence[Statement] = ()) -> list[int]:
        """Execute the last statements and commit. Return their row counts.

        If the connection is lost during the commit, another one from `connect` tells whether it succeeded; then each
        row count is given as 1. Does nothing if no statement was executed.
        """
        if self._is_committed or (self._first and not last):
            return []
        try:
            counts = self.execute_together([*last, (COMMIT, ())])[:-1]
        except psycopg.OperationalError as error:
            if not (is_of_lost_connection(error) and self._number.has_committed(connect)):
                raise
            counts = [1] * len(last)
        self._is_committed = True
        return counts

    def roll_back(self) -> None:
        """Roll back. If the connection is lost, the server does this by itself."""
        if not self._first and not self._is_committed:
            with suppress(psycopg.Error):
                self._pipeline.connection.execute("ROLLBACK")

    def _begin(self) -> None:
        if self._first:
            self.execute_together(())
