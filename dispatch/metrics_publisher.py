"""Publisher of the metrics of this process: it adds them to the database, where each process can read those of all."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from database import write_leases
from models import Lease, MetricCount

from .dispatcher import Dispatcher
from .histograms import Histogram

log = logging.getLogger("headrace.dispatch")
PUBLISH_SECONDS = 10  # between two writes


class MetricsPublisher:
    """Call `publish` every PUBLISH_SECONDS, and `publish_last` at the end."""

    def __init__(self, dispatcher: Dispatcher, histograms: Sequence[Histogram]) -> None:
        self.dispatcher, self.histograms = dispatcher, histograms

    def publish(self) -> None:
        """Write the counts since the last call, and the active runs of this process. Raises: errors of the database."""
        taken = [(histogram, histogram.take()) for histogram in self.histograms]
        dispatcher = self.dispatcher
        try:
            with write_leases():
                MetricCount.add_all(count for _, counts in taken for count in counts)
                Lease.describe(
                    dispatcher.lease.owner,
                    dispatcher.config.role,
                    dispatcher.active_count(),
                    dispatcher.config.run_threads,
                )
        except BaseException:
            for histogram, counts in taken:
                histogram.give_back(counts)
            raise

    def publish_last(self) -> None:
        """Write the last counts of this process, if the database takes them."""
        try:
            self.publish()
        except Exception as error:
            log.warning("the last metrics of this process could not be written: %s", error)
