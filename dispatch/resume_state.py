"""Resume state: the work of a run so far, read from its recorded steps after a crash, a wait or a retry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from database.queries import steps
from database.queries import waits as wait_queries
from dispatch.payloads import Kept
from engine import Open, Outcome, Plan, Settled
from models import Run, Step, Wait
from nodes.base import Answer

Load = Callable[[str, str, Kept], Any]
INTERRUPTED = "interrupted: the server stopped while this step ran, and on_interrupt is fail"


@dataclass
class ResumeState:
    """State in the form of `engine.Job`. A crash interrupted the `running` steps; the step `final` failed for good.

    `answers` has the answers for nodes that wait, or that resumed with one and are not settled yet.
    """

    settled: dict[tuple[str, int | None], Settled] = field(default_factory=dict)
    tried: dict[tuple[str, int | None], int] = field(default_factory=dict)
    rounds: dict[tuple[str, int | None], int] = field(default_factory=dict)
    rounds_began: dict[tuple[str, int | None], int] = field(default_factory=dict)
    waiting: dict[str, Open] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    running: list[Step] = field(default_factory=list)
    final: Step | None = None
    next_seq: int = 0

    @property
    def done(self) -> int:
        """Return the number of settled nodes, including the node whose failure ends the run."""
        return sum(1 for _, index in self.settled if index is None) + (self.final is not None)

    @classmethod
    def of(cls, run: Run, load: Load) -> ResumeState:
        """Return the state of the run by its steps; `load(run_id, name, kept)` returns a recorded value as data."""
        found = cls()
        waits = wait_queries.of(run.id)
        for step in Step.select().where(Step.run_id == run.id).order_by(Step.seq).iterator():
            found._add(step, waits, load)
        found.answers = {id_: open_.answer for id_, open_ in found.waiting.items() if open_.answer is not None}
        for node_id, wait in waits.items():
            if (node_id, None) in found.tried and wait.seq is not None and (answer := _answer(wait, load)) is not None:
                found.answers[node_id] = answer
        return found

    def _add(self, step: Step, waits: dict[str, Wait], load: Load) -> None:
        self.next_seq = step.seq + 1
        key = (step.node_id, step.item_index)
        if step.final:
            self.final = step
        elif step.status == "running":
            self.rounds_began.setdefault(key, step.started_at)
            self.running.append(step)
            self.tried[key] = step.attempt
        elif step.status == "repeated":
            self.rounds_began.setdefault(key, step.started_at)
            self.rounds[key] = self.rounds.get(key, 0) + 1
            self.tried.pop(key, None)
        elif step.status == "waiting":
            self.waiting[steps.place_of(step)] = _open(step, waits.get(steps.place_of(step)), load)
        elif step.status in ("success", "skipped") or steps.has_output(step):
            self.settled[key] = self._settled(step, load)
        else:
            self.rounds_began.setdefault(key, step.started_at)
            self.tried[key] = step.attempt

    def _settled(self, step: Step, load: Load) -> Settled:
        if step.same_as is not None:
            output = self.settled[step.same_as, None].output
        else:
            output = load(step.run_id, f"step_{step.seq}", Kept(step.output, step.output_bytes))
        skipped = step.status == "skipped" and not steps.has_output(step) and step.same_as is None
        return Settled(output, step.branch, skipped)

    def end(self, plan: Plan) -> Outcome | None:
        """Return the outcome if the run ends at once: a step failed for good, or must not be repeated; else None.

        If several nodes were in progress, the failure is the cause: no node begins after it.
        """
        if self.final is not None:
            return Outcome("failed", None, self.final.error_text, self.final.node_id, self.final.error_kind)
        for step in self.running:
            node = plan.by_id.get(step.node_id)
            if node is not None and node.on_interrupt == "fail":
                return Outcome("failed", None, INTERRUPTED, node.id, "interrupted")
        return None


def _open(step: Step, wait: Wait | None, load: Load) -> Open:
    answer, reason = (None, "") if wait is None else (_answer(wait, load), wait.reason or "")
    is_pause = wait is not None and wait.kind in ("pause", "item_pause")
    return Open(
        step.seq, step.attempt, step.started_at, reason, answer, is_pause, step.error_text, step.error_kind
    )  # fmt: skip


def answer_name(place: str) -> str:
    """Return the name of the value of an answer at this place: a node, or an item of its loop."""
    node_id, _, index = place.partition(":")
    return f"answer_{index}_{node_id}" if index else f"answer_{node_id}"


def _answer(wait: Wait, load: Load) -> Answer | None:
    if wait.answered_at is None:
        return None
    value = load(wait.run_id, answer_name(wait.node_id), Kept(wait.answer, wait.answer_bytes))
    if wait.name in ("ended", "failed"):
        value = _end_of(value, load)
    return Answer(str(wait.name), value, wait.answered_by, wait.answered_at, wait.question)


def _end_of(run_id: str, load: Load) -> dict[str, Any]:
    """Return the result of another flow's run: `{"run_id", "status", "output", "error_text", "error_kind"}`."""
    run = Run.find(run_id)
    if run is None:
        text = "its run was deleted"
        return {"run_id": run_id, "status": "failed", "output": None, "error_text": text, "error_kind": "cancelled"}
    output = load(run_id, "output", Kept(run.output, run.output_bytes))
    told = {"error_text": run.error_text, "error_kind": run.error_kind}
    return {"run_id": run_id, "status": run.status, "output": output, **told}
