"""The loop of one agent: model, tools, model…, by Pydantic AI. Loaded at first use, for that library is large.

What the library does in between (which tool is meant, whether its arguments are JSON, what the model is told of a
mistake, how often) follows from the model's answers and the tools' results, and both come from the journal here.
"""

from __future__ import annotations

import functools
import json
import logging
import time
import traceback
from typing import Any, NoReturn, cast

from pydantic_ai import Agent, ModelRetry, StructuredDict, ToolOutput
from pydantic_ai.exceptions import AgentRunError, ToolFailed, ToolRetryError, UsageLimitExceeded, UserError
from pydantic_ai.messages import (
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    UserPromptPart,
)
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition
from pydantic_ai.toolsets.abstract import AbstractToolset, ToolsetTool
from pydantic_ai.usage import UsageLimits
from pydantic_core import SchemaValidator, ValidationError, core_schema

from agent import prompts
from agent.desk import Desk
from agent.journal import DoesNotFit, Entry, Tape, now_ms, usage_of
from agent.running import Done, Given, Waiting, Work
from agent.tools import Later, Tool
from errors import NodeError

log = logging.getLogger("headrace.agent")

REPAIRS = 3  # times a model is told what is wrong with what it gives, before the run fails
MOST_CALLS = 32  # tools in one answer
MOST_ANSWER = 1_000_000  # characters of JSON
MOST_PROMPT = 6_000_000  # characters of JSON
MOST_SHOWN = 1_500
INTERRUPTED = (
    "the server stopped while this call was made; it may have had its effect or not. Find out before you repeat it."
)
ANY_ARGUMENTS = SchemaValidator(core_schema.dict_schema(core_schema.str_schema(), core_schema.any_schema()))


class Suspended(BaseException):
    """The run waits; no handler of the library may take this for an error."""

    def __init__(self, waiting: Waiting) -> None:
        super().__init__(waiting.reason)
        self.waiting = waiting


def execute(work: Work) -> Done | Waiting:
    """Run the agent from where its journal ends. NodeError where it comes to no answer."""
    tape, desk = Tape(work.journal), Desk()
    try:
        output = desk.serve(_answer(work, tape, desk), functools.partial(_check, work))
    except Suspended as suspended:
        return suspended.waiting
    except UsageLimitExceeded as error:
        raise NodeError(f"the agent has used up its limits: {_sentence(error)}", permanent=True) from None
    except (AgentRunError, UserError) as error:
        raise NodeError(f"the model gave no usable answer{_reason(error)}", permanent=True) from None
    except DoesNotFit as error:
        raise NodeError(f"the agent cannot go on from its record: {error}", permanent=True) from None
    return Done(output)


def _sentence(error: object) -> str:
    return " ".join(str(error).split())[:MOST_SHOWN]


def _reason(error: Exception) -> str:
    """What went wrong; where the model was told again and again, what it was told last."""
    cause = error.__cause__
    if isinstance(cause, ValidationError):
        return f", even when it was told: {_sentence(cause.errors()[0]['msg'])}"
    told = isinstance(cause, ModelRetry | ToolRetryError)
    return f", even when it was told: {_sentence(cause)}" if told else f": {_sentence(error)}"


def _check(work: Work) -> None:
    reason = work.stopped()
    if reason is not None:
        raise NodeError(reason, permanent=True)
    if time.monotonic() >= work.deadline:
        seconds = work.start["agent"]["limits"]["seconds"]
        raise NodeError(f"the agent has used up its time; its limit is {seconds:g} s", permanent=True)


