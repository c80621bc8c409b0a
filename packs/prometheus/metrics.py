"""Prometheus metrics of the whole server. docs/monitoring.md describes each of them.

All are read from the database, so they cover all processes, independently of the one that answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any, NamedTuple, TypeAlias

from flask import Flask, Response

from api.http.auth import require_role
from api.http.json_io import get_dispatcher
from constants import ENDED
from database import space
from database.base import now_ms
from database.queries import leases, schedules, server_metrics
from database.queries.metrics import failing_polls, overdue_polls, totals
from database.queries.server_metrics import Count, count_claimable, count_unfinished, find_queue_age, measure_flows
from dispatch import Dispatcher
from dispatch.histograms import COUNT, INFINITY, REQUEST_SECONDS, SECONDS, SIZES, SUM, format_bound
from dispatch.resources import Resources, find_version, is_task
from errors import HeadraceError

# Lanes of claimable runs: `slow` for runs that may hold a thread for minutes, `runs` for all others.


def count_by_lane(resources: Resources) -> dict[str, int]:
    """Return the number of claimable runs by lane. A flow that cannot be planned counts for `runs`."""
    counts = {"runs": 0, "slow": 0}
    for workflow_id, version, count in count_claimable():
        counts["slow" if _is_slow(resources, workflow_id, version) else "runs"] += count
    return counts


def _is_slow(resources: Resources, workflow_id: str, version: int | None) -> bool:
    if is_task(workflow_id):
        return True
    row = find_version(workflow_id, version)
    if row is None:
        return False
    try:
        return resources.plans.get(workflow_id, int(version or 0), lambda: str(row.definition_json)).is_slow
    except HeadraceError:
        return False


# Name of the metric, values of the labels, value.
Sample: TypeAlias = tuple[str, tuple[str, ...], float]


class Metric(NamedTuple):
    """A metric: its kind is gauge, counter or histogram. `bounds` are those of a histogram."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ()
    bounds: Sequence[float] = ()


FLOW = ("workspace_id", "workflow_id")
METRICS = (
    Metric("headrace_runs", "gauge", "Runs by status, ever", ("status",)),
    Metric("headrace_ended_runs_total", "counter", "Runs that have ended, by status", ("status",)),
    Metric("headrace_unfinished_runs", "gauge", "Unfinished runs by state", ("state",)),
    Metric("headrace_claimable_runs", "gauge", "Runs that any process may execute now, by lane", ("lane",)),
    Metric("headrace_oldest_claimable_seconds", "gauge", "Age of the oldest run that no process has claimed yet"),
    Metric("headrace_workflow_info", "gauge", "1 for each of the busiest flows, with its name", (*FLOW, "name")),
    Metric("headrace_workflow_runs_total", "counter", "Ended runs of the busiest flows", (*FLOW, "status")),
    Metric("headrace_workflow_run_seconds_total", "counter", "Sum of the durations of these runs", FLOW),
    Metric("headrace_workflow_unfinished_runs", "gauge", "Unfinished runs of the busiest flows", (*FLOW, "state")),
    Metric("headrace_processes", "gauge", "Living processes, by role", ("role",)),
    Metric("headrace_active_runs", "gauge", "Runs that the processes have queued or execute", ("role",)),
    Metric("headrace_run_threads", "gauge", "Threads of the processes for runs", ("role",)),
    Metric("headrace_queued_runs", "gauge", "Runs that wait for a thread of their process", ("role",)),
    Metric("headrace_broker_offers_total", "counter", "Ids of runs given to the broker, by result", ("result",)),
    Metric("headrace_broker_unsent_offers", "gauge", "Ids that wait to be sent to the broker", ("role",)),
    Metric("headrace_broker_down", "gauge", "Processes for which the broker is down", ("role",)),
    Metric("headrace_broker_deaf_seconds", "gauge", "Longest silence of the broker while runs were pending", ("role",)),
    Metric("headrace_commit_seconds", "histogram", "Duration of commits of runs", (), SECONDS),
    Metric("headrace_commit_size", "histogram", "Units of writes in a commit of runs", (), SIZES),
    Metric("headrace_http_request_seconds", "histogram", "Duration of requests", ("route",), REQUEST_SECONDS),
    Metric("headrace_http_responses_total", "counter", "Responses by class of the status", ("status",)),
    Metric("headrace_paused", "gauge", "1 while the server is paused and starts nothing"),
    Metric("headrace_schedules_overdue", "gauge", "Schedules over a minute late"),
    Metric("headrace_polls_failing", "gauge", "Triggers whose last poll failed"),
    Metric("headrace_polls_overdue", "gauge", "Polls over a minute late"),
    Metric("headrace_database_bytes", "gauge", "Size of the database"),
    Metric("headrace_database_free_bytes", "gauge", "Free bytes within the database"),
)


