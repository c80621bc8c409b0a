"""The commands of docs/agents.md work with a scripted model instead of Ollama's, and its tables are complete."""

import os
import re
import subprocess
import sys
import threading
from dataclasses import fields
from pathlib import Path

import pytest
from llm_server import LlmServer, call, calls, data, forever, say, stall
from sites import Site
from test_readme import free_port

from config import Config
from nodes import REGISTRY
from packs.agents import definition
from packs.agents.api import AgentRunOut, AgentStepOut, TaskIn
from packs.agents.model_choice import DEFAULT_MODELS, OWN, Models, resolve

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "agents.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
# `make run` serves in a terminal of its own; here it returns as soon as the server answers.
MAKE = f"""
make() {{
    [ "$*" = "run EXTRAS=mcp" ] || return 1
    {sys.executable} {ROOT}/workflow_server.py & SERVER=$!
    trap 'kill $SERVER; wait $SERVER' EXIT
    until curl -s -o /dev/null http://127.0.0.1:$PORT/api/health; do kill -0 $SERVER; sleep 0.05; done
}}
"""
A_MOMENT = """
for _ in $(seq 200); do
    curl -s $URL/api/agent/runs/$ASKING -H "$AUTH" | grep -q 'It is kept' && break; sleep 0.05
done
"""
RATES = "/v1/latest?base=EUR&symbols=CHF,USD"
SUMMARY = {
    "headline": "A new printer",
    "summary": "The printer is broken.",
    "key_points": [],
    "decisions": [],
    "tasks": [{"task": "Order a printer", "owner": "Lee", "due": "Friday"}],
}


def section(title):
    """Return the part of the page under this heading, up to the next one."""
    return re.split(r"^#+ ", PAGE.split(f"# {title}\n")[1], flags=re.MULTILINE)[0]


