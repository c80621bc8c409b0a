"""Loop of an agent, by Pydantic AI: model, tools, model, … Loaded at first use, because the library is large.

The library's own decisions (which tool is called, whether its arguments are JSON, how often a model may correct a
mistake) depend only on the model's answers and the tools' results, and both come from the journal.
"""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import queue
import threading
import time
import traceback
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, NoReturn, TypeVar, cast

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

from errors import DatabaseLost, LimitExceeded, MalformedData, NodeError, TimedOut
from fields import visible
from packs.agents.runtime import prompts
from packs.agents.runtime.journal import ENDED, Entry, JournalMismatch, Replay, sum_usage
from packs.agents.runtime.types import AgentWait, AgentWork, Done, PendingResult, Tool

# The question that people are asked before an agent calls a tool, with its complete or shortened arguments
#
# An attacker who misleads a model controls the arguments. So none of them may hide or disguise itself: invisible
# characters, and characters that reverse the order of others, are made visible.

MAX_ARGUMENTS = 1_500  # characters


def write_question(agent: str, tool: str, arguments: Any, shorten: Callable[[Any, int], Any]) -> str:
    """Return the question about a call. `shorten(value, most)` truncates long values, marking each cut."""
    written = json.dumps(arguments, ensure_ascii=False)
    cut = ""
    if len(written) > MAX_ARGUMENTS:
        cut = f" (shortened: the arguments have {len(written):,} characters; the agent's run has all of them)"
        written = json.dumps(shorten(arguments, MAX_ARGUMENTS), ensure_ascii=False)
    return f"{visible(agent)} wants to call {tool} with {visible(written)}{cut}"


# A bridge of threads lets an event loop execute work in an ordinary thread.
#
# The model libraries need an event loop. The run's tools and journal need its own thread, with its connections,
# guards, and tools that run their own event loops.

T = TypeVar("T")
CHECK_SECONDS = 0.25  # interval of checks whether a run has to stop while a model answers
END_SECONDS = 5.0  # for a cancelled loop to end


