"""Workflow server: Headrace's WSGI app and its command line.

`python workflow_server.py` serves, `… run flow.json` runs a flow, and `… worker` starts a process that executes runs
and answers no requests.
"""

# ruff: noqa: E402
from __future__ import annotations

import gc

from database.queries import server_state

# Imported modules stay in memory; searching them for garbage would take a seventh of the start.
gc.disable()

import logging
import sys
import threading
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import Rule

import api
import config as settings
import database
import server_log
import worker
from api.http.request_metrics import RequestMetrics
from api.run_answer import protect_headers
from api.shortcut import ApiShortcut
from api.webhooks.auth import KeySets, make_fetch
from api.webhooks.event_stream import Streams
from api.webhooks.rate_limit import Guesses, RateLimits, RefusalLog
from config import Config
from database import DatabaseRefused, backups, lock_wait
from database.checkpoints import Checkpoints
from dispatch import Dispatcher, Links, Resources, make_services
from dispatch.histograms import PUBLISH_SECONDS, Counter, Histogram, MetricsPublisher
from dispatch.queues import LANES, Broker, Lane
from dispatch.recorder import Recorder
from dispatch.resources import find_value_store
from errors import ConfigError, HeadraceError
from nodes import plugins
from registry import registry
from scheduler import Scheduler
from security import accounts, key_rotation
from security.credentials import Credentials
from security.vault import Vault
from server_log import install, make_handler

gc.freeze()
gc.enable()

log = logging.getLogger("headrace")