async def _answer(work: Work, tape: Tape, desk: Desk) -> Any:
    start, agent = work.start, work.start["agent"]
    limits, schema = agent["limits"], agent.get("output_schema")
    wrapped = schema is not None and schema.get("type") != "object"
    async with work.open_model() as model:
        made: Agent[None, Any] = Agent(
            _Recorded(model, work, tape, desk),
            output_type=str if schema is None else _output(schema, wrapped),
            instructions=start["instructions"] or None,
            toolsets=[_Tools(work, tape, desk)],
            retries={"tools": REPAIRS, "output": REPAIRS},
            end_strategy="early",
            model_settings=cast(ModelSettings, dict(work.settings)),
        )
        if schema is not None:
            made.output_validator(functools.partial(_checked, work, wrapped))
        with Agent.parallel_tool_call_execution_mode("sequential"):
            result = await made.run(
                start["prompt"],
                message_history=_history(start["history"]),
                usage_limits=UsageLimits(request_limit=limits["steps"], total_tokens_limit=limits["tokens"]),
            )
    return result.output["value"] if wrapped else result.output


def _output(schema: dict[str, Any], wrapped: bool) -> Any:
    """The type of an output that follows the schema; one that is no object is put into one, as models need it."""
    if wrapped:
        schema = {"type": "object", "properties": {"value": schema}, "required": ["value"]}
    try:
        made = StructuredDict(json.loads(json.dumps(schema)))
    except UserError:
        # It refers to itself, which the library cannot hand on: the model reads it in words, and is checked as well.
        text = f"An object that follows this JSON Schema: {json.dumps(schema)}"
        made = StructuredDict({"type": "object", "description": text})
    return ToolOutput(made, name="final_result", description="Give the final answer, and end with it.")


def _checked(work: Work, wrapped: bool, output: dict[str, Any]) -> dict[str, Any]:
    if wrapped and "value" not in output:
        raise ModelRetry("value: is missing")
    issues = list(work.wrong_output(output["value"] if wrapped else output))
    if issues:
        raise ModelRetry("; ".join(issues[:10]))
    return output


def _history(turns: Any) -> list[ModelMessage]:
    made: list[ModelMessage] = []
    for task, answer in turns:
        made += [ModelRequest([UserPromptPart(task)]), ModelResponse([TextPart(answer)])]
    return made


class _Recorded(WrapperModel):
    """The model, asked only what the journal has no answer to."""

    def __init__(self, model: Any, work: Work, tape: Tape, desk: Desk) -> None:
        super().__init__(model)
        self.work, self.tape, self.desk = work, tape, desk

    async def request(
        self, messages: list[ModelMessage], model_settings: ModelSettings | None, model_request_parameters: Any
    ) -> ModelResponse:
        entry = self.tape.next("model", str(self.work.start["model"]))
        if entry.status != "success":
            await self._ask(entry, messages, model_settings, model_request_parameters)
        self._check_cost()
        response = _response_of(entry.result)
        self._check_length(response)
        return response

    async def _ask(self, entry: Entry, messages: list[ModelMessage], settings: Any, parameters: Any) -> None:
        write = functools.partial(self.desk.do, self.work.journal.write, entry)
        entry.status, entry.error_text, entry.started_at = "running", None, now_ms()
        entry.request = {"messages": len(messages), "tools": len(parameters.function_tools)}
        entry.prompt_chars = _size(messages, parameters)
        if entry.prompt_chars > MOST_PROMPT:
            # Whatever a server says of its tokens, this is more than a model reads.
            raise NodeError(
                f"the prompt has grown to {entry.prompt_chars:,} characters; at most {MOST_PROMPT:,} are sent", True
            )
        await write()
        began = time.perf_counter()
        try:
            response = await self.wrapped.request(messages, settings, parameters)
            entry.result = self._recorded(response)
        except NodeError as error:
            _end(entry, began, "failed", error.message)
            await write()
            raise
        entry.input_tokens, entry.output_tokens = response.usage.input_tokens, response.usage.output_tokens
        entry.cost = self.work.cost_of(response)
        _end(entry, began, "success")
        await write()

    def _recorded(self, response: ModelResponse) -> Any:
        """The answer as it will be on record, without secrets; it is what the run goes on with, too."""
        calls = sum(isinstance(part, ToolCallPart) for part in response.parts)
        if calls > MOST_CALLS:
            raise NodeError(f"the model calls {calls} tools at once; at most {MOST_CALLS} are allowed", permanent=True)
        try:
            (dumped,) = ModelMessagesTypeAdapter.dump_python([response], mode="json", warnings=False)
            _response_of(dumped)
        except (ValueError, RecursionError):
            raise NodeError(
                "the model's answer cannot be kept: it calls a tool with values of no kind that is known"
            ) from None
        # That they are guessed at matters to the price alone, which is known by now; the library would warn of it.
        dumped["usage"].pop("unmeasured_requests", None)
        size = len(json.dumps(dumped, ensure_ascii=False))
        if size > MOST_ANSWER:
            raise NodeError(f"the model's answer has {size} characters; at most {MOST_ANSWER} are allowed", True)
        return self.work.clean(dumped)

    def _check_length(self, response: ModelResponse) -> None:
        """Where answers have a bound, one that it cut off in the middle of data would be cut off again."""
        most = self.work.settings.get("max_tokens")
        if most is not None and response.finish_reason == "length" and not all(map(_is_whole, response.tool_calls)):
            raise NodeError(f"the answer is cut off at {most:,} tokens, as max_tokens says", permanent=True)

    def _check_cost(self) -> None:
        most, cost = self.work.start["agent"]["limits"].get("cost"), usage_of(self.tape.taken).cost
        if most is not None and cost is None:
            name = self.work.start["model"]
            raise NodeError(f"limits.cost cannot be kept to: the price of {name} is not known", permanent=True)
        if most is not None and cost is not None and cost > most:
            raise NodeError(f"the agent has used up its limits: it cost {cost:.4f} of {most:g} dollars", permanent=True)