class ThreadBridge:
    """Runs a coroutine in a second thread with an event loop, and executes its orders in the current thread."""

    def __init__(self) -> None:
        self._orders: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()

    async def do(self, work: Callable[..., T], *args: Any) -> T:
        """Execute `work(*args)` in the serving thread and return its result. Call within the loop."""
        order: Future[T] = Future()
        self._orders.put((order, lambda: work(*args)))
        return await asyncio.wrap_future(order)

    def serve(self, make: Callable[[], Coroutine[Any, Any, Any]], check: Callable[[], None]) -> Any:
        """Return the result of the coroutine. `check` is called repeatedly; an exception from it ends the coroutine."""
        loop = asyncio.new_event_loop()

        def run() -> None:
            # At its end, the runner cancels the loop's tasks and closes it.
            with asyncio.Runner(loop_factory=lambda: loop):
                loop.run_forever()

        thread = threading.Thread(target=run, name=f"{threading.current_thread().name}-loop", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            loop.close()
            raise
        outcome = asyncio.run_coroutine_threadsafe(make(), loop)
        outcome.add_done_callback(lambda _: self._orders.put(None))
        try:
            while self._serve_one(check):
                continue
        finally:
            loop.call_soon_threadsafe(loop.stop)
            # It may take longer to close, because of threads resolving host names.
            thread.join(END_SECONDS)
        return outcome.result()

    def _serve_one(self, check: Callable[[], None]) -> bool:
        """Execute one order. Return False if there will be no more."""
        try:
            order = self._orders.get(timeout=CHECK_SECONDS)
        except queue.Empty:
            check()
            return True
        if order is None:
            return False
        future, work = order
        if not future.set_running_or_notify_cancel():
            return True
        try:
            result = work()
        except Exception as error:
            future.set_exception(error)
        else:
            future.set_result(result)
        return True


log = logging.getLogger("headrace.agent")

MAX_REPAIRS = 3  # corrections that a model may attempt before the run fails
MAX_CALLS = 32  # tool calls in one answer
MAX_ANSWER = 1_000_000  # characters of JSON
MAX_PROMPT = 6_000_000  # characters of JSON, whatever token count a server reports
MAX_TOKEN_LENGTH = 10  # characters per token, on average, of a text with few tokens
MAX_SHOWN, MAX_ERROR = 1_500, 10_000
INTERRUPTED = (
    "the server stopped during this call, which may or may not have taken effect. Find out before you repeat it."
)
# Keys of an answer whose values are fixed words and numbers.
STRUCTURE = {"kind", "part_kind", "tool_kind", "usage", "timestamp", "finish_reason"}
ANY_ARGUMENTS = SchemaValidator(core_schema.dict_schema(core_schema.str_schema(), core_schema.any_schema()))


class Suspended(BaseException):
    """Suspends the run. A BaseException, so that no handler of the library takes it for an error."""

    def __init__(self, waiting: AgentWait) -> None:
        super().__init__(waiting.reason)
        self.waiting = waiting


def run_agent(work: AgentWork) -> Done | AgentWait:
    """Run the agent from the end of its journal. Raises: NodeError if it fails to answer."""
    replay, bridge = Replay(work.journal), ThreadBridge()
    try:
        return Done(bridge.serve(lambda: _answer(work, replay, bridge), functools.partial(_check, work)))
    except Suspended as suspended:
        return suspended.waiting
    except DatabaseLost:
        raise  # nothing can be recorded; a later execution continues from the journal
    except Exception as error:
        told = _translate(error)
        replay.give_up(work.clean_text(told.message) if isinstance(told, NodeError) else type(told).__name__)
        if told is error:
            raise
        raise told from None
    except BaseException:
        try:
            replay.release()
        except Exception as error:  # the run must be released anyway
            log.warning("Could not record the working time of an agent: %s", error)
        raise


def _translate(error: Exception) -> Exception:
    """Return the error for the caller; unexpected errors stay as they are."""
    if isinstance(error, UsageLimitExceeded):
        return LimitExceeded(f"the agent has reached its limits: {_sentence(error)}")
    if isinstance(error, AgentRunError | UserError):
        reason, cause = f": {_sentence(error)}", error.__cause__
        if isinstance(cause, ValidationError):
            reason = f"; the last correction was: {_sentence(cause.errors()[0]['msg'])}"
        elif isinstance(cause, ModelRetry | ToolRetryError):
            reason = f"; the last correction was: {_sentence(cause)}"
        return MalformedData(f"the model gave no usable answer{reason}")
    if isinstance(error, JournalMismatch):
        return NodeError(f"the agent cannot resume from its journal: {error}", permanent=True)
    return error


def _sentence(error: object) -> str:
    return visible(" ".join(str(error).split())[:MAX_SHOWN])


def _check(work: AgentWork) -> None:
    """Raise NodeError if the agent has to stop."""
    reason, now = work.stopped(), time.monotonic()
    if reason is not None:
        raise NodeError(reason, permanent=True, kind="cancelled")
    if now >= work.deadline:
        seconds = work.start["agent"]["limits"]["seconds"]
        raise NodeError(f"the agent has reached its time limit of {seconds:g} s (limits.seconds)", True, kind="timeout")
    if now >= work.until:
        raise TimedOut("the attempt timed out before the agent answered")


async def _answer(work: AgentWork, replay: Replay, bridge: ThreadBridge) -> Any:
    start, agent = work.start, work.start["agent"]
    limits, schema = agent["limits"], agent.get("output_schema")
    wrapped = schema is not None and schema.get("type") != "object"
    history: list[ModelMessage] = []
    for task, answer in start["history"]:
        history += [ModelRequest([UserPromptPart(task)]), ModelResponse([TextPart(answer)])]
    async with work.open_model() as model:
        made: Agent[None, Any] = Agent(
            _Recorded(model, work, replay, bridge),
            output_type=str if schema is None else _make_output_type(schema, wrapped),
            instructions=start["instructions"] or None,
            toolsets=[_Tools(work, replay, bridge)],
            retries={"tools": MAX_REPAIRS, "output": MAX_REPAIRS},
            end_strategy="early",
            model_settings=cast(ModelSettings, dict(work.settings)),
        )
        if schema is not None:
            made.output_validator(functools.partial(_validate, work, wrapped))
        with Agent.parallel_tool_call_execution_mode("sequential"):
            result = await made.run(
                start["prompt"],
                message_history=history,
                usage_limits=UsageLimits(request_limit=limits["steps"], total_tokens_limit=limits["tokens"]),
            )
    return result.output["value"] if wrapped else result.output


def _make_output_type(schema: dict[str, Any], wrapped: bool) -> Any:
    """Return the output type for a schema. Wraps a schema of another type in an object, because models need one."""
    if wrapped:
        inner = {key: value for key, value in schema.items() if key != "$defs"}
        outer = {"type": "object", "properties": {"value": inner}, "required": ["value"]}
        schema = {**outer, "$defs": schema["$defs"]} if "$defs" in schema else outer
    try:
        made: Any = StructuredDict(json.loads(json.dumps(schema)))
        supported = '"$ref"' not in json.dumps(made.__get_pydantic_json_schema__(None, None))
    except UserError:
        supported = False  # it refers to itself
    if not supported:
        # It has references other than to its $defs: describe it to the model, and validate the answer as well.
        text = f"An object that follows this JSON Schema: {json.dumps(schema)}"
        made = StructuredDict({"type": "object", "description": text})
    return ToolOutput(made, name="final_result", description="Give the final answer, and end with it.")


def _validate(work: AgentWork, wrapped: bool, output: dict[str, Any]) -> dict[str, Any]:
    if wrapped and "value" not in output:
        raise ModelRetry("value: is required")
    issues = list(work.wrong_output(output["value"] if wrapped else output))
    if issues:
        raise ModelRetry("; ".join(issues[:10]))
    return output


class _Recorded(WrapperModel):
    """The model, with recorded answers from the journal."""

    def __init__(self, model: Any, work: AgentWork, replay: Replay, bridge: ThreadBridge) -> None:
        super().__init__(model)
        self.work, self.replay, self.bridge = work, replay, bridge

    async def request(
        self, messages: list[ModelMessage], model_settings: ModelSettings | None, model_request_parameters: Any
    ) -> ModelResponse:
        entry = self.replay.next("model", str(self.work.start["model"]))
        if entry.status != "success":
            await self.bridge.do(self._begin, entry, messages, model_request_parameters)
            answer: ModelResponse | NodeError
            try:
                answer = await self.wrapped.request(messages, model_settings, model_request_parameters)
            except NodeError as error:
                answer = error
            await self.bridge.do(self._keep, entry, answer)
        limit, cost = self.work.start["agent"]["limits"].get("cost"), sum_usage(self.replay.taken).cost
        if limit is not None and cost is None:
            name = self.work.start["model"]
            raise NodeError(f"limits.cost cannot be enforced: the price of {name} is unknown", permanent=True)
        if limit is not None and cost is not None and cost > limit:
            raise LimitExceeded(f"the agent has reached its limits: it cost {cost:.4f} of {limit:g} dollars")
        response = _restore(entry.result)
        most = self.work.settings.get("max_tokens")
        if most is not None and response.finish_reason == "length" and not all(map(_is_complete, response.tool_calls)):
            # Cut off within data: a retry would be cut off again.
            raise LimitExceeded(f"the answer is cut off at {most:,} tokens; raise max_tokens")
        return response

    def _begin(self, entry: Entry, messages: list[ModelMessage], parameters: Any) -> None:
        _check(self.work)
        entry.request = {"messages": len(messages), "tools": len(parameters.function_tools)}
        # The characters of the prompt as JSON; instructions and tools count once.
        offered = (*parameters.function_tools, *parameters.output_tools)
        schemas = sum(len(json.dumps(tool.parameters_json_schema)) for tool in offered)
        prompt_chars = entry.prompt_chars = len(ModelMessagesTypeAdapter.dump_json(messages)) + schemas
        tokens = self.work.start["agent"]["limits"].get("tokens")
        if tokens is not None and prompt_chars > tokens * MAX_TOKEN_LENGTH:
            text = f"the prompt alone has {prompt_chars:,} characters; limits.tokens is {tokens:,}"
            raise LimitExceeded(f"the agent has reached its limits: {text}")
        if prompt_chars > MAX_PROMPT:
            raise LimitExceeded(f"the prompt has grown to {prompt_chars:,} characters; the maximum is {MAX_PROMPT:,}")
        self.replay.begin(entry)

    def _keep(self, entry: Entry, answer: ModelResponse | NodeError) -> None:
        """Record the answer, or the reason of its failure."""
        try:
            if isinstance(answer, NodeError):
                raise answer
            entry.result = self._to_record(answer)
        except NodeError as error:
            self.replay.end(entry, "failed", self.work.clean_text(error.message))
            raise
        entry.input_tokens, entry.output_tokens = answer.usage.input_tokens, answer.usage.output_tokens
        entry.cost = self.work.cost_of(answer)
        self.replay.end(entry, "success")

    def _to_record(self, response: ModelResponse) -> Any:
        """Return the answer for the journal, without secrets; the run continues with it, too."""
        calls = [part for part in response.parts if isinstance(part, ToolCallPart)]
        if len(calls) > MAX_CALLS:
            raise LimitExceeded(f"the model calls {len(calls)} tools at once; the maximum is {MAX_CALLS}")
        # Some servers send no ids, or the same for all calls.
        taken: set[str] = set()
        for number, call in enumerate(calls, start=1):
            while not call.tool_call_id or call.tool_call_id in taken:
                call.tool_call_id = f"{call.tool_call_id or 'call'}_{number}"
            taken.add(call.tool_call_id)
        try:
            (dumped,) = ModelMessagesTypeAdapter.dump_python([response], mode="json", warnings=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise MalformedData(f"the model's answer cannot be recorded: {_sentence(error)}") from None
        size = len(json.dumps(dumped, ensure_ascii=False))
        if size > MAX_ANSWER:
            raise LimitExceeded(f"the model's answer has {size:,} characters; the maximum is {MAX_ANSWER:,}")
        redacted = {**self._redact(dumped), "parts": [self._redact(part) for part in dumped["parts"]]}
        try:
            _restore(redacted)
        except (TypeError, ValueError, RecursionError):
            raise MalformedData("the model's answer cannot be recorded: its structure is invalid") from None
        return redacted

    def _redact(self, part: dict[str, Any]) -> dict[str, Any]:
        """Redact a part of an answer, except structural words that happen to equal a secret."""
        clean = self.work.clean
        return {key: value if key in STRUCTURE else clean(value) for key, value in part.items() if key != "parts"}


def _restore(recorded: Any) -> ModelResponse:
    """Return the recorded answer. Validates it as JSON, where bytes are text."""
    (response,) = ModelMessagesTypeAdapter.validate_json(orjson.dumps([recorded]))
    assert isinstance(response, ModelResponse)
    return response


def _is_complete(call: ToolCallPart) -> bool:
    try:
        call.args_as_dict(raise_if_invalid=True)
    except (ValueError, AssertionError):
        return False
    return True


class _Tools(AbstractToolset[None]):
    """The agent's tools, with recorded results from the journal."""

    def __init__(self, work: AgentWork, replay: Replay, bridge: ThreadBridge) -> None:
        self.work, self.replay, self.bridge = work, replay, bridge
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
                max_retries=MAX_REPAIRS,
                args_validator=ANY_ARGUMENTS,
            )
            for tool in self.work.tools
        }

    async def call_tool(self, name: str, tool_args: dict[str, Any], ctx: Any, tool: Any) -> Any:
        """Return the result of the call for the model."""
        entry = self.replay.next("tool", name)
        if entry.status not in ENDED:
            await self.bridge.do(_Call(self.work, self.replay, self.tools[name], entry).settle, tool_args)
        if entry.status == "refused":
            raise ModelRetry(entry.error_text or "the arguments are invalid")
        mark = self.work.start["mark"]
        if entry.status == "failed":
            raise ToolFailed("The call failed.\n" + prompts.mark_data(mark, name, entry.error_text or ""))
        return prompts.mark_data(mark, name, prompts.to_text(entry.result))


