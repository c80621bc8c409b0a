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
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NoReturn, cast

import orjson
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
from agent.approvals import question
from agent.journal import ENDED, DoesNotFit, Entry, Tape, usage_of
from agent.thread_bridge import Desk
from agent.tools import Later, Tool
from agent.types import Done, Given, Waiting, Work
from errors import NodeError
from parsers.invisible_characters import visible

log = logging.getLogger("headrace.agent")

REPAIRS = 3  # times a model is told what is wrong with what it gives, before the run fails
MOST_CALLS = 32  # tools in one answer
MOST_ANSWER = 1_000_000  # characters of JSON
MOST_PROMPT = 6_000_000  # characters of JSON, whatever a server says of its tokens
LONGEST_TOKEN = 10  # characters of a token, on average, in what has few of them
MOST_SHOWN, MOST_ERROR = 1_500, 10_000
INTERRUPTED = (
    "the server stopped while this call was made; it may have had its effect or not. Find out before you repeat it."
)
# Of an answer, what is made of fixed words and numbers.
STRUCTURE = {"kind", "part_kind", "tool_kind", "usage", "timestamp", "finish_reason"}
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
        return Done(desk.serve(lambda: _answer(work, tape, desk), functools.partial(_check, work)))
    except Suspended as suspended:
        return suspended.waiting
    except Exception as error:
        told = _told(error)
        tape.give_up(work.clean_text(told.message) if isinstance(told, NodeError) else type(told).__name__)
        if told is error:
            raise
        raise told from None
    except BaseException:
        _hand_back(tape)
        raise


def _told(error: Exception) -> Exception:
    """The error for whoever runs the agent; what nobody expects stays as it is."""
    if isinstance(error, UsageLimitExceeded):
        return NodeError(f"the agent has used up its limits: {_sentence(error)}", permanent=True)
    if isinstance(error, AgentRunError | UserError):
        return NodeError(f"the model gave no usable answer{_reason(error)}", permanent=True)
    if isinstance(error, DoesNotFit):
        return NodeError(f"the agent cannot go on from its record: {error}", permanent=True)
    return error


def _hand_back(tape: Tape) -> None:
    """The process ends, or the run is no longer its own. That cannot be kept up, whatever the disk says."""
    try:
        tape.hand_back()
    except Exception as error:
        log.warning("how long an agent was at it could not be recorded: %s", error)


def _sentence(error: object) -> str:
    return visible(" ".join(str(error).split())[:MOST_SHOWN])


def _reason(error: Exception) -> str:
    """What went wrong; where the model was told again and again, what it was told last."""
    cause = error.__cause__
    if isinstance(cause, ValidationError):
        return f", even when it was told: {_sentence(cause.errors()[0]['msg'])}"
    told = isinstance(cause, ModelRetry | ToolRetryError)
    return f", even when it was told: {_sentence(cause)}" if told else f": {_sentence(error)}"


def _check(work: Work) -> None:
    """NodeError where the agent may do nothing more."""
    reason, now = work.stopped(), time.monotonic()
    if reason is not None:
        raise NodeError(reason, permanent=True)
    if now >= work.deadline:
        seconds = work.start["agent"]["limits"]["seconds"]
        raise NodeError(f"the agent has used up its time; its limit is {seconds:g} s", permanent=True)
    if now >= work.until:
        raise NodeError("timed out before the agent had an answer")


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
        inner = {key: value for key, value in schema.items() if key != "$defs"}
        schema = {"type": "object", "properties": {"value": inner}, "required": ["value"], **_only(schema, "$defs")}
    made = _structured(json.loads(json.dumps(schema)))
    if made is None:
        # The library cannot hand it on: the model reads it in words, and is checked as well.
        text = f"An object that follows this JSON Schema: {json.dumps(schema)}"
        made = StructuredDict({"type": "object", "description": text})
    return ToolOutput(made, name="final_result", description="Give the final answer, and end with it.")


def _structured(schema: dict[str, Any]) -> Any:
    """The library's type for a schema; None where something in it leads to another place, other than to its $defs."""
    try:
        made: Any = StructuredDict(schema)
    except UserError:
        return None  # it refers to itself
    return None if '"$ref"' in json.dumps(made.__get_pydantic_json_schema__(None, None)) else made


