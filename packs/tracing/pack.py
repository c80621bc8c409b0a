"""Tracing: a span for each run and each execution of a node, sent to a collector of OpenTelemetry."""

from registry import Registry


def setup(registry: Registry) -> None:
    registry.parts["tracing"] = "packs.tracing.spans"