def _response_of(recorded: Any) -> ModelResponse:
    """The model's answer of what is on record."""
    (response,) = ModelMessagesTypeAdapter.validate_python([recorded])
    assert isinstance(response, ModelResponse)
    return response


def _size(messages: list[ModelMessage], parameters: Any) -> int:
    """Characters of what the model is sent, as JSON; its instructions and tools are counted once."""
    tools = sum(len(json.dumps(tool.parameters_json_schema)) for tool in parameters.function_tools)
    return len(ModelMessagesTypeAdapter.dump_json(messages)) + tools


def _is_whole(call: ToolCallPart) -> bool:
    try:
        call.args_as_dict(raise_if_invalid=True)
    except (ValueError, AssertionError):
        return False
    return True


def _end(entry: Entry, began: float, status: str, error_text: str | None = None) -> None:
    entry.status, entry.error_text, entry.finished_at = status, error_text, now_ms()
    entry.duration_ms = (entry.duration_ms or 0.0) + (time.perf_counter() - began) * 1000


class _Tools(AbstractToolset[None]):
    """The agent's tools, called only where the journal has no result."""

    def __init__(self, work: Work, tape: Tape, desk: Desk) -> None:
        self.work, self.tape, self.desk = work, tape, desk
        self.tools = {tool.name: tool for tool in work.tools}

    @property
    def id(self) -> str:
        return "tools"

    async def get_tools(self, ctx: Any) -> dict[str, ToolsetTool[None]]:
        return {
            tool.name: ToolsetTool(
                toolset=self,
                tool_def=ToolDefinition(
                    name=tool.name, description=tool.description, parameters_json_schema=dict(tool.parameters)
                ),
                max_retries=REPAIRS,
                args_validator=ANY_ARGUMENTS,
            )
            for tool in self.work.tools
        }

    async def call_tool(self, name: str, tool_args: dict[str, Any], ctx: Any, tool: Any) -> Any:
        """What the model is told of the call."""
        called, arguments = self.tools[name], self._arguments(tool_args)
        issues = list(await self.desk.do(self.work.wrong, called, arguments))
        if issues:
            raise ModelRetry("; ".join(issues[:10]))
        entry = self.tape.next("tool", name)
        if entry.status not in ("success", "failed"):
            await self.desk.do(_Call(self.work, called, arguments, entry).settle)
        mark = self.work.start["mark"]
        if entry.status == "failed":
            raise ToolFailed("The call failed.\n" + prompts.marked(mark, name, entry.error_text or ""))
        return prompts.marked(mark, name, prompts.as_text(entry.result))

    def _arguments(self, given: dict[str, Any]) -> Any:
        """What the model gives, as what can be on record."""
        try:
            return self.work.clean(given)
        except NodeError as error:
            raise ModelRetry(error.message) from None


