"""One execution of an agent node: from the end of the agent's record to its answer, or to a wait."""

from __future__ import annotations

import dataclasses
import functools
import math
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson

from constants import DAY
from errors import NodeError
from nodes.base import Context, Suspend
from nodes.core.waits import notify, question
from packs.agents.definition import AgentDefinition as Definition
from packs.agents.model_choice import GRACE, choose, find_issues, model_access, price_of, redact, to_json
from packs.agents.runtime import prompts
from packs.agents.runtime.journal import sum_seconds
from packs.agents.runtime.loop import run_agent
from packs.agents.runtime.model_client import open_model
from packs.agents.runtime.types import AgentWait, AgentWork, Done, WaitOutcome
from packs.agents.tools.base import ToolContext, shorten
from packs.agents.tools.base import find_issues as find_argument_issues
from packs.agents.tools.toolbox import build

if TYPE_CHECKING:
    from packs.agents.agent_runs import AgentRunJournal
    from packs.agents.services import AgentServices

MAX_TURNS = 50
HISTORY_TOKENS, RECALLED_TOKENS = 8_000, 2_000
MAX_CALLS, MAX_SHOWN = 100, 2_000  # calls in the output, and characters of the arguments of each


class AgentTurn:
    """One execution of the node."""

    def __init__(
        self,
        config: Mapping[str, Any],
        input: Any,
        ctx: Context,
        agents: AgentServices,
        record: AgentRunJournal,
        agent: Definition,
    ) -> None:
        self.config, self.input, self.agents, self.record = config, input, agents, record
        if "output_schema" in config:
            agent = dataclasses.replace(agent, output_schema=config["output_schema"])
        if "memory" in config:
            agent = dataclasses.replace(agent, memory=config["memory"])
        # An item of a foreach cannot wait, so it cannot wait for another flow either.
        self.ctx = ctx if ctx.index is None else dataclasses.replace(ctx, flows=None)
        self.agent = agent
        self.session = (
            self.clean(config.get("session") or "") if record.start is None else record.start.get("session", "")
        )

    def run(self) -> Any:
        name, credential = self.source = self.model()
        choice = choose(self.ctx, self.agents.models, name, credential)
        task, given = self.clean(self.config["task"]), self.clean(self.input)
        self.record.begin(self.agent.id, task, given, self.session, choice.name)
        try:
            outcome = run_agent(self.work(choice, task, given))
            return self.answer(outcome) if isinstance(outcome, Done) else self.wait(outcome)
        except NodeError as error:
            self.record.end("failed", error_text=self.ctx.clean(error.message))
            raise

    def model(self) -> tuple[str | None, str | None]:
        """Return the names of the model and its credential; those of the start if the agent has started."""
        start = self.record.start
        if start is not None:
            return start["model"], start["credential"]
        name = self.config.get("model") or self.agent.model
        credential = self.config.get("credentials", {}).get("llm") or self.agent.credential
        return name, credential or self.agents.find_model_credential(name)

    def work(self, choice: Any, task: str, given: Any) -> AgentWork:
        """Return the input of the agent's run; its start is recorded before anything else."""
        ctx, record = self.ctx, self.record
        end = time.monotonic() + max(0.0, self.agent.limits.seconds - sum_seconds(record.entries))
        until = math.inf if ctx.deadline is None else ctx.deadline
        tool_ctx = ToolContext(
            dataclasses.replace(ctx, deadline=min(end, until)),  # no tool may take longer than the agent
            self.agents,
            self.agent.id,
            self.session,
            self.config.get("credentials", {}),
            input=given,
            listings={} if record.start is None else dict(record.start["listings"]),
        )
        agent_tools = list(build(self.agent.tools, tool_ctx).values())
        if record.start is None:
            record.keep_start(self.make_start(choice, task, given, tool_ctx.listings))
        schema = record.start["agent"]["output_schema"]
        return AgentWork(
            key=ctx.idempotency_key,
            journal=record,
            start=record.start,
            tools=agent_tools,
            open_model=lambda: open_model(choice, self.agents.models, model_access(ctx, choice), end + GRACE),
            wrong=functools.partial(find_argument_issues, clean=ctx.clean, workspace_id=ctx.workspace_id),
            wrong_output=functools.partial(find_issues, ctx, schema),
            deadline=end,
            until=until,
            clean=self.clean,
            clean_text=ctx.clean,
            shorten=shorten,
            stopped=ctx.stopped,
            given=self.given(),
            cost_of=price_of(choice),
        )

    def make_start(self, choice: Any, task: str, given: Any, listings: Any) -> dict[str, Any]:
        agent, mark, clean = self.agent.snapshot(), prompts.new_mark(), self.clean
        memory = self.agents.memory
        recalled = memory.recall(self.agent.id, self.session, task, RECALLED_TOKENS) if self.agent.memory else []
        turns = self.agents.conversation(self.agent.id, self.session, MAX_TURNS) if self.session else []
        return {
            # Not redacted, because it defines the permissions of the agent, and a word of it may equal a secret.
            "agent": orjson.loads(to_json(agent)),
            "model": choice.name,
            "credential": self.source[1],
            "session": self.session,
            "mark": mark,
            "instructions": clean(prompts.write_instructions(agent, mark)),
            "prompt": clean(prompts.write_prompt(mark, task, given, recalled)),
            "history": clean(prompts.trim_history(turns, min(HISTORY_TOKENS, self.agent.limits.tokens // 4))),
            "listings": listings,
        }

    def given(self) -> WaitOutcome | None:
        answer = self.ctx.answer
        return None if answer is None else WaitOutcome(answer.question, answer.name, answer.value, answer.by)

    def clean(self, value: Any) -> Any:
        """Return JSON without secrets, for the record and the agent."""
        return redact(self.ctx, value)

    def answer(self, done: Done) -> dict[str, Any]:
        output = self.clean(done.output)
        said = {"text": output} if self.agent.output_schema is None else {"data": output}
        self.record.end("success", said)
        calls = self.record.calls()[:MAX_CALLS]
        return {
            **said,
            "usage": self.record.usage()._asdict(),
            "tool_calls": [
                {"name": call.name, "arguments": shorten(call.request, MAX_SHOWN), "status": call.status}
                for call in calls
            ],
            "agent_run_id": self.record.id,
        }

    def wait(self, waiting: AgentWait) -> Suspend:
        if self.ctx.index is not None:
            text = f"an agent within a foreach cannot wait for approval ({waiting.reason})"
            raise NodeError(text, permanent=True)
        rule = self.agent.approval
        seconds = 7 * DAY if rule is None or rule.timeout is None else rule.timeout
        notify = self.config.get("notify") or (None if rule is None else rule.notify)
        told = notify is not None and waiting.question is not None and self.notify(notify, waiting)
        self.record.end("waiting")
        if waiting.question is None:
            return Suspend(None, waiting.reason, waiting.run_id)
        return Suspend(self.ctx.now_ms() + int(seconds * 1000), waiting.reason, told=told, question=waiting.question)

    def notify(self, service: str, waiting: AgentWait) -> bool:
        ctx = self.ctx
        links = {} if ctx.links is None or waiting.question is None else ctx.links(waiting.question)
        return notify(service, *question(waiting.reason.removeprefix("approval: "), ctx, links), ctx)
