"""Prometheus: metrics of the whole server at /metrics, in the format of Prometheus."""

from registry import Registry


def setup(registry: Registry) -> None:
    registry.pages.append("packs.prometheus.metrics:install")