class _Call:
    """One call of a tool, until it is settled or the run has to wait."""

    def __init__(self, work: Work, tool: Tool, arguments: dict[str, Any], entry: Entry) -> None:
        self.work, self.tool, self.arguments, self.entry = work, tool, arguments, entry

    def settle(self) -> None:
        _check(self.work)
        entry = self.entry
        if entry.status == "new":
            entry.request = self.arguments
            entry.status = "asking" if self.tool.approval else "called"
        elif entry.status == "running" and not self._is_repeatable():
            self._end(time.perf_counter(), None, INTERRUPTED)
            return
        if entry.status == "waiting":
            self._resume()
            return
        if entry.status == "asking" and not self._is_approved():
            return
        self._call()

    def _is_repeatable(self) -> bool:
        repeatable = self.tool.repeatable
        return repeatable(self.arguments) if callable(repeatable) else repeatable

    def _is_approved(self) -> bool:
        """Whether a person has agreed. Without an answer, the run waits; where it is no, the call has failed."""
        given = self.work.given
        if given is None or given.question != self._question():
            shown = json.dumps(self.entry.request, ensure_ascii=False)
            shown = shown if len(shown) <= MOST_SHOWN else shown[:MOST_SHOWN] + "…"
            agent = self.work.start["agent"]["name"]
            self._wait(f"approval: {agent} wants to call {self.tool.name} with {shown}", self._question())
        if given.name == "approved":
            return True
        text = "nobody agreed to this call in time" if given.name == "time" else _refusal(given)
        self._end(time.perf_counter(), None, text)
        return False

    def _call(self) -> None:
        entry = self.entry
        entry.status, entry.started_at = "running", now_ms()
        self.work.journal.write(entry)
        began = time.perf_counter()
        try:
            result = self.tool.call(self.arguments, f"{self.work.key}:{entry.seq}")
        except NodeError as error:
            self._end(began, None, error.message)
            return
        except Exception as error:
            log.error("the tool %s raised\n%s", self.tool.name, self.work.clean(traceback.format_exc()))
            self._end(began, None, f"the tool itself is at fault ({type(error).__name__})")
            return
        if isinstance(result, Later):
            entry.status, entry.result = "waiting", {"run_id": result.run_id, "reason": result.reason}
            self._wait(result.reason, run_id=result.run_id)
        self._end(began, result)

    def _resume(self) -> None:
        """Settle a call whose result another run has brought."""
        waited, given = self.entry.result, self.work.given
        if given is None or given.name != "ended" or given.value["run_id"] != waited["run_id"]:
            self._wait(waited["reason"], run_id=waited["run_id"])
        began = time.perf_counter()
        assert self.tool.resume is not None
        try:
            result = self.tool.resume(given.value)
        except NodeError as error:
            self._end(began, None, error.message)
            return
        self._end(began, result)

    def _question(self) -> str:
        return f"call {self.entry.seq}"

    def _wait(self, reason: str, question: str | None = None, run_id: str | None = None) -> NoReturn:
        self.work.journal.note(self.entry)
        raise Suspended(Waiting(reason, question, run_id))

    def _end(self, began: float, result: Any, error_text: str | None = None) -> None:
        entry = self.entry
        entry.result = None if error_text is not None else self.work.clean(result)
        text = None if error_text is None else str(self.work.clean(error_text))
        _end(entry, began, "success" if text is None else "failed", text)
        self.work.journal.write(entry)


def _refusal(given: Given) -> str:
    who = f" by {given.by}" if given.by else ""
    return f"the call was refused{who}" + (f": {given.value}" if given.value else "")