class LazyUrlRule(Rule):
    """A URL rule that compiles its address builder at each use: the app uses none, and all 334 take 25 ms."""

    def _compile_builder(self, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        compile_builder = super()._compile_builder
        return lambda rule, **values: compile_builder(append_unknown)(rule, **values)


class App(Flask):
    """Flask without its check of each function in each request: all views and hooks here are plain functions."""

    url_rule_class = LazyUrlRule

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        return func


class Server:
    """The parts of one process. None is active before `start`, so that it survives a fork."""

    def __init__(self, config: Config, inline: bool = False, lanes: Collection[Lane] = LANES) -> None:
        self.config = config
        self.vault = Vault.open(config)
        self.credentials = Credentials(self.vault)
        self.recorder = Recorder()
        self.checkpoints = Checkpoints()
        links = Links(self.vault.sign, config.base_url)
        resources = Resources(config, make_services(config), links, self.credentials.find)
        broker: Broker | None = None
        if config.broker_url:
            broker = registry.find_part("celery", "CELERY_BROKER_URL").make_broker(config, lanes)
        self.dispatcher = Dispatcher(resources, self.recorder, inline, broker=broker)
        self.dispatcher.lanes = lanes
        self.requests = RequestMetrics()
        self.error_headers = protect_headers([])  # of requests that are refused without the app
        counted: list[Histogram | Counter] = [
            self.recorder.commit_seconds, self.recorder.group_size, self.requests.seconds, self.requests.responses,
        ]  # fmt: skip
        counted += [] if broker is None else [broker.offer_counts]
        self.metrics = MetricsPublisher(self.dispatcher, counted)
        jobs: dict[Callable[[], object], float] = {self.metrics.publish: PUBLISH_SECONDS}
        for make_jobs in registry.server_jobs:
            jobs |= make_jobs(self)
        self.scheduler = Scheduler(self.dispatcher, jobs)
        self.rates = RateLimits(config.data_dir / "rates")
        self.refusals = RefusalLog()
        self.guesses = Guesses(self.rates)
        self.streams = Streams(self.dispatcher)
        self.key_sets = KeySets(make_fetch(resources.services.http))
        self.shortcut = ApiShortcut(self.dispatcher, self.vault, self.guesses)
        lock_wait.limit_threads(max(1, config.threads // 2))
        self.first_login: server_log.Login | None = None
        self.has_seen_proxy = False  # an untrusted one: see api/http/request_origin.py
        self._ending = threading.Lock()
        self._has_ended = False
        self.cached_answers: dict[str, Any] = {}  # by view: see api/http/caching.py

    def start(self) -> None:
        """Start the threads of this process. Raises: ConfigError if its key or its database was changed meanwhile."""
        self._has_ended = False
        database.limit_all_waits()
        self.checkpoints.start()
        self.recorder.start()
        if self.config.otlp_url:
            tracing = registry.find_part("tracing", "HEADRACE_OTLP_URL")
            self.dispatcher.executor.tracing = tracing.Tracing(self.config.otlp_url, self.dispatcher.resources)
        self.dispatcher.start()
        self.dispatcher.lease.keep()
        self.check_database()
        self.scheduler.start()

    def check_database(self) -> None:
        """Check the key again, and that the data was not moved, now that commands can see this process."""
        try:
            server_state.check_not_moved()
            is_right = self.credentials.is_key_current()
        except DatabaseRefused:
            log.exception("the database cannot be read; the key will be checked at its first use")
            return
        if not is_right:
            raise ConfigError("The server's key was changed while the server started; start it again")

    def stop(self) -> None:
        """Stop the threads, runs first. A second caller returns when that is done."""
        database.limit_waits(None)
        with self._ending:
            if not self._has_ended:
                self.scheduler.stop()
                self.dispatcher.stop()
                self.recorder.stop()
                self.metrics.publish_last()
                self.dispatcher.executor.tracing.stop()
                self.checkpoints.stop()
                self._has_ended = True
        database.disconnect()


def create_app(config: Config | None = None, inline: bool = False, print_login: bool = True) -> Flask:
    """Return the app for the config's database, migrated and with an owner. `extensions["headrace"]` is its `Server`.

    A generated password of a new owner is printed; with `print_login=False` it is in the `Server`'s `first_login`
    instead, for the caller to print. A process has one set of node types: those of the last config.
    """
    if config is None:
        config = Config.from_env()
        for unknown in settings.find_unknown_settings():
            log.warning("%s", unknown)
    plugins.prepare(config)
    login = prepare(config)
    if login is not None and print_login:
        sys.stderr.write(server_log.format_first_login(login))
    app = App("headrace", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = config.max_body_bytes
    if config.trusted_proxies:
        hops = config.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    app.extensions["headrace"] = Server(config, inline)
    app.extensions["headrace"].first_login = login
    api.install(app, config.web_dir or Path(__file__).parent / "web" / "dist")
    return app


def check_broker(config: Config) -> None:
    """Raise ConfigError if the processes of this server cannot share its database, and are to share a broker."""
    if config.broker_url and not config.is_postgres:
        raise ConfigError(
            "CELERY_BROKER_URL is set, but the database is an SQLite file, which several machines cannot share; set "
            "DATABASE_URL to a PostgreSQL database, or remove CELERY_BROKER_URL"
        )


def prepare(config: Config) -> server_log.Login | None:
    """Open and migrate the database, check its key, and create the first owner if there is none.

    Return the owner's address and password if it was generated: it is stored nowhere else.
    """
    check_broker(config)
    if config.otlp_url:
        registry.find_part("tracing", "HEADRACE_OTLP_URL").check_packages()
    if config.values_url:
        find_value_store().check_values(config)
    backups.check_not_restoring(config)
    config.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    database.connect(config.database, config.durability)
    if not config.is_postgres:
        database.restrict_access(config.database_path)
    database.migrate()
    with database.write():
        server_state.check_not_moved()
        key_rotation.check_key(config)
        login = accounts.make_first_owner(config)
    database.disconnect()
    return login


def work(config: Config, lanes: Collection[Lane] = LANES) -> None:
    """Execute runs of these lanes in this process until SIGTERM or SIGINT. It answers no requests."""
    logging.getLogger().setLevel(logging.INFO)  # of other commands, it has only warnings
    install(config)
    plugins.prepare(config)
    login = prepare(config)
    if login is not None:
        sys.stderr.write(server_log.format_first_login(login))
    worker.work(Server(config, lanes=lanes))


def serve(lanes: Collection[Lane] | None = None, concurrency: int | None = None) -> None:
    """Serve with gunicorn in this process, which has already imported the app; with `lanes`, be a worker instead."""
    config = Config.from_env()
    if lanes is not None or config.role == "worker":
        work(replace(config, role="worker", run_threads=concurrency or config.run_threads), lanes or LANES)
        return
    from gunicorn.app.base import Application

    class Gunicorn(Application):
        def load_config(self) -> None:
            self.load_config_from_file(str(Path(__file__).parent / "gunicorn.conf.py"))

        def load(self) -> Flask:
            return create_app(print_login=False)

    check_broker(config)
    Gunicorn().run()


def main() -> None:
    """Serve, or run the command in the arguments. A server does not keep the commands in memory."""
    logging.basicConfig(level=logging.INFO, handlers=[make_handler()])
    if sys.argv[1:]:
        import cli

        cli.main(obj=serve)
        return
    try:
        serve()
    except (HeadraceError, ConfigError, OSError) as error:
        import cli

        cli.exit_with(error)


if __name__ == "__main__":
    main()
