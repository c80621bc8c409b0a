"""The server of this process (see workflow_server.py), for views."""

from __future__ import annotations

from typing import Any

from flask import current_app

from config import Config
from dispatch import Dispatcher


def get_server() -> Any:
    """Return the server of this process."""
    return current_app.extensions["headrace"]


def get_config() -> Config:
    """Return the server's config."""
    config: Config = get_server().config
    return config


def get_dispatcher() -> Dispatcher:
    """Return the server's dispatcher."""
    dispatcher: Dispatcher = get_server().dispatcher
    return dispatcher
