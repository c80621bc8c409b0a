"""Publisher of the metrics of this process: it adds them to the database, where each process can read those of all."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from database import write_leases
from database.queries import leases, server_metrics
from database.queries.leases import Load

from .dispatcher import Dispatcher
from .histograms import Counter, Histogram

log = logging.getLogger("headrace.dispatch")
PUBLISH_SECONDS = 10  # between two writes


class MetricsPublisher:
    """Call `publish` every PUBLISH_SECONDS, and `publish_last` at the end."""

    def __init__(self, dispatcher: Dispatcher, counted: Sequence[Histogram | Counter]) -> None:
        self.dispatcher, self.counted = dispatcher, counted

    def publish(self) -> None:
        """Write the counts since the last call, and the load of this process. Raises: errors of the database."""
        dispatcher = self.dispatcher
        lease, config = dispatcher.lease, dispatcher.config
        state = None if dispatcher.broker is None else dispatcher.broker.state()
        of_broker = () if state is None else (state.depth, int(state.is_down), round(state.deaf_for * 1000))
        load = Load(dispatcher.active_count(), config.run_threads, dispatcher.queue.state().depth, *of_broker)
        taken = [(one, one.take()) for one in self.counted]
        try:
            with write_leases():
                server_metrics.add_counts(count for _, counts in taken for count in counts)
                leases.describe(lease.owner, config.role, load)
        except BaseException:
            for one, counts in taken:
                one.give_back(counts)
            raise

    def publish_last(self) -> None:
        """Write the last counts of this process, if the database takes them."""
        try:
            self.publish()
        except Exception as error:
            log.warning("the last metrics of this process could not be written: %s", error)