def rows(title, number=0):
    """Return the rows of the table under this heading, each as a list of cells."""
    lines = re.findall(r"(?:^\|.*\n)+", section(title), re.MULTILINE)[number].splitlines()[2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def names(cell):
    return re.findall(r"`(\w+)`", cell)


# The commands


def scripted(rates, never):
    """Return the model's answers to each task of the page, turn by turn."""
    turns = {
        "Summarize": [data(SUMMARY)],
        "I count in": [
            calls(
                [
                    ("http_request", {"url": rates + RATES}),
                    ("memory_write", {"key": "currency", "content": "counts in Swiss francs"}),
                ]
            ),
            say("A euro is worth 0.93 francs."),
        ],
        "And a dollar": [say("A dollar is worth 0.80 francs.")],
        "Keep the rate": [call("store_set", {"key": "rates/USD-CHF", "value": 0.8}), say("It is kept.")],
        "Compare all": [stall(never)],
        "What is there": [call("docs_list_flows"), say("There is one flow.")],
    }

    def turn(request):
        last = max(number for number, message in enumerate(request.messages) if message["role"] == "user")
        task = request.messages[last]["content"]
        asked = next(turns[beginning] for beginning in turns if task.startswith(beginning))
        return asked[sum(message["role"] == "assistant" for message in request.messages[last:])]

    return forever(turn)


@pytest.fixture(scope="module")
def pasted(tmp_path_factory):
    """Run the commands of the page in order. Return their outputs and the requests to the model."""
    never, port = threading.Event(), free_port()
    with Site("127.0.0.1") as rates:
        address = f"http://127.0.0.1:{rates.port}"
        rates.expect_request("/v1/latest").respond_with_json({"base": "EUR", "rates": {"CHF": 0.93, "USD": 1.16}})
        with LlmServer(scripted(address, never)) as llm:
            done = paste(port, address, llm, tmp_path_factory.mktemp("page"))
            never.set()
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, llm.requests, [request for request, _ in rates.log]


def paste(port, rates, llm, folder):
    server = f"http://127.0.0.1:{port}"
    text = MAKE + "".join(
        A_MOMENT * block.startswith("curl -s $URL/api/agent/runs/$ASKING") + block for block in BLOCKS
    )
    for there, here in (
        ("http://127.0.0.1:8000", server),
        ('api.frankfurter.dev"]', '127.0.0.1"]'),
        ("https://api.frankfurter.dev", rates),
        ("https://mcp.example.com/mcp", f"{server}/mcp"),
        ("its token", '\'$(sed -E \'s/.*"token":"([^"]+)".*/\\1/\' token.json)\''),
    ):
        assert there in text
        text = text.replace(there, here)
    env = {
        **{key: value for key, value in os.environ.items() if not key.startswith("HEADRACE")},
        "PORT": str(port),
        "HEADRACE_DATA_DIR": str(folder / "data"),
        "HEADRACE_EGRESS_ALLOW": "127.0.0.1",
        "OLLAMA_BASE_URL": llm.openai_url,
    }
    return subprocess.run(
        ["bash", "-e"], input=text, cwd=folder, env=env, text=True, capture_output=True, timeout=120
    )  # fmt: skip


@pytest.mark.slow
def test_no_command_is_rejected(pasted):
    said, _, _ = pasted
    assert '"error":' not in said
    assert said.count('"status":"success"') >= 6


@pytest.mark.slow
def test_a_built_in_agent_executes_the_first_task(pasted):
    said, requests, _ = pasted
    assert '"tasks":[{"task":"Order a printer","owner":"Lee","due":"Friday"}]' in said
    assert requests[0].body["model"] == "llama3.2" and "Hi Kim, the printer" in requests[0].messages[-1]["content"]


@pytest.mark.slow
def test_the_created_agent_uses_its_tools_and_continues_the_conversation(pasted):
    said, requests, asked = pasted
    assert '"text":"A euro is worth 0.93 francs."' in said and asked[0].query_string == b"base=EUR&symbols=CHF,USD"
    followed = next(request for request in requests if request.messages[-1]["content"].startswith("And a dollar"))
    texts = [message["content"] for message in followed.messages]
    assert "A euro is worth 0.93 francs." in texts and "counts in Swiss francs" in texts[-1]
    assert '"content":"counts in Swiss francs"' in said


@pytest.mark.slow
def test_the_call_waits_until_it_is_approved(pasted):
    said, _, _ = pasted
    assert '"text":"It is kept."' in said
    assert '"name":"store_set","arguments":{"key":"rates/USD-CHF","value":0.8},"status":"success"' in said


@pytest.mark.slow
def test_a_task_is_cancelled(pasted):
    said, _, _ = pasted
    assert re.search(
        r'"status":"failed","task":"Compare all currencies.*"error_text":"cancelled by me@example.com"', said
    )


@pytest.mark.slow
def test_an_agent_is_a_node_of_a_flow(pasted):
    said, _, _ = pasted
    assert '"output":{"tasks":[{"task":"Order a printer","owner":"Lee","due":"Friday"}]}' in said


@pytest.mark.slow
def test_the_agent_has_the_tools_of_the_mcp_server(pasted):
    said, requests, _ = pasted
    told = next(request for request in requests if "docs_list_flows" in request.tools and len(request.messages) > 2)
    assert "Mails to tasks" in told.messages[-1]["content"] and '"text":"There is one flow."' in said


# The tables


@pytest.mark.parametrize("row", rows("Quick start"), ids=lambda row: row[0])
def test_each_way_to_set_a_model_works(row):
    given = dict(setting.split("=") for setting in re.findall(r"`((?:HEADRACE|OPENAI|ANTHROPIC)_\w+=[^`]+)`", row[1]))
    given = {name: value.replace("…", "a-key") for name, value in given.items()}
    if not given:
        pytest.skip("it is a credential: see tests/packs/agents/test_model_defaults.py")
    made = resolve(Models.of(Config.from_env(given)))
    assert made.name == given.get("HEADRACE_LLM_MODEL", f"{made.provider}:{DEFAULT_MODELS.get(made.provider)}")
    assert made.key == given.get("OPENAI_API_KEY", given.get("ANTHROPIC_API_KEY", ""))


def test_each_provider_has_a_row():
    told = section("Quick start")
    assert all(f"={provider}:" in told or f"`{provider.upper()}_API_KEY=" in told for provider in OWN)


def test_the_table_of_tools_has_each_type_with_all_its_tools_and_keys():
    found = {row[0].strip("`"): row for row in rows("Tools")}
    assert list(found) == list(definition.KINDS)
    for type_, kind in definition.KINDS.items():
        _, tools, keys = found[type_]
        assert kind.tools is None or set(names(tools)) == set(kind.tools), type_
        assert [name for name in names(keys) if name in definition.READERS] == list(kind.keys), type_
        # The ways to authenticate requests are on a page of their own.
        assert all(f"`{name}`" in keys for name in kind.credentials) or "(http.md#authentication)" in keys, type_


def test_the_table_of_a_task_has_each_of_its_keys():
    found = [name for row in rows("A task") for name in names(row[0])]
    assert found == list(TaskIn().fields)
    assert set(found) - {"wait"} | {"output_schema", "notify"} == set(REGISTRY["agent"].Config().fields)


def test_the_table_of_a_definition_has_each_of_its_keys():
    found = [name for row in rows("A definition") for name in names(row[0])]
    assert sorted(found) == sorted(definition.KEYS)


def test_the_table_of_limits_is_correct():
    usual = definition.Limits()
    bounds = definition.MAX_STEPS, definition.MAX_TOKENS, definition.MAX_SECONDS, definition.MAX_COST
    expected = [
        [f"`{key.name}`", "none" if getattr(usual, key.name) is None else f"{getattr(usual, key.name):,}", f"{most:,}"]
        for key, most in zip(fields(usual), bounds, strict=True)
    ]
    assert [row[:3] for row in rows("Limits and cost")] == expected


@pytest.mark.parametrize(("number", "shape"), [(0, AgentRunOut), (1, AgentStepOut)])
def test_each_status_has_its_row(number, shape):
    assert {names(row[0])[0] for row in rows("Statuses", number)} == set(shape().fields["status"].validate.choices)


def test_each_named_template_exists():
    named = re.search(r"Templates such as\s(.*?)\(`GET", PAGE, re.DOTALL)[1]
    assert re.findall(r"`([\w-]+)`", named)
    for name in re.findall(r"`([\w-]+)`", named):
        assert (ROOT / "templates_data" / f"{name}.json").exists(), name
