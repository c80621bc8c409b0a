"""Tracing for OpenTelemetry: a span for each run and each execution of a node, sent by OTLP over HTTP.

The ids of spans are computed from the ids of runs and the numbers of steps. So the span of a run is sent once, at its
end, by the process that ends it, however many processes have executed it; and the spans of its nodes are sent before.
Spans have no inputs, outputs or texts of errors, since these may contain data.

Spans wait in a bounded queue for the SDK's thread. If the collector is slow or does not answer, they are dropped.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Collection
from functools import partial
from hashlib import blake2b
from importlib.util import find_spec
from typing import Any, NamedTuple

from constants import ENDED, VERSION
from dispatch.resources import NoTracing, Resources
from engine import StepRecord
from errors import ConfigError
from models import Run
from server_log import CURRENT

log = logging.getLogger("headrace.tracing")
PATH = "/v1/traces"
STOP_SECONDS = 2.0  # for the last spans to be sent when the process ends
MAX_ANCESTORS = 20  # of a run
# https://www.w3.org/TR/trace-context/#traceparent-header; a later version may have more fields.
TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
CLIENTS = ("http", "graphql")  # node types whose requests carry the span's context


class Trace(NamedTuple):
    """The place of a run in a trace: its own span, and the span that caused it."""

    trace_id: int
    span_id: int
    parent_id: int | None = None
    is_sampled: bool = True


class SeenStep(NamedTuple):
    """A step, and the time (ns since 1970) at which it was seen."""

    step: StepRecord
    at: int


def check_packages() -> None:
    """Raise ConfigError if the packages for traces are not installed."""
    try:
        is_there = find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:
        is_there = False
    if not is_there:
        raise ConfigError(
            "HEADRACE_OTLP_URL is set, but the packages for traces are not installed; install them with "
            "`.venv/bin/python -m pip install -r packs/tracing/requirements.txt`, or remove the setting"
        )


class Tracing(NoTracing):
    """Makes spans of runs and steps, and hands them to the SDK's exporter."""

    def __init__(self, url: str, resources: Resources) -> None:
        from opentelemetry import trace as api
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk import trace as sdk
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import Decision
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope

        self.resources, self._api, self._sdk = resources, api, sdk
        self._sampled = Decision.RECORD_AND_SAMPLE
        self._scope = InstrumentationScope("headrace", VERSION)
        # The OTEL_… variables have priority.
        ours = {"service.version": VERSION, "headrace.role": resources.config.role}
        described = Resource(ours).merge(Resource.create())
        if str(described.attributes.get("service.name", "")).startswith("unknown_service"):
            described = described.merge(Resource({"service.name": "headrace"}))
        # It reads the OTEL_… variables for the sampler. Its tracers are not used: they would choose the ids.
        self._provider = sdk.TracerProvider(resource=described, shutdown_on_exit=False)
        address = url.rstrip("/")
        exporter = OTLPSpanExporter(endpoint=address if address.endswith(PATH) else address + PATH)
        self._processor = BatchSpanProcessor(exporter)

    def stop(self) -> None:
        """Send the last spans, for STOP_SECONDS at most."""
        ending = threading.Thread(target=self._processor.shutdown, name="traces", daemon=True)
        ending.start()
        ending.join(STOP_SECONDS)

    # Places of runs in traces

    def find_place(self, run: Run, given: Any = None) -> Trace | None:
        """Return the place of a run: in the trace of the webhook's caller or of the run that started it, else in a new
        one. `given` is the run's input, which is read if it is needed. Return None if the place cannot be found.
        """
        try:
            return self._find_place(run, given, MAX_ANCESTORS)
        except Exception as error:
            log.debug("run %s has no trace: %s", run.id, error)
            return None

    def _find_place(self, run: Run, given: Any, ancestors: int) -> Trace:
        api, span_id = self._api, _make_id(8, run.id)
        if run.parent_run_id is not None and ancestors:
            parent = Run.find(run.parent_run_id)
            if parent is not None:
                above = self._find_place(parent, None, ancestors - 1)
                return above._replace(span_id=span_id, parent_id=above.span_id)
        caller = self._find_caller(run, given) if run.triggered_by == "webhook" else None
        if caller is None:
            trace_id, parent_id, context = _make_id(16, run.id), None, None
        else:
            trace_id, parent_id, flags = caller
            remote = api.SpanContext(trace_id, parent_id, True, api.TraceFlags(flags & 1))
            context = api.set_span_in_context(api.NonRecordingSpan(remote))
        sampled = self._provider.sampler.should_sample(context, trace_id, str(run.workflow_name))
        is_sampled = sampled.decision is self._sampled
        return Trace(trace_id, span_id, parent_id, is_sampled)

    def _find_caller(self, run: Run, given: Any) -> tuple[int, int, int] | None:
        """Return trace, span and flags of the webhook's `traceparent`; None without a valid one."""
        value = self.resources.input_of(run) if given is None else given
        headers = value.get("headers") if isinstance(value, dict) else None
        text = headers.get("traceparent") if isinstance(headers, dict) else None
        found = TRACEPARENT.fullmatch(text) if isinstance(text, str) else None
        return (int(found[1], 16), int(found[2], 16), int(found[3], 16)) if found else None

    # Spans

    def see_step(self, place: Trace | None, run: Run, step: StepRecord) -> None:
        """Send the span of a step that has ended. While one runs, requests of this thread carry its context."""
        if place is None:
            return
        if step.status == "running":
            flags = int(place.is_sampled)
            CURRENT.traceparent = f"00-{place.trace_id:032x}-{_make_id(8, run.id, step.seq):016x}-{flags:02x}"
        else:
            CURRENT.traceparent = ""
            self._send_step(place, run, SeenStep(step, time.time_ns()))

    def watch_steps(self, record: Callable[[StepRecord], None]) -> tuple[Any, list[SeenStep]]:
        """Return a function that records a step of a quick run and notes its time, and the list of noted steps."""
        steps: list[SeenStep] = []
        return partial(_note_step, record, steps), steps

    def see_quick_run(self, run: Run, given: Any, steps: Collection[SeenStep]) -> None:
        """Send the spans of a quick run that has ended, with this input."""
        place = self.find_place(run, given)
        for seen in steps:
            self._send_step(place, run, seen)
        self.see_end(place, run)

    def see_end(self, place: Trace | None, run: Run) -> None:
        """Send the span of a run that has ended."""
        if place is None or not place.is_sampled:
            return
        details: dict[str, Any] = {
            "headrace.workflow.version": run.workflow_version, "headrace.triggered_by": run.triggered_by,
            "headrace.status": run.status, "headrace.cancelled": bool(run.cancelled), "headrace.claims": run.claims,
            "headrace.error.node_id": run.error_node_id, "headrace.retry_of": run.retry_of,
        }  # fmt: skip
        kind = self._api.SpanKind.SERVER if run.triggered_by == "webhook" else self._api.SpanKind.INTERNAL
        error = (run.error_kind or "other") if run.status == "failed" else None
        times = (int(run.created_at) * 1_000_000, time.time_ns())
        self._send(place, run, str(run.workflow_name), kind, times, details, error)

    def see_unexecuted_end(self, run_id: str) -> None:
        """Send the span of a run that was cancelled, or whose definition is not valid any more."""
        try:
            run = Run.find(run_id)
        except Exception as error:
            log.debug("run %s has no span: %s", run_id, error)
            return
        if run is not None:
            self.see_end(self.find_place(run), run)

    def _send_step(self, place: Trace | None, run: Run, seen: SeenStep) -> None:
        step, at = seen
        if place is None or not place.is_sampled or step.status not in ENDED:
            return
        of_step = Trace(place.trace_id, _make_id(8, run.id, step.seq), place.span_id)
        details = {
            "headrace.node.id": step.node_id, "headrace.node.type": step.node_type, "headrace.step": step.seq,
            "headrace.attempt": step.attempt, "headrace.item": step.item_index, "headrace.branch": step.branch,
        }  # fmt: skip
        kind = self._api.SpanKind.CLIENT if step.node_type in CLIENTS else self._api.SpanKind.INTERNAL
        error = (step.error_kind or "other") if step.status == "failed" else None
        times = (at - int((step.duration_ms or 0) * 1_000_000), at)
        self._send(of_step, run, step.node_name or step.node_id, kind, times, details, error)

    def _send(
        self, place: Trace, run: Run, name: str, kind: Any, times: tuple[int, int], details: dict[str, Any],
        error: str | None,
    ) -> None:  # fmt: skip
        """Hand a span to the SDK. `error` is its kind of error."""
        api = self._api
        attributes = {
            "headrace.run.id": str(run.id), "headrace.workflow.id": str(run.workflow_id),
            "headrace.workspace.id": str(run.workspace_id), "error.type": error, **details,
        }  # fmt: skip
        flags = api.TraceFlags(api.TraceFlags.SAMPLED)
        parent = None
        if place.parent_id is not None:
            parent = api.SpanContext(place.trace_id, place.parent_id, False, flags)
        status = api.StatusCode.UNSET if error is None else api.StatusCode.ERROR
        span = self._sdk.ReadableSpan(
            name, api.SpanContext(place.trace_id, place.span_id, False, flags), parent, self._provider.resource,
            {name: value for name, value in attributes.items() if value is not None}, kind=kind,
            status=api.Status(status), start_time=times[0], end_time=times[1], instrumentation_scope=self._scope,
        )  # fmt: skip
        try:
            self._processor.on_end(span)
        except Exception as error_of_sdk:
            log.debug("a span was lost: %s", error_of_sdk)


def _note_step(record: Callable[[StepRecord], None], steps: list[SeenStep], step: StepRecord) -> None:
    record(step)
    steps.append(SeenStep(step, time.time_ns()))


def _make_id(size: int, *parts: object) -> int:
    """Return the id, of so many bytes, of a span or a trace."""
    return int.from_bytes(blake2b(repr(parts).encode(), digest_size=size).digest()) or 1
