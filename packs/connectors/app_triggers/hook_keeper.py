"""Hook keeper: adds the webhooks of app triggers in their services, and removes them again.

Rows of `registered_hooks` have the work that is left. The leader does it, a few rows at a time in threads of their own,
so that a slow service delays nothing else. A failure is logged in the workspace and retried with backoff; a removal is
retried until it succeeds, or until a user confirms that there is nothing to remove. After a crash the work of a row is
repeated: see database/queries/registered_hooks.py.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import orjson

from database import execute, write
from database.base import now_ms
from database.queries import logs, registered_hooks
from database.queries.registered_hooks import CHECK_MS
from definition.triggers import NO_ADDRESS
from dispatch import Dispatcher
from errors import NodeError
from models import RegisteredHook
from nodes import REGISTRY
from nodes.base import Context
from scheduler.polls import run_in_thread

log = logging.getLogger("headrace.scheduler")
AT_ONCE = 4
WORK_SECONDS = 45.0  # timeout for one row; shorter than a claim
FIRST_BACKOFF_MS, MAX_BACKOFF_MS = 30_000, 3_600_000
MANY = 100  # attempts, which take about four days; after them, one a day
SELDOM_MS = 86_400_000
TICK_SECONDS = 1.0
Start = Callable[[Callable[[], None]], None]


class ServerKey(Protocol):
    """The server's key (`security.vault.Vault`)."""

    def sign(self, *parts: str) -> str: ...

    def seal(self, value: Any) -> str: ...


class HookKeeper:
    """Registers hooks while this process leads, see `leads`. Call `tick` every second.

    `start` runs the work of one row.
    """

    def __init__(
        self, dispatcher: Dispatcher, vault: ServerKey, leads: Callable[[], bool], start: Start = run_in_thread
    ) -> None:
        self.dispatcher, self.vault, self.leads, self.start = dispatcher, vault, leads, start

    def tick(self) -> None:
        """Begin due work, if this process leads."""
        if self.dispatcher.is_paused or not self.leads():
            return
        for row in registered_hooks.claim_due(now_ms(), AT_ONCE):
            self.start(lambda row=row: self.work(row))  # type: ignore[misc]

    def work(self, row: RegisteredHook) -> None:
        """Add or remove the webhook of a claimed row."""
        keyring = self.dispatcher.resources.keyring_of(row.workspace_id)
        try:
            if row.state == row.REMOVING:
                self._remove(row, keyring)
            else:
                self._add(row, keyring)
        except NodeError as error:
            self._fail(row, keyring.clean_text(error.message))
        except Exception:
            log.exception("the registered hook %s could not be worked on", row.id)
            self._fail(row, "an internal error; the server's log has the details")
        finally:
            registered_hooks.give_back(row)

    def _add(self, row: RegisteredHook, keyring: Any) -> None:
        base = self.dispatcher.config.public_url.rstrip("/")
        if not base:
            raise NodeError(NO_ADDRESS, permanent=True)
        url = f"{base}/api/webhooks/{row.path}"
        registration = self._open(row, keyring)
        if row.state == row.ADDED and row.url == url and registration.has(url):
            registered_hooks.put(row, next_at=now_ms() + CHECK_MS, claimed_until=0, attempts=0, last_error=None)
            return
        if row.url not in (None, url):
            registration.remove(str(row.url))  # the address of the server has changed
        # Known before the service is asked: whatever happens from here on, the hook can be found and removed.
        if not registered_hooks.put(row, url=url):
            return
        secret = registration.add(
            url, make_secret(self.vault, row.id), orjson.loads(row.events), row.id.replace("_", "-")
        )
        sealed = None if secret is None else self.vault.seal(secret)
        done = {"state": row.ADDED, "secret": sealed, "attempts": 0, "last_error": None}
        if registered_hooks.put(row, **done, next_at=now_ms() + CHECK_MS, claimed_until=0):
            self._log(row, "info", "The webhook was added in the service")

    def _remove(self, row: RegisteredHook, keyring: Any) -> None:
        if row.url is not None:
            if registered_hooks.hand_over(row):
                return
            self._open(row, keyring).remove(row.url)
            registered_hooks.check_others(row)
        if registered_hooks.end(row) and row.url is not None:
            self._log(row, "info", "The webhook was removed from the service")

    def _open(self, row: RegisteredHook, keyring: Any) -> Any:
        """Return the registration at the service. Raises: NodeError if the account or the service is unknown."""
        from packs.connectors.app_triggers.registration import Registration

        node: Any = REGISTRY.get(row.type)
        if node is None:
            raise NodeError(f"there is no node type {row.type!r} any more", permanent=True)
        scope: Mapping[str, str] = orjson.loads(row.scope)
        register = node.preset["register"]
        resources = self.dispatcher.resources
        ctx = Context(
            row.node_id, {}, {}, row.id, time.monotonic() + WORK_SECONDS, services=resources.services, keyring=keyring
        )
        account = keyring.use(row.account_id, *register["account"])
        return Registration(node.preset["name"], register, scope, account, ctx)

    def _fail(self, row: RegisteredHook, message: str) -> None:
        """Note a failure, and when to try again."""
        attempts = row.attempts + 1
        wait = SELDOM_MS if attempts >= MANY else min(FIRST_BACKOFF_MS * 2 ** min(attempts - 1, 20), MAX_BACKOFF_MS)
        is_new = message != row.last_error or attempts == MANY
        if (
            registered_hooks.put(row, attempts=attempts, last_error=message, next_at=now_ms() + wait, claimed_until=0)
            and is_new
        ):
            done = "removed" if row.state == row.REMOVING else "added"
            self._log(row, "error", f"The webhook could not be {done}; it is tried again: {message}")

    def _log(self, row: RegisteredHook, level: str, message: str) -> None:
        data = {"workflow_id": row.workflow_id, "service": row.type, "address": row.url or row.path}
        with write():
            text = orjson.dumps(data).decode()
            execute(*logs.entry(row.workspace_id, None, row.node_id, level, message, text))


def make_jobs(server: Any) -> dict[Callable[[], object], float]:
    """Return what the scheduler of this `Server` calls, and after how many seconds each time."""
    return {HookKeeper(server.dispatcher, server.vault, lambda: server.scheduler.leads()).tick: TICK_SECONDS}


def make_secret(vault: ServerKey, hook_id: str) -> str:
    """Return the secret with which a service signs, if we choose it: it needs to be stored nowhere."""
    return vault.sign("registered hook", hook_id)
