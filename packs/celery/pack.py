"""Celery: a queue that brings runs to workers on several machines, through RabbitMQ or Redis."""

from collections.abc import Collection

from config import Config
from dispatch.queues import Broker, Lane
from errors import ConfigError
from registry import Registry


def setup(registry: Registry) -> None:
    registry.parts["celery"] = "packs.celery.pack"


def make_broker(config: Config, lanes: Collection[Lane]) -> Broker:
    """Return the queue of CELERY_BROKER_URL, without a connection. A worker executes the runs of these lanes.

    Raises: ConfigError if the extra `celery` is not installed.
    """
    try:
        from packs.celery.queue import CeleryQueue
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"CELERY_BROKER_URL is set, but the package {error.name} is not installed; start with EXTRAS=celery, or "
            "run `.venv/bin/python -m pip install -r packs/celery/requirements.txt`"
        ) from None
    return CeleryQueue(config.broker_url, lanes if config.role == "worker" else (), config.run_threads)