def _only(schema: dict[str, Any], key: str) -> dict[str, Any]:
    return {key: schema[key]} if key in schema else {}


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
            await self.desk.do(self._begin, entry, messages, model_request_parameters)
            answer = await _tried(self.wrapped.request(messages, model_settings, model_request_parameters))
            await self.desk.do(self._keep, entry, answer)
        self._check_cost()
        response = _restored(entry.result)
        self._check_length(response)
        return response

    def _begin(self, entry: Entry, messages: list[ModelMessage], parameters: Any) -> None:
        _check(self.work)
        entry.request = {"messages": len(messages), "tools": len(parameters.function_tools)}
        entry.prompt_chars = _size(messages, parameters)
        self._check_size(entry.prompt_chars)
        self.tape.begin(entry)

    def _check_size(self, prompt_chars: int) -> None:
        """NodeError where the prompt is more than any model reads, or by itself more than the agent may use."""
        tokens = self.work.start["agent"]["limits"].get("tokens")
        if tokens is not None and prompt_chars > tokens * LONGEST_TOKEN:
            text = f"the prompt alone has {prompt_chars:,} characters, and the limit is {tokens:,} tokens"
            raise NodeError(f"the agent has used up its limits: {text}", permanent=True)
        if prompt_chars > MOST_PROMPT:
            text = f"the prompt has grown to {prompt_chars:,} characters; at most {MOST_PROMPT:,} are sent"
            raise NodeError(text, permanent=True)

    def _keep(self, entry: Entry, answer: ModelResponse | NodeError) -> None:
        """Put on record what came: an answer, or why there is none."""
        try:
            if isinstance(answer, NodeError):
                raise answer
            entry.result = self._recorded(answer)
        except NodeError as error:
            self.tape.end(entry, "failed", self.work.clean_text(error.message))
            raise
        entry.input_tokens, entry.output_tokens = answer.usage.input_tokens, answer.usage.output_tokens
        entry.cost = self.work.cost_of(answer)
        self.tape.end(entry, "success")

    def _recorded(self, response: ModelResponse) -> Any:
        """The answer as it will be on record, without secrets; it is what the run goes on with, too."""
        calls = [part for part in response.parts if isinstance(part, ToolCallPart)]
        if len(calls) > MOST_CALLS:
            text = f"the model calls {len(calls)} tools at once; at most {MOST_CALLS} are allowed"
            raise NodeError(text, permanent=True)
        _tell_apart(calls)
        try:
            (dumped,) = ModelMessagesTypeAdapter.dump_python([response], mode="json", warnings=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise NodeError(f"the model's answer cannot be kept: {_sentence(error)}", permanent=True) from None
        size = len(json.dumps(dumped, ensure_ascii=False))
        if size > MOST_ANSWER:
            raise NodeError(f"the model's answer has {size} characters; at most {MOST_ANSWER} are allowed", True)
        cleaned = {**self._cleaned(dumped), "parts": [self._cleaned(part) for part in dumped["parts"]]}
        try:
            _restored(cleaned)
        except (TypeError, ValueError, RecursionError):
            raise NodeError(
                "the model's answer cannot be kept: it is not made as answers are", permanent=True
            ) from None
        return cleaned

    def _cleaned(self, part: dict[str, Any]) -> dict[str, Any]:
        """A part of an answer without secrets; where a word of its structure happens to be one, that stays."""
        clean = self.work.clean
        return {key: value if key in STRUCTURE else clean(value) for key, value in part.items() if key != "parts"}

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


async def _tried(request: Awaitable[ModelResponse]) -> ModelResponse | NodeError:
    """What it gives, or the error, for the run's own thread to record."""
    try:
        return await request
    except NodeError as error:
        return error


def _restored(recorded: Any) -> ModelResponse:
    """The answer that is on record. As JSON, for bytes are text there."""
    (response,) = ModelMessagesTypeAdapter.validate_json(orjson.dumps([recorded]))
    assert isinstance(response, ModelResponse)
    return response


def _tell_apart(calls: Sequence[ToolCallPart]) -> None:
    """Give calls ids of their own: some servers give them none, or the same to all."""
    taken: set[str] = set()
    for number, call in enumerate(calls, start=1):
        while not call.tool_call_id or call.tool_call_id in taken:
            call.tool_call_id = f"{call.tool_call_id or 'call'}_{number}"
        taken.add(call.tool_call_id)


def _size(messages: list[ModelMessage], parameters: Any) -> int:
    """Characters of what the model is sent, as JSON; its instructions and tools are counted once."""
    offered = (*parameters.function_tools, *parameters.output_tools)
    tools = sum(len(json.dumps(tool.parameters_json_schema)) for tool in offered)
    return len(ModelMessagesTypeAdapter.dump_json(messages)) + tools


def _is_whole(call: ToolCallPart) -> bool:
    try:
        call.args_as_dict(raise_if_invalid=True)
    except (ValueError, AssertionError):
        return False
    return True


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
        entry = self.tape.next("tool", name)
        if entry.status not in ENDED:
            await self.desk.do(_Call(self.work, self.tape, self.tools[name], entry).settle, tool_args)
        if entry.status == "refused":
            raise ModelRetry(entry.error_text or "the arguments are wrong")
        mark = self.work.start["mark"]
        if entry.status == "failed":
            raise ToolFailed("The call failed.\n" + prompts.marked(mark, name, entry.error_text or ""))
        return prompts.marked(mark, name, prompts.as_text(entry.result))


class _Call:
    """One call of a tool, until it is settled or the run has to wait."""

    def __init__(self, work: Work, tape: Tape, tool: Tool, entry: Entry) -> None:
        self.work, self.tape, self.tool, self.entry = work, tape, tool, entry

    def settle(self, given: dict[str, Any]) -> None:
        """Make the call with what the model gives, or go on with one that is on record, with what it had then."""
        _check(self.work)
        entry = self.entry
        if entry.status == "new" and not self._is_fit(given):
            return
        if entry.status == "running" and not self.tool.may_repeat(entry.request):
            self.tape.end(entry, "failed", INTERRUPTED)
        elif entry.status == "waiting":
            self._resume()
        elif entry.status == "running" or self._is_agreed():
            self._call()

    def _is_fit(self, given: dict[str, Any]) -> bool:
        """Whether the tool takes these arguments. What it does not is on record too, for it may take them one day."""
        try:
            # What the model gives, as what can be on record.
            self.entry.request = self.work.clean(given)
            issues = list(self.work.wrong(self.tool, self.entry.request))
        except NodeError as error:
            issues = [error.message]
        if issues:
            self.tape.end(self.entry, "refused", self._clean_text("; ".join(issues[:10]))[:MOST_ERROR])
        return not issues

    def _is_agreed(self) -> bool:
        """Whether a person has agreed, if one has to. Without an answer, the run waits; a no is the call's failure."""
        if not self.tool.approval:
            return True
        given = self.work.given
        if given is None or given.question != self._question():
            agent = self.work.start["agent"]["name"]
            asked = question(agent, self.tool.name, self.entry.request, self.work.shorten)
            self._wait("asking", f"approval: {asked}", self._question())
        if given.name == "approved":
            return True
        text = "nobody agreed to this call in time" if given.name == "time" else _refusal(given)
        self.tape.end(self.entry, "failed", self._clean_text(text))
        return False

    def _call(self) -> None:
        self.tape.begin(self.entry)
        key = f"{self.work.key}:{self.entry.seq}"
        self._end(lambda: self.tool.call(self.entry.request, key))

    def _resume(self) -> None:
        """Settle a call whose result another run has brought."""
        waited, given = self.entry.result, self.work.given
        if given is None or given.name != "ended" or given.value["run_id"] != waited["run_id"]:
            self._wait("waiting", waited["reason"], run_id=waited["run_id"])
        assert self.tool.resume is not None
        self._end(functools.partial(self.tool.resume, given.value))

    def _end(self, make: Callable[[], Any]) -> None:
        """Put the result on record that this makes, or why there is none; where it comes later, wait for it."""
        entry, error_text = self.entry, None
        try:
            result = make()
            if isinstance(result, Later):
                entry.result = {"run_id": result.run_id, "reason": result.reason}
                self._wait("waiting", result.reason, run_id=result.run_id)
            entry.result = self.work.clean(result)
        except NodeError as error:
            error_text = error.message
        except Exception as error:
            log.error("the tool %s raised\n%s", self.tool.name, self._clean_text(traceback.format_exc()))
            error_text = f"the tool itself is at fault ({type(error).__name__})"
        if error_text is None:
            self.tape.end(entry, "success")
        else:
            entry.result = None
            self.tape.end(entry, "failed", self._clean_text(error_text)[:MOST_ERROR])

    def _question(self) -> str:
        return f"call {self.entry.seq}"

    def _wait(self, status: str, reason: str, question: str | None = None, run_id: str | None = None) -> NoReturn:
        self.tape.wait(self.entry, status)
        raise Suspended(Waiting(reason, question, run_id))

    def _clean_text(self, text: str) -> str:
        return self.work.clean_text(str(self.work.clean(text)))


def _refusal(given: Given) -> str:
    who = f" by {given.by}" if given.by else ""
    return f"the call was refused{who}" + (f": {str(given.value)[:MOST_SHOWN]}" if given.value else "")
