"""LLM nodes: one request to a language model, without tools, for text, data or a label.

They use the loop of agents, which corrects answers, enforces the time limit and counts the usage. Without a journal:
after a crash, the model is asked again.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from marshmallow import ValidationError, fields

from errors import LimitExceeded, NodeError
from fields import Schema
from nodes.base import Branch, Context, Node, setting
from nodes.fields import anything, credential, json_schema, number, text, whole
from packs.agents.model_choice import GRACE, choose, find_issues, model_access, price_of, redact
from packs.agents.runtime import prompts
from packs.agents.runtime.journal import Entry, sum_usage
from packs.agents.runtime.types import AgentWork, Done

# One request, and the corrections (`agent.loop.MAX_REPAIRS`).
MAX_REQUESTS = 4
MIN_LABELS, MAX_LABELS, MAX_LABEL, MAX_DESCRIPTION = 2, 50, 100, 1_000
MAX_REASON = 500
TRUNCATED_REASONS = ("length", "content_filter")
CLASSIFY_INSTRUCTIONS = (
    "You sort what you are given: choose the one label that fits it best. Give the label's name as it stands here, the "
    "reason in one sentence, and from 0 to 1 how sure you are. These are the labels:"
)
CLASSIFY_TASK = "Which of the labels fits best?"


class ModelConfig(Schema):
    """The settings of all nodes that ask a model."""

    model = text(
        "The model: openai:gpt-5. Default: the model of the credential or the server",
        most=200,
        literal=True,
        title="Model",
    )
    credential = credential("The API key of the model's provider. Default: the server's key", "llm", title="Credential")
    temperature = number("Randomness of the answer, from 0. Reasoning models ignore it", 0, 2, title="Temperature")
    max_tokens = whole(
        "Maximum length of the answer in tokens; a longer answer is cut off", 1, 1_000_000, title="Max tokens"
    )
    timeout = number("Seconds until the request fails", 0.1, 3_600, load_default=180.0, title="Timeout (seconds)")


class LlmNode(Node):
    """Sends a prompt to a language model and returns the answer: text, or data that follows a JSON Schema.

    The model treats the input as data, never as instructions.
    """

    type = "llm"
    category = "ai"
    title = "LLM prompt"
    icon = "sparkles"
    also = (
        "openai", "chatgpt", "gpt", "claude", "anthropic", "gemini", "mistral", "ollama", "chat", "summarize", "prompt",
        "basic llm chain", "information extractor",
    )  # fmt: skip
    pure = False
    slow = True
    examples = (
        {
            "config": {"prompt": "Summarize this mail in one sentence.", "input": "{{ input.text }}"},
            "input": {"text": "Dear all, the meeting on Monday…"},
            "output": {
                "text": "The meeting of Monday is moved to Tuesday.",
                "truncated": False,
                "usage": {"requests": 1, "input_tokens": 160, "output_tokens": 12, "cost": 0.00032},
                "model": "openai:gpt-5",
            },
        },
        {
            "config": {
                "prompt": "Which date and which sum does the invoice name?",
                "input": "{{ input.text }}",
                "output_schema": {
                    "type": "object",
                    "properties": {"date": {"type": "string", "format": "date"}, "sum": {"type": "number"}},
                    "required": ["date", "sum"],
                },
            },
            "input": {"text": "Invoice of 3 May 2026 … 119.00"},
            "output": {
                "data": {"date": "2026-05-03", "sum": 119.0},
                "usage": {"requests": 1, "input_tokens": 210, "output_tokens": 18, "cost": 0.00044},
                "model": "openai:gpt-5",
            },
        },
    )

    class Config(ModelConfig):
        prompt = text("The instruction for the model: Summarize this mail", required=True, lines="", title="Prompt")
        system = text(
            "The role of the model and rules that always apply: You write for children", lines="", title="System prompt"
        )
        input = anything("Text or data for the prompt, which the model treats as data: {{ input.text }}", title="Input")
        output_schema = json_schema("JSON Schema of the answer. Without it, the answer is text", title="Output schema")

        class Meta:
            fields = ("prompt", "input", "system", "output_schema", *ModelConfig().fields)

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        schema, mark = config.get("output_schema"), prompts.new_mark()
        rules = [config.get("system", ""), *([] if config.get("input") is None else [prompts.get_rules(mark)])]
        given = check_size(config.get("input"), "input")
        reply = ask(
            config, ctx, "\n\n".join(filter(None, rules)), prompts.write_prompt(mark, config["prompt"], given), schema
        )
        answer = {"data": reply.output} if schema else {"text": reply.output, "truncated": reply.truncated}
        return {**answer, "usage": reply.usage, "model": reply.model}


class LabelField(fields.Raw):
    """A name, or `{"name", "description"}`; the name is also a branch."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        label = {"name": value} if isinstance(value, str) else value
        if not isinstance(label, dict) or label.keys() - {"name", "description"}:
            raise ValidationError('Must be a name or {"name": name, "description": text}.')
        name, description = label.get("name"), label.get("description", "")
        if not isinstance(name, str) or not 1 <= len(name) <= MAX_LABEL:
            raise ValidationError(f"Must have a name of 1 to {MAX_LABEL} characters.")
        if not name.isprintable() or name != name.strip():
            raise ValidationError("Must have a name in one line, without spaces around it.")
        if not isinstance(description, str) or len(description) > MAX_DESCRIPTION:
            raise ValidationError(f"Must have a description of at most {MAX_DESCRIPTION:,} characters.")
        return {"name": name, "description": description}