def install(app: Flask) -> None:
    """Add the address of the metrics to the app."""
    app.add_url_rule("/metrics", "prometheus", export)


@require_role("viewer", admin=True)
def export() -> Response:
    """Show the whole server's metrics as Prometheus text. Admins of the server only; use an API token of one."""
    # Counts tell a stranger how busy the server is; Prometheus can send a bearer token.
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry()
    registry.register(_Collector(get_dispatcher()))
    return Response(generate_latest(registry), content_type="text/plain; version=0.0.4; charset=utf-8")


class _Collector:
    """Gives the metrics in the form that `prometheus_client` formats."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self.dispatcher = dispatcher

    def collect(self) -> Iterator[Any]:
        """Yield the metrics with their values."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        found: dict[str, list[tuple[tuple[str, ...], float]]] = {metric.name: [] for metric in METRICS}
        counts = server_metrics.list_counts()
        counted = [(metric, labels, value) for metric, labels, part, value in counts if part == COUNT]
        for name, labels, value in (*_read_runs(self.dispatcher), *_read_server(self.dispatcher), *counted):
            found[name].append((labels, value))
        for name, kind, help, labels, bounds in METRICS:
            if kind == "histogram":
                histogram = HistogramMetricFamily(name, help, labels=labels)
                for values, buckets, total in _read_histogram(name, bounds, counts):
                    histogram.add_metric(values, buckets, total)
                yield histogram
            else:
                family = (CounterMetricFamily if kind == "counter" else GaugeMetricFamily)(name, help, labels=labels)
                for values, value in found[name]:
                    family.add_metric(values, value)
                yield family


def _read_runs(dispatcher: Dispatcher) -> Iterator[Sample]:
    """Yield the values about runs and flows."""
    for status, count in totals().items():
        yield "headrace_runs", (status,), count
        if status in ENDED:
            yield "headrace_ended_runs_total", (status,), count
    unfinished = count_unfinished()
    for state, counts in unfinished.items():
        yield "headrace_unfinished_runs", (state,), counts.total()
    for lane, count in count_by_lane(dispatcher.resources).items():
        yield "headrace_claimable_runs", (lane,), count
    yield "headrace_oldest_claimable_seconds", (), find_queue_age(now_ms())
    for flow in measure_flows(unfinished):
        key = (flow.workspace_id, flow.workflow_id)
        yield "headrace_workflow_info", (*key, flow.name), 1
        yield "headrace_workflow_runs_total", (*key, "success"), flow.success
        yield "headrace_workflow_runs_total", (*key, "failed"), flow.failed
        yield "headrace_workflow_run_seconds_total", key, flow.duration_ms / 1000
        for state, count in flow.unfinished.items():
            yield "headrace_workflow_unfinished_runs", (*key, state), count


def _read_server(dispatcher: Dispatcher) -> Iterator[Sample]:
    """Yield the values about processes, schedules, polls and the database."""
    for role, processes, load in leases.count_by_role():
        yield "headrace_processes", (role,), processes
        yield "headrace_active_runs", (role,), load.active
        yield "headrace_run_threads", (role,), load.threads
        yield "headrace_queued_runs", (role,), load.queued
        yield "headrace_broker_unsent_offers", (role,), load.unsent
        yield "headrace_broker_down", (role,), load.is_broker_down
        yield "headrace_broker_deaf_seconds", (role,), load.deaf_ms / 1000
    now, (size, free) = now_ms(), space()
    yield "headrace_paused", (), dispatcher.is_paused
    yield "headrace_schedules_overdue", (), schedules.overdue(now)
    yield "headrace_polls_failing", (), failing_polls()
    yield "headrace_polls_overdue", (), overdue_polls(now)
    yield "headrace_database_bytes", (), size
    yield "headrace_database_free_bytes", (), free


def _read_histogram(
    name: str, bounds: Sequence[float], counts: Iterable[Count]
) -> Iterator[tuple[tuple[str, ...], list[Any], float]]:
    """Yield the labels, the cumulative buckets and the sum of each series of a histogram."""
    known = [*map(format_bound, bounds), INFINITY]
    series: dict[tuple[str, ...], dict[str, float]] = {}
    for metric, labels, part, value in counts:
        if metric == name:
            series.setdefault(labels, {})[part] = value
    for labels, parts in series.items():
        total = parts.pop(SUM, 0.0)
        # Bounds of an earlier version are shown too, or its values would be missing from the buckets.
        shown = sorted({*known, *parts}, key=float)
        values = accumulate(parts.get(bound, 0.0) for bound in shown)
        yield labels, list(zip(shown, values, strict=True)), total