class _Call:
    """One call of a tool, until it is settled or the run has to wait."""

    def __init__(self, work: AgentWork, replay: Replay, tool: Tool, entry: Entry) -> None:
        self.work, self.replay, self.tool, self.entry = work, replay, tool, entry

    def settle(self, given: dict[str, Any]) -> None:
        """Make the call with the model's arguments, or resume a recorded call with the recorded ones."""
        _check(self.work)
        entry = self.entry
        if entry.status == "new" and not self._has_valid_arguments(given):
            return
        if entry.status == "running" and not self.tool.may_repeat(entry.request):
            self.replay.end(entry, "failed", INTERRUPTED)
        elif entry.status == "waiting":
            # Settle it with the result of the other run.
            waited, outcome = entry.result, self.work.given
            if outcome is None or outcome.name != "ended" or outcome.value["run_id"] != waited["run_id"]:
                self._wait("waiting", waited["reason"], run_id=waited["run_id"])
            assert self.tool.resume is not None
            self._end(functools.partial(self.tool.resume, outcome.value))
        elif entry.status == "running" or self._is_approved():
            self.replay.begin(entry)
            self._end(lambda: self.tool.call(entry.request, f"{self.work.key}:{entry.seq}"))

    def _has_valid_arguments(self, given: dict[str, Any]) -> bool:
        """Return True if the tool accepts these arguments. Records a refusal: a later version might accept them."""
        try:
            # Redact first: validate exactly the recorded arguments.
            self.entry.request = self.work.clean(given)
            issues = list(self.work.wrong(self.tool, self.entry.request))
        except NodeError as error:
            issues = [error.message]
        if issues:
            self.replay.end(self.entry, "refused", self._clean_text("; ".join(issues[:10]))[:MAX_ERROR])
        return not issues

    def _is_approved(self) -> bool:
        """Return True if approved or no approval is needed. Suspends the run until a person answers."""
        if not self.tool.approval:
            return True
        given = self.work.given
        if given is None or given.question != self._question():
            agent = self.work.start["agent"]["name"]
            asked = write_question(agent, self.tool.name, self.entry.request, self.work.shorten)
            self._wait("asking", f"approval: {asked}", self._question())
        if given.name == "approved":
            return True
        text = "the approval of this call timed out"
        if given.name != "time":
            who = f" by {given.by}" if given.by else ""
            text = f"the call was rejected{who}" + (f": {str(given.value)[:MAX_SHOWN]}" if given.value else "")
        self.replay.end(self.entry, "failed", self._clean_text(text))
        return False

    def _end(self, make: Callable[[], Any]) -> None:
        """Record the result of `make()` or its error; suspend the run if the result comes later."""
        entry, error_text = self.entry, None
        try:
            result = make()
            if isinstance(result, PendingResult):
                entry.result = {"run_id": result.run_id, "reason": result.reason}
                self._wait("waiting", result.reason, run_id=result.run_id)
            entry.result = self.work.clean(result)
        except NodeError as error:
            error_text = error.message
        except DatabaseLost:
            raise
        except Exception as error:
            trace = self._clean_text(traceback.format_exc())
            log.error("Tool %s raised\n%s", self.tool.name, trace, extra={"traceback": trace})
            error_text = f"the tool has a bug ({type(error).__name__}); the server's log has details"
        if error_text is None:
            self.replay.end(entry, "success")
        else:
            entry.result = None
            self.replay.end(entry, "failed", self._clean_text(error_text)[:MAX_ERROR])

    def _question(self) -> str:
        return f"call {self.entry.seq}"

    def _wait(self, status: str, reason: str, question: str | None = None, run_id: str | None = None) -> NoReturn:
        self.replay.wait(self.entry, status)
        raise Suspended(AgentWait(reason, question, run_id))

    def _clean_text(self, text: str) -> str:
        return self.work.clean_text(str(self.work.clean(text)))