def check_labels(labels: list[dict[str, str]]) -> None:
    """Reject too few, too many, or labels that a model could confuse."""
    if not MIN_LABELS <= len(labels) <= MAX_LABELS:
        raise ValidationError(f"Must be {MIN_LABELS} to {MAX_LABELS} labels.")
    names = [label["name"].casefold() for label in labels]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValidationError(f"Must differ in more than upper and lower case; remove the second {twice[0]!r}.")


class Classify(Node):
    """Lets a language model choose the best label and routes to the branch of that name.

    The output contains the input, the label, the reason and the model's confidence.
    """

    type = "classify"
    category = "ai"
    title = "Classify"
    icon = "tags"
    also = ("text classifier", "sentiment analysis", "categorize", "label")
    pure = False
    slow = True
    examples = (
        {
            "config": {
                "text": "{{ input.body }}",
                "labels": ["billing", {"name": "bug", "description": "Something does not work as it should"}],
            },
            "input": {"body": "I was charged twice."},
            "branch": "billing",
            "output": {
                "label": "billing",
                "reason": "It is about a charge.",
                "confidence": 0.97,
                "input": {"body": "I was charged twice."},
                "usage": {"requests": 1, "input_tokens": 240, "output_tokens": 25, "cost": 0.00055},
                "model": "openai:gpt-5",
            },
        },
    )

    class Config(ModelConfig):
        instructions = text(
            "Additional rules for choosing a label: An angry mail is a complaint, whatever its subject",
            lines="",
            title="Instructions",
        )
        text = anything("The text or data to classify. Default: the input", lines="", title="Text")
        labels = setting(
            fields.List(LabelField(), required=True, validate=check_labels),
            'The 2 to 50 labels: names, or {"name": "bug", "description": "what it means"}. Each label is a branch',
            literal=True,
            title="Labels",
        )

        class Meta:
            fields = ("text", "labels", "instructions", *ModelConfig().fields)

    @classmethod
    def branches(cls, config: Mapping[str, Any]) -> tuple[str, ...]:
        labels = config.get("labels")
        given = labels if isinstance(labels, list) else []
        names = [label.get("name") if isinstance(label, dict) else label for label in given]
        return tuple(dict.fromkeys(name for name in names if isinstance(name, str)))

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        given = check_size(config.get("text", input), "text")
        if given is None or (isinstance(given, str) and not given.strip()):
            raise NodeError("text: must not be empty", permanent=True)
        mark = prompts.new_mark()
        listed = [f"- {one['name']}" + f": {one['description']}" * bool(one["description"]) for one in config["labels"]]
        rules = [CLASSIFY_INSTRUCTIONS, "\n".join(listed), config.get("instructions", ""), prompts.get_rules(mark)]
        # The reason comes before the label, so that the model thinks first.
        properties = {
            "reason": {"type": "string"},
            "label": {"enum": [label["name"] for label in config["labels"]]},
            "confidence": {"type": "number", "minimum": 0, "maximum": 1},
        }
        schema = {"type": "object", "properties": properties, "required": list(properties)}
        reply = ask(
            config, ctx, "\n\n".join(filter(None, rules)), prompts.write_prompt(mark, CLASSIFY_TASK, given), schema
        )
        chosen = reply.output
        answer = {"label": chosen["label"], "reason": chosen["reason"][:MAX_REASON], "confidence": chosen["confidence"]}
        return Branch(answer["label"], {**answer, "input": input, "usage": reply.usage, "model": reply.model})


