"""Runs of entries: a polling trigger starts a run for an entry, a listening trigger for a message."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import orjson

from database import execute
from database.base import new_id
from database.queries import logs
from database.queries import runs as run_queries
from database.queries.polls import Claim
from database.queries.webhooks import Fired
from dispatch import Dispatcher, Line, encode_item
from dispatch.debounce import Collected, DebouncedCall, Debouncer, find_debouncer
from errors import BadInput, DatabaseLost, NodeError
from models import Run, Workflow
from nodes.base import Item
from nodes.credentials.keyring import Keyring

# The digest of an entry's key, or None if it is not to be remembered; and the result of `prepare`.
Entry = tuple[bytes | None, Any]


class EntryRuns(Protocol):
    """Starts runs for the entries of a trigger. Call `open`, `needs_room`, `put` and `close` inside a transaction."""

    def prepare(self, item: Item, lines: list[Line]) -> Any:
        """Return the argument of `put` for an entry; None, with a log entry, if its value cannot be an input."""

    def open(self, prepared: Iterable[Any]) -> None:
        """Take the locks of these entries. Call it first in the transaction, before any other lock is taken."""

    def needs_room(self, one: Any) -> bool:
        """Return True if `put` adds a run."""

    def put(self, one: Any) -> str:
        """Write the run of an entry. Return its id."""

    def close(self) -> None:
        """Write the changes of `put` that are not written yet. Call it at the end of the transaction."""

    def discard(self, one: Any) -> None:
        """Delete the value that `prepare` has stored."""


def make_entry_runs(dispatcher: Dispatcher, claim: Claim, flow: Workflow, keyring: Keyring) -> EntryRuns:
    """Return the object that makes runs from the entries of this trigger. Its flow is active."""
    single = SingleRuns(dispatcher, claim, flow, keyring)
    fired = Fired(flow.id, flow.version, flow.name, flow.workspace_id, "active")
    debouncer = find_debouncer(dispatcher.resources, fired, claim.node_id, "schedule")
    return single if debouncer is None else CollectedRuns(single, debouncer)


def name_of(claim: Claim, flow: Workflow) -> str:
    return f"The trigger {claim.node_id} of the flow {flow.name}"


def write_log(claim: Claim, flow: Workflow, lines: list[Line]) -> None:
    """Write these lines to the workspace's log. Call inside a transaction."""
    for level, message, data in lines:
        told = {"workflow_id": claim.workflow_id, **({} if data is None else {"data": orjson.Fragment(data)})}
        text = orjson.dumps(told).decode()
        execute(*logs.entry(flow.workspace_id, None, claim.node_id, level, message, text))


def put_or_discard(runs: EntryRuns, made: Sequence[Entry], put: Callable[[Sequence[Entry]], int]) -> int:
    """Return the number of entries that `put` has recorded; discard the runs of the others.

    If the database is lost, the runs may be recorded nevertheless; if not, retention deletes their values.
    """
    taken = 0
    try:
        taken = put(made)
    except DatabaseLost:
        taken = len(made)
        raise
    finally:
        for _, one in made[taken:]:
            if one is not None:
                runs.discard(one)
    return taken


def put_entries(
    runs: EntryRuns, made: Sequence[Entry], find_room: Callable[[], int], may_start: Callable[[], bool]
) -> list[str | None]:
    """Write the runs of these entries as far as there is room. Return the ids; None for an entry without a run.

    Call inside a transaction, after `runs.open`.
    """
    room = find_room() if any(one is not None for _, one in made) else 0
    ids: list[str | None] = []
    for _, one in made:
        if one is not None and runs.needs_room(one):
            if room <= 0 or not may_start():
                break
            room -= 1
        ids.append(None if one is None else runs.put(one))
    runs.close()
    return ids


class SingleRuns:
    """One run for each entry."""

    def __init__(self, dispatcher: Dispatcher, claim: Claim, flow: Workflow, keyring: Keyring) -> None:
        self.dispatcher, self.claim, self.flow, self.keyring = dispatcher, claim, flow, keyring
        self.payloads = dispatcher.resources.payloads

    def prepare(self, item: Item, lines: list[Line]) -> Run | None:
        id_ = new_id("run")
        encoded = self.encode(item, lines)
        if encoded is None:
            return None
        kept = self.payloads.keep(id_, "input", encoded)
        return run_queries.accept(
            self.flow, id=id_, input=kept.text, input_bytes=kept.size, triggered_by="schedule",
            trigger_node=self.claim.node_id,
        )  # fmt: skip

    def encode(self, item: Item, lines: list[Line], room: int = 0) -> bytes | None:
        """Return the entry's value as JSON text with `room` bytes left of the limit; None, with a log entry, if not."""
        try:
            return encode_item(item, self.keyring, self.dispatcher.config.max_value_bytes - room)
        except NodeError as error:
            told = f"{name_of(self.claim, self.flow)} cannot start a run for {item.key[:200]!r}: {error.message}"
            lines.append(("error", self.keyring.clean_text(told), None))
            return None

    def open(self, prepared: Iterable[Run]) -> None:
        pass

    def needs_room(self, one: Run) -> bool:
        return True

    def put(self, one: Run) -> str:
        execute(*run_queries.insertion(one))
        return str(one.id)

    def close(self) -> None:
        pass

    def discard(self, one: Run) -> None:
        if one.input_bytes is not None:
            self.payloads.remove(str(one.id))


class CollectedRuns:
    """One run for the entries of a window, as the trigger's `debounce` says."""

    def __init__(self, single: SingleRuns, debouncer: Debouncer) -> None:
        self.single, self.debouncer = single, debouncer
        self.collected: Collected | None = None
        self._has_warned = False

    def prepare(self, item: Item, lines: list[Line]) -> DebouncedCall | None:
        encoded = self.single.encode(item, lines, self.debouncer.margin)
        if encoded is None:
            return None
        try:
            return self.debouncer.make_call(orjson.loads(encoded), encoded)
        except BadInput as error:
            # A poll has no caller who could be refused, and no entry may be lost.
            if not self._has_warned:
                told = (
                    f"{name_of(self.single.claim, self.single.flow)} starts a run for {item.key[:200]!r} alone: {error}"
                )
                lines.append(("warning", self.single.keyring.clean_text(told), None))
                self._has_warned = True
            return self.debouncer.make_lone_call(encoded)

    def open(self, prepared: Iterable[DebouncedCall]) -> None:
        self.collected = self.debouncer.open({call.window for call in prepared})

    def needs_room(self, one: DebouncedCall) -> bool:
        return not self._opened.takes(one)

    def put(self, one: DebouncedCall) -> str:
        return str(self._opened.add(one).id)

    def close(self) -> None:
        self._opened.save()

    def discard(self, one: DebouncedCall) -> None:
        pass

    @property
    def _opened(self) -> Collected:
        assert self.collected is not None
        return self.collected
