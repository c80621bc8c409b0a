"""Handlers: functions for the few operations that a connector's file cannot describe, a module for each service."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any


def find_handler(type_: str, name: str) -> Callable[[Any], Any]:
    """Return the function that a connector's file names as `handler`, and which gets the `ConnectorExchange`.

    It stands in the module that is named after the connector, or in others.py.
    """
    found: Any = getattr(import_module(f"{__name__}.others"), f"{type_}_{name}", None)
    return found or getattr(import_module(f"{__name__}.{type_}"), name)