def check_size(given: Any, key: str) -> Any:
    """Return the input of a model. Raises: NodeError if it is too long; truncated, it could mean the opposite."""
    size = len(prompts.to_text(given))
    if size > prompts.MAX_INPUT:
        raise LimitExceeded(f"{key} has {size:,} characters; the limit is {prompts.MAX_INPUT:,}")
    return given


class Reply(NamedTuple):
    """The answer of a model: text or data, the usage, and whether it was cut off by its maximum length."""

    output: Any
    usage: dict[str, Any]
    model: str
    truncated: bool


class MemoryJournal:
    """A journal in memory, without resumption: it only counts the usage."""

    entries: Sequence[Entry] = ()

    def __init__(self) -> None:
        self.asked: dict[int, Entry] = {}

    def write(self, entry: Entry) -> None:
        self.asked[entry.seq] = entry

    note = write

    def usage(self) -> dict[str, Any]:
        """Return `{"requests", "input_tokens", "output_tokens", "cost"}`."""
        used = sum_usage(list(self.asked.values()))._asdict()
        return {key: value for key, value in used.items() if key != "tool_calls"}


def ask(config: Mapping[str, Any], ctx: Context, instructions: str, prompt: str, schema: Any) -> Reply:
    """Return the model's answer, corrected if necessary. Raises: NodeError if there is no usable answer in time."""
    journal, settings = MemoryJournal(), ctx.need_agents().models
    name = config.get("model")
    credential = config.get("credential") or ctx.need_agents().find_model_credential(name)
    choice = choose(ctx, settings, name, credential)
    # Loaded before the time limit begins: at first use, this may take seconds.
    from packs.agents.runtime.loop import run_agent
    from packs.agents.runtime.model_client import open_model

    end = time.monotonic() + ctx.seconds_left(config["timeout"])
    limits = {"steps": MAX_REQUESTS, "tokens": None, "seconds": config["timeout"]}
    agent = {"limits": limits, "output_schema": schema}
    texts = redact(ctx, {"instructions": instructions, "prompt": prompt})
    work = AgentWork(
        key=ctx.idempotency_key,
        journal=journal,
        start={**texts, "agent": agent, "model": choice.name, "history": [], "mark": ""},
        tools=(),
        open_model=lambda: open_model(choice, settings, model_access(ctx, choice), end),
        wrong=lambda tool, arguments: (),
        wrong_output=functools.partial(find_issues, ctx, schema),
        deadline=end + GRACE,
        clean=functools.partial(redact, ctx),
        clean_text=ctx.clean,
        stopped=ctx.stopped,
        cost_of=price_of(choice),
        settings={key: config[key] for key in ("temperature", "max_tokens") if key in config},
    )
    try:
        outcome = run_agent(work)
    except NodeError:
        if journal.usage()["requests"]:
            ctx.log("warning", f"{choice.name} gave no usable answer, but used tokens", journal.usage())
        raise
    assert isinstance(outcome, Done)  # without tools it cannot wait
    last = journal.asked[max(journal.asked)].result
    return Reply(redact(ctx, outcome.output), journal.usage(), choice.name, last["finish_reason"] in TRUNCATED_REASONS)
